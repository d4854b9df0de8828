//! Limits and choices of the data path.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};

use super::read_ahead::Limits;
use super::{audit, lease, namespace, register, watch};

/// What calls go by, which can change at any time. Cheap to clone; one for all threads.
#[derive(Clone)]
pub struct Settings(Arc<ArcSwap<Config>>);

impl Settings {
    pub fn new(config: Config) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(config)))
    }

    /// For calls from now on; those under way may go by either.
    pub fn set(&self, config: Config) {
        self.0.store(Arc::new(config));
    }

    pub(super) fn load(&self) -> Guard<Arc<Config>> {
        self.0.load()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub audit: audit::Config,
    /// Bytes of one request that may be read ahead of its sending. A larger request streams.
    pub retry_buffer: usize,
    /// The same for all requests of a thread together; beyond it requests stream.
    pub retry_buffer_total: usize,
    /// Bytes of JSON streams that may wait to be whole messages, or for their clients; beyond it they are
    /// passed on as they come. Of a stream's begin.
    pub json_lines_total: usize,
    /// Whether members are told apart by who leads.
    pub leader_aware: bool,
    pub member_list: MemberList,
    /// Who this proxy is among others, if anybody shall know. Of the start.
    pub register: Option<register::Config>,
    /// Whether equal reads share calls.
    pub share_reads: bool,
    /// How long a stale serializable answer may wait for a fresher one.
    pub watermark_wait: Duration,
    pub retry: Retry,
    pub hold: Hold,
    /// Of the start: a hub keeps its own.
    pub lease: lease::Config,
    pub namespace: namespace::Config,
    pub watch: watch::Config,
}

impl Config {
    pub(super) fn read_ahead(&self) -> Limits {
        Limits { each: self.retry_buffer, total: self.retry_buffer_total }
    }
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
