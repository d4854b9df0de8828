//! Who this proxy is, and where it says so.

use std::time::Duration;

use bytes::Bytes;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where clients reach it, as they shall be told.
    pub advertise_client_url: String,
    /// Its name in lists: the host's.
    pub name: String,
    /// Of its keys in the cluster, as a client of the first listener has it.
    pub namespace: Bytes,
    /// `None`: it is known to nobody but its own clients.
    pub session: Option<Session>,
}

/// Where it registers, and how long that lasts without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub prefix: String,
    /// Whole seconds.
    pub ttl: Duration,
}

impl Session {
    /// Below which all proxies are.
    pub(super) fn directory(&self) -> String {
        format!("{}/", self.prefix)
    }

    pub(super) fn key(&self, url: &str) -> String {
        format!("{}/{url}", self.prefix)
    }
}
