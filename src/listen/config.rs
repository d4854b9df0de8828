//! Listeners and what clients may use of them.

use std::time::Duration;

use crate::net::address::Address;
use crate::tls::server;
use crate::types::client::Terms;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// At least one.
    pub listeners: Vec<Listener>,
    pub limits: Limits,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    pub url: Address,
    /// Present exactly for `https`.
    pub tls: Option<server::Config>,
    pub terms: Terms,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections of all listeners together.
    pub connections: usize,
    /// Streams that one HTTP/2 connection may have open.
    pub streams_per_connection: u32,
    /// Bytes of the headers of one request.
    pub header_list: u32,
    /// For TLS and the first bytes.
    pub handshake_timeout: Duration,
    /// Between two requests in HTTP/1.1, and for the head of one.
    pub http1_idle_timeout: Duration,
}
