//! The process: the only place that knows every part.
//!
//! ```text
//!   control (main thread): admin port, TLS handshakes, connecting to the cluster, signals
//!   data path (threads):   accept ── proxy ── upstream, each on a runtime of one thread
//! ```
//!
//! Invariants: a request never leaves the thread that accepted it, except for what clients of
//! several threads share; everything that can fail at start fails before a thread is started; the
//! process ends when the last connection has ended after a drain, or when the drain's time is up.

mod build;
mod listeners;
mod run;
mod thread;

pub use build::{App, StartError};
pub use listeners::Limits;
