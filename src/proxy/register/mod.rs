//! This proxy among others: it registers itself in the cluster, knows who else has, and answers
//! MemberList with them, as etcd's own gRPC proxy does (`server/proxy/grpcproxy/{register,cluster}.go`).
//!
//! ```text
//!   core (lease, key, beats) <── driver ──> LeaseGrant, Put, LeaseKeepAlive, LeaseRevoke ──> cluster
//!   roster (who is there)    <── driver <── Range, Watch: PREFIX/ ────────────────────────── cluster
//!      └─> frame ──> every MemberList of a client
//! ```
//!
//! A proxy is a key `PREFIX/URL` with a lease; its value is what etcd's proxies write, so that both
//! kinds see each other below one prefix.
//!
//! Invariants: what is asked for here takes the way of a client's call, its namespace included; at
//! most one lease is kept; when the process stops, the key goes with it, and not after the lease's
//! time; a list that can't be read anew stays as it was.
//!
//! Deliberately absent: a token. Where auth is enabled, nobody may register, as with etcd's proxy.

mod ask;
pub mod config;
mod core;
mod driver;
mod metrics;
mod record;
mod roster;

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;

pub use config::Config;
pub use metrics::RegisterMetrics;

use roster::Roster;

/// One for all threads of the data path.
#[derive(Clone)]
pub struct Register(Arc<Parts>);

struct Parts {
    config: Config,
    metrics: RegisterMetrics,
    frame: ArcSwap<Bytes>,
}

impl Register {
    pub fn new(config: &Config, metrics: RegisterMetrics) -> Self {
        let frame = ArcSwap::from_pointee(Roster::new(config).frame());
        Self(Arc::new(Parts { config: config.clone(), metrics, frame }))
    }

    /// The answer to MemberList, in its gRPC frame.
    pub(super) fn member_list(&self) -> Bytes {
        Bytes::clone(&self.0.frame.load())
    }
}
