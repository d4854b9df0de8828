//! Client connections: accepting them, finding out what they speak, serving them.
//!
//! ```text
//!   accept ──> (TLS, on the control runtime) ──> sniff ──> conn: h2 ──> api::grpc
//!                                                            └── http/1 ──> api::http
//! ```
//!
//! Invariants: a connection stays on the thread that serves it; a connection that does not say
//! what it is within the time limit is closed; connections beyond the limit are closed at once
//! and counted, and those that are served never notice.

pub mod accept;
pub mod config;
mod conn;
pub mod metrics;
pub(crate) mod sniff;

pub use config::Config;
