//! Where the admin port is.

use crate::net::address::Address;
use crate::tls::server;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub url: Address,
    /// Present exactly for `https`.
    pub tls: Option<server::Config>,
}
