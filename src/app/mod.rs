//! The process: the only place that knows every part.
//!
//! ```text
//!   control (main thread): admin port, probes, connecting to the cluster, signals
//!   tls (thread):          accept, handshakes of clients ──> a thread of the data path
//!   data path (threads):   accept ── proxy ── upstream, each on a runtime of one thread
//!
//!   SIGHUP, a file has changed ──> reload ──> settings, cluster, certificates, log level
//! ```
//!
//! Invariants: a request never leaves the thread that accepted it, except for what clients of
//! several threads share; everything that can fail at start fails before a thread is started; the
//! process ends when the last connection has ended after a drain, or when the drain's time is up;
//! a reload that fails changes nothing, and one that does not fail ends no call.

mod build;
mod certificates;
pub mod check;
mod files;
mod handshakes;
mod listeners;
mod notify;
mod reload;
mod run;
mod serve;
mod thread;

pub use build::{App, Start, StartError};
pub use certificates::Certificates;
pub use serve::serve;
