//! Which endpoints the configuration leads to: a static list, a name with several addresses, SRV
//! records. What the cluster says of its members is the health core's business.
//!
//! ```text
//!   static list ──────────┐
//!   A, AAAA ── dns.rs ────┼─> driver ──> seeds ──> health
//!   SRV ────── dns.rs ────┘
//! ```
//!
//! Invariants: names are resolved again when their records expire; a failure keeps the seeds that
//! there were, is told once, and is tried again for ever.

pub mod dns;
mod driver;

use std::net::SocketAddr;

pub use driver::{Driver, check};

use crate::net::address::Address;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    pub endpoints: Vec<Address>,
    /// A name whose addresses are all members, as a headless service has.
    pub dns: Option<Address>,
    pub srv: Option<Srv>,
    /// The system's, where there are none.
    pub nameservers: Vec<SocketAddr>,
}

/// Where `_etcd-client._tcp` records stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srv {
    pub domain: String,
    /// `--discovery-srv-name`: the part after `etcd-client-`; may be empty.
    pub name: String,
    /// Whether records without TLS count.
    pub insecure: bool,
    pub verify: Verify,
}

/// Which name the certificates of what the records lead to must have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// As etcdctl does: who can forge records could else choose the name.
    #[default]
    Domain,
    /// As etcd's proxies do.
    Target,
}

impl Config {
    /// Whether endpoints are known, or may become known, that want TLS.
    pub fn needs_tls(&self) -> bool {
        self.srv.is_some() || self.endpoints.iter().chain(&self.dns).any(|address| address.tls)
    }
}
