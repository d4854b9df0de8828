//! Logs and metrics of the process. Every folder has its own handles and registers them here.

pub mod access;
pub mod log;
pub mod metrics;
