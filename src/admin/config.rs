//! Where the admin port is.

use crate::net::address::Address;
use crate::tls::server;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub url: Address,
    /// Present exactly for `https`.
    pub tls: Option<server::Config>,
    /// Requests by any name are answered, not only by `localhost` and addresses.
    pub any_host: bool,
    /// Whether it can be told to end, or what to log.
    pub changes: bool,
}
