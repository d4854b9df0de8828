//! Listeners and what clients may use of them.

use std::time::Duration;

use crate::net::listen_url::ListenUrl;
use crate::net::unix_socket::Access;
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
    pub url: ListenUrl,
    /// Present exactly where the URL says TLS.
    pub tls: Option<server::Config>,
    pub terms: Terms,
    /// Of a Unix socket.
    pub access: Access,
    /// Connections that it may have, within those of all.
    pub connections: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections of all listeners together.
    pub connections: usize,
    /// Connections of one client: an IP address, or behind a Unix socket a user.
    pub connections_per_peer: Option<usize>,
    /// Streams that one HTTP/2 connection may have open.
    pub streams_per_connection: u32,
    /// Bytes of the headers of one request.
    pub header_list: u32,
    /// For TLS and the first bytes.
    pub handshake_timeout: Duration,
    /// For the head of a request, from its first byte to its last; in HTTP/2 for every frame without
    /// a body's data.
    pub header_timeout: Duration,
    /// Between two requests in HTTP/1.1.
    pub http1_idle_timeout: Duration,
    /// Between two calls in HTTP/2; `None` is for ever.
    pub h2_idle_timeout: Option<Duration>,
    /// Clients that ping more often are sent away.
    pub keepalive_min_time: Duration,
    /// A client in HTTP/2 that has sent nothing for so long is pinged.
    pub keepalive_interval: Duration,
    /// It has so long to answer.
    pub keepalive_timeout: Duration,
}
