//! Limits and choices of the data path.

use std::time::Duration;

use super::{lease, register, watch};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Bytes of one request that may be read ahead of its sending. A larger request streams.
    pub retry_buffer: usize,
    /// The same for all requests of a thread together; beyond it requests stream.
    pub retry_buffer_total: usize,
    /// Whether members are told apart by who leads.
    pub leader_aware: bool,
    pub member_list: MemberList,
    /// Who this proxy is among others, if anybody shall know.
    pub register: Option<register::Config>,
    /// Whether equal reads share calls.
    pub share_reads: bool,
    /// How long a stale serializable answer may wait for a fresher one.
    pub watermark_wait: Duration,
    pub retry: Retry,
    pub hold: Hold,
    pub lease: lease::Config,
    pub watch: watch::Config,
}

/// What clients that ask for the members are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberList {
    /// The members, each with this client URL.
    Local(String),
    Passthrough,
    /// The proxies, as [`register`] knows them.
    Registered,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// No further attempt of a read is begun when it is older than this.
    pub read_limit: Duration,
    /// Retries a second of one thread, on average.
    pub budget_rate: u32,
    /// Retries at once.
    pub budget_burst: u32,
    /// A serializable read without an answer for so long is asked of a second member, if set.
    pub hedge_after: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// How long a call waits for a leader.
    pub limit: Duration,
    /// Calls of the process that may wait at once.
    pub calls: usize,
}
