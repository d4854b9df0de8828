//! What is told, and where.

use crate::telemetry::access;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub calls: Calls,
    /// Operations of one transaction, or leases of one stream, that a line names.
    pub keys_max: usize,
    /// Bytes of a key that a line shows.
    pub key_bytes_max: usize,
    /// Bytes of requests that are kept until they can be told, of all calls together.
    pub request_bytes_max: usize,
    /// Simple tokens whose users are remembered.
    pub tokens_max: usize,
    pub sink: access::Config,
}

/// Which calls have a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    All,
    Off,
    /// Those that change something, or may.
    Writes,
}
