//! Watching the members: probes on connections of their own, and what calls meet on the way.
//!
//! ```text
//!   discovery ── seeds ──┐                    ┌─> View ──> every thread of the data path
//!   calls ── signals ────┼─> driver ── core ──┤
//!   members <── probes ──┘                    └─> logs, metrics
//! ```
//!
//! Idle, each member is asked for its Status every [`Config::idle_interval`]. When something is
//! wrong, everybody is asked often, and asked for a read through the leader too, until all agree.
//!
//! Invariants: a probe never travels on a connection that calls use; a member is asked by one
//! connection and with one probe of a kind at a time; the core decides, the driver only does.

pub mod config;
pub mod core;
mod driver;
pub mod metrics;
mod probe;
mod refusal;
mod signals;
#[cfg(test)]
mod tests;

pub use config::{Config, Weight};
pub use driver::{Discovered, Driver, Publisher, Settings};
pub use probe::Credentials;
pub use signals::Signals;
