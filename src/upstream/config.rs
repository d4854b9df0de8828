//! What the cluster is and how to reach it.

use std::time::Duration;

use crate::net::address::Address;
use crate::tls;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// At least one.
    pub endpoints: Vec<Address>,
    pub tls: tls::client::Config,
    /// For name resolution, TCP and TLS together.
    pub connect_timeout: Duration,
}
