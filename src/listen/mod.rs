//! Client connections: accepting them, finding out what they speak, serving them.
//!
//! ```text
//!   accept ──> (TLS, on the control runtime) ──> sniff ──> conn: h2 ──> api::grpc
//!                                                            └── http/1 ──> api::http
//!   accept ──> tcp ──> upstream::tunnel, as it is
//! ```
//!
//! Between the socket and the HTTP library somebody looks at the bytes that pass (`watched`, `heads`):
//! what a client begins it has to finish (`pulse`), and it must not ping too often (`pings`).
//!
//! Invariants: a connection stays on the thread that serves it; a connection that does not say
//! what it is within the time limit is closed; connections beyond a limit are closed at once
//! and counted, and those that are served never notice; a client can take its time for bodies only.

pub mod accept;
pub mod capacity;
pub mod config;
mod conn;
mod frames;
mod heads;
mod heartbeat;
mod http2;
pub mod metrics;
mod pings;
mod pulse;
pub(crate) mod sniff;
mod tcp;
mod watched;

pub use config::Config;
