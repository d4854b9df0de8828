//! What the cluster is and how to reach it.

use std::time::Duration;

use super::{discovery, health};
use crate::net::address::Address;
use crate::tls;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// At least one way to find the cluster.
    pub discovery: discovery::Config,
    pub health: health::Config,
    /// Whom probes are sent as.
    pub credentials: Option<health::Credentials>,
    pub tls: tls::client::Config,
    /// For name resolution, TCP and TLS together.
    pub connect_timeout: Duration,
    /// Where the members serve HTTP, if not on the endpoints.
    pub http_endpoints: Vec<Address>,
}
