//! URLs of listeners: those of endpoints, Unix sockets, and connections that pass as they are.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;

use super::address::{Address, AddressError};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenUrl {
    /// `http://HOST:PORT` or `https://HOST:PORT`.
    Http(Address),
    /// `tcp://HOST:PORT`: bytes pass as they are.
    Tcp(Address),
    /// `unix:///PATH`, or `unixs:///PATH` with TLS, as etcd's clients write it.
    Unix { tls: bool, path: PathBuf },
}

impl ListenUrl {
    /// Whether the listener itself speaks TLS.
    pub fn tls(&self) -> bool {
        match self {
            Self::Http(address) => address.tls,
            Self::Tcp(_) => false,
            Self::Unix { tls, .. } => *tls,
        }
    }

    /// Whether only one of both can be listened on. By the text alone, so that it is certain: what a name
    /// means may differ, and whether `[::]` includes IPv4 is the system's choice.
    pub fn excludes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unix { path, .. }, Self::Unix { path: other, .. }) => path == other,
            (Self::Http(one) | Self::Tcp(one), Self::Http(other) | Self::Tcp(other)) => {
                let (one_host, other_host) = (&one.host, &other.host);
                let is_same_host = match (one_host.parse::<IpAddr>(), other_host.parse::<IpAddr>()) {
                    (Ok(one), Ok(other)) => {
                        one == other || one == unspecified(other) || other == unspecified(one)
                    }
                    _ => one_host == other_host,
                };
                is_same_host && one.port == other.port && one.port != 0
            }
            (Self::Unix { .. }, _) | (_, Self::Unix { .. }) => false,
        }
    }

    /// Where it is on the network.
    pub fn address(&self) -> Option<&Address> {
        match self {
            Self::Http(address) | Self::Tcp(address) => Some(address),
            Self::Unix { .. } => None,
        }
    }
}

/// All addresses of the same family.
fn unspecified(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

impl fmt::Display for ListenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(address) => address.fmt(f),
            Self::Tcp(address) => write!(f, "tcp://{}", address.authority()),
            Self::Unix { tls: false, path } => write!(f, "unix://{}", path.display()),
            Self::Unix { tls: true, path } => write!(f, "unixs://{}", path.display()),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListenUrlError {
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error("the path of a socket begins with a slash, as in unix:///run/etcdlet.sock")]
    Relative,
    #[error("unknown scheme {0:?}, expected http, https, tcp, unix or unixs")]
    Scheme(String),
}

impl FromStr for ListenUrl {
    type Err = ListenUrlError;

    fn from_str(text: &str) -> Result<Self, ListenUrlError> {
        let unix = |tls, path: &str| {
            let is_file = path.starts_with('/') && !path.ends_with('/');
            is_file.then(|| Self::Unix { tls, path: PathBuf::from(path) }).ok_or(ListenUrlError::Relative)
        };
        match text.split_once("://") {
            None | Some(("http" | "https", _)) => Ok(Self::Http(text.parse()?)),
            // One scheme is enough.
            Some(("tcp", rest)) => Ok(Self::Tcp(format!("http://{rest}").parse()?)),
            Some(("unix", path)) => unix(false, path),
            Some(("unixs", path)) => unix(true, path),
            Some((scheme, _)) => Err(ListenUrlError::Scheme(scheme.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, ListenUrlError> {
        text.parse::<ListenUrl>().map(|url| url.to_string())
    }

    #[test]
    fn every_kind_of_listener_is_read_and_written_alike() {
        for url in [
            "http://127.0.0.1:2379",
            "https://[::1]:1",
            "tcp://0.0.0.0:7",
            "unix:///run/a.sock",
            "unixs:///a",
        ] {
            assert_eq!(parse(url).unwrap(), url);
        }
        assert_eq!(parse("127.0.0.1:2379").unwrap(), "http://127.0.0.1:2379");
    }

    #[test]
    fn two_listeners_exclude_each_other_where_that_is_certain() {
        let excludes = |one: &str, other: &str| {
            let (one, other): (ListenUrl, ListenUrl) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(one.excludes(&other), other.excludes(&one));
            one.excludes(&other)
        };
        for (one, other) in [
            ("http://127.0.0.1:1", "tcp://127.0.0.1:1"),
            ("http://127.0.0.1:1", "https://0.0.0.0:1"),
            ("http://[::]:1", "http://[::1]:1"),
            ("http://node:1", "https://node:1"),
            ("unix:///run/a", "unixs:///run/a"),
        ] {
            assert!(excludes(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("http://127.0.0.1:1", "http://127.0.0.1:2"),
            ("http://127.0.0.1:1", "http://127.0.0.2:1"),
            ("http://127.0.0.1:0", "http://127.0.0.1:0"),
            ("http://0.0.0.0:1", "http://[::]:1"),
            ("http://localhost:1", "http://127.0.0.1:1"),
            ("unix:///run/a", "unix:///run/b"),
            ("unix:///run/a", "http://127.0.0.1:1"),
        ] {
            assert!(!excludes(one, other), "{one} {other}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said() {
        assert_eq!(parse("unix://run/a.sock"), Err(ListenUrlError::Relative));
        assert_eq!(parse("unix:///"), Err(ListenUrlError::Relative));
        assert_eq!(parse("ftp://a:1"), Err(ListenUrlError::Scheme("ftp".into())));
        assert_eq!(parse("tcp://a"), Err(AddressError::NoPort.into()));
        assert!(parse("tcp://https://a:1").is_err());
    }
}
