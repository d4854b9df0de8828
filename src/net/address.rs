//! URLs of listeners and endpoints.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// `http://host:port` or `https://host:port`; without a scheme it is `http`, as etcdctl has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    pub tls: bool,
    /// Name or IP address; an IPv6 address without its brackets.
    pub host: String,
    pub port: u16,
}

impl Address {
    /// `host:port`, with brackets around an IPv6 address.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    pub fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// Whether a connection to `self` certainly reaches a listener on `listener`.
    pub fn is_served_by(&self, listener: &Self) -> bool {
        if self.port != listener.port || self.port == 0 {
            return false;
        }
        let is_any = |host: &str| host == "0.0.0.0" || host == "::";
        let is_loopback = |host: &str| host == "localhost" || host == "::1" || host.starts_with("127.");
        self.host == listener.host
            || (is_any(&listener.host) && (is_loopback(&self.host) || is_any(&self.host)))
            || (self.host == "localhost" && is_loopback(&listener.host))
            || (listener.host == "localhost" && is_loopback(&self.host))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme(), self.authority())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("the host is missing")]
    NoHost,
    #[error("the port is missing")]
    NoPort,
    #[error("{0:?} is no host name and no IP address (one of IPv6 stands in brackets)")]
    Host(String),
    #[error("{0:?} is not a port")]
    Port(String),
    #[error("a path is not allowed here: {0:?}")]
    Path(String),
    #[error("unknown scheme {0:?}, expected http or https")]
    Scheme(String),
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (tls, rest) = match text.split_once("://") {
            None | Some(("http", _)) => (false, text.strip_prefix("http://").unwrap_or(text)),
            Some(("https", rest)) => (true, rest),
            Some((scheme, _)) => return Err(AddressError::Scheme(scheme.to_owned())),
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        if path.len() > 1 {
            return Err(AddressError::Path(path.to_owned()));
        }
        let (host, port, is_host) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':'), is_ipv6(host)),
            None => {
                let (host, port) =
                    authority.rsplit_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
                (host, port, is_name(host))
            }
        };
        let port = port.ok_or(AddressError::NoPort)?;
        if host.is_empty() {
            return Err(AddressError::NoHost);
        }
        if !is_host {
            return Err(AddressError::Host(host.to_owned()));
        }
        Ok(Self {
            tls,
            host: host.to_owned(),
            port: port.parse().map_err(|_| AddressError::Port(port.to_owned()))?,
        })
    }
}

/// Perhaps with a zone, as in `fe80::1%eth0`.
fn is_ipv6(host: &str) -> bool {
    let (address, zone) = host.split_once('%').map_or((host, None), |(address, zone)| (address, Some(zone)));
    address.parse::<Ipv6Addr>().is_ok() && zone.is_none_or(|zone| !zone.is_empty() && is_name(zone))
}

/// Letters, digits, and what else stands in names of services and interfaces.
fn is_name(host: &str) -> bool {
    host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, AddressError> {
        text.parse::<Address>().map(|address| address.to_string())
    }

    #[test]
    fn addresses_are_read_with_and_without_scheme() {
        assert_eq!(parse("10.0.0.1:2379").unwrap(), "http://10.0.0.1:2379");
        assert_eq!(parse("http://etcd:2379/").unwrap(), "http://etcd:2379");
        assert_eq!(parse("https://[::1]:2379").unwrap(), "https://[::1]:2379");
        assert_eq!(parse("[fe80::1%eth0]:2379").unwrap(), "http://[fe80::1%eth0]:2379");
    }

    #[test]
    fn what_is_wrong_with_an_address_is_said() {
        assert_eq!(parse("ftp://a:1"), Err(AddressError::Scheme("ftp".into())));
        assert_eq!(parse("http://a"), Err(AddressError::NoPort));
        assert_eq!(parse("http://:2379"), Err(AddressError::NoHost));
        assert_eq!(parse("http://a:99999"), Err(AddressError::Port("99999".into())));
        assert_eq!(parse("http://a:1/v3"), Err(AddressError::Path("/v3".into())));
        for host in ["::1", "a b", "a\nb", "user@host", "[::1"] {
            assert_eq!(parse(&format!("http://{host}:1")), Err(AddressError::Host(host.into())));
        }
        assert_eq!(parse("[a]:1"), Err(AddressError::Host("a".into())));
    }

    #[test]
    fn an_endpoint_that_is_our_own_listener_is_recognised() {
        let served = |endpoint: &str, listener: &str| {
            endpoint.parse::<Address>().unwrap().is_served_by(&listener.parse().unwrap())
        };
        assert!(served("http://127.0.0.1:2379", "http://127.0.0.1:2379"));
        assert!(served("http://localhost:2379", "http://127.0.0.1:2379"));
        assert!(served("http://127.0.0.1:2379", "http://0.0.0.0:2379"));
        assert!(!served("http://127.0.0.1:2380", "http://127.0.0.1:2379"));
        assert!(!served("http://10.0.0.1:2379", "http://127.0.0.1:2379"));
    }
}
