//! Logs and metrics of the process, and the signs of life of its threads. Every folder has its own
//! metric handles and registers them here.

pub mod access;
pub mod heartbeat;
pub mod log;
pub mod metrics;
