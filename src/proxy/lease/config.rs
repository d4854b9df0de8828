//! Limits and choices of the lease hub.

use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Whether keep-alives share streams at all.
    pub coalesce: bool,
    /// Streams to the leader for one identity.
    pub streams: usize,
    /// A stream that nothing was sent on for so long is closed.
    pub idle_timeout: Duration,
    /// Requests of one client stream that may wait for their answers.
    pub waiting_per_stream: usize,
    /// The same for all streams; beyond it every stream may still have one.
    pub waiting_total: usize,
}
