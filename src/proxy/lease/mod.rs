//! Keep-alives of many clients on few streams to the leader.
//!
//! ```text
//!   clients' streams                 one group a caller                     the leader
//!   c1: lease 7, lease 8 ─┐  client     ┌────── core ──────┐   driver   ┌─ lane 0 ─> 7, 9 …
//!   c2: lease 7 ──────────┼─ requests ─>│ 7: c1, c2; 8: c1 │─ messages ─┼─ lane 1 ─> 8 …
//!   c3: lease 9 ──────────┘  <─ answers │ 9: c3            │<─ replies ─┴─ …
//! ```
//!
//! Several lanes, because etcd handles the messages of a stream one after the other, and one for a
//! lease that is about to expire takes it half a second; a renewal goes to the lane that waits for
//! the least.
//!
//! Invariants: nothing is renewed that no client asks for; a request is answered by a renewal that
//! was sent after it came, with the very bytes of etcd; whoever differs in what etcd looks at shares
//! nothing; a message that is not understood travels alone; the end of a client's requests is not
//! the end of its answers; the loss of a stream to a member is not seen by clients.
//!
//! Deliberately absent: compressed streams and those that name a member, which pass as they are,
//! and HTTP/1.1.

mod client;
pub mod config;
mod core;
mod driver;
mod group;
mod metrics;
#[cfg(test)]
mod tests;
mod verdict;

use std::sync::Arc;

pub(super) use client::KeepAlives;
pub use config::Config;
pub use metrics::LeaseMetrics;

use super::Proxy;
use super::caller::Caller;
use crate::types::call::Call;
use group::{Common, Group};

/// One for all threads of the data path.
#[derive(Clone)]
pub struct Hub(Arc<Common>);

impl Hub {
    pub fn new(config: &Config, metrics: LeaseMetrics) -> Self {
        Self(Arc::new(Common::new(config, metrics)))
    }

    /// Whether the call's keep-alives are sent together with those of others, and whose they are then.
    pub(super) fn takes(&self, call: &Call) -> Option<Caller> {
        (self.0.config.coalesce && call.rpc.path == KEEP_ALIVE).then(|| Caller::of(call))?
    }

    /// `proxy` opens the streams to the leader.
    pub(super) fn join(&self, call: Call, caller: Caller, proxy: &Arc<Proxy>) -> KeepAlives {
        KeepAlives::new(Group::of(&self.0, caller, proxy), call.body, call.deadline)
    }
}

const KEEP_ALIVE: &str = "/etcdserverpb.Lease/LeaseKeepAlive";
