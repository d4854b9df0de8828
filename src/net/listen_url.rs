//! URLs of listeners: those of endpoints, Unix sockets, and connections that pass as they are.

use std::fmt;
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

    /// Where it is on the network.
    pub fn address(&self) -> Option<&Address> {
        match self {
            Self::Http(address) | Self::Tcp(address) => Some(address),
            Self::Unix { .. } => None,
        }
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
    fn what_is_wrong_with_a_url_is_said() {
        assert_eq!(parse("unix://run/a.sock"), Err(ListenUrlError::Relative));
        assert_eq!(parse("unix:///"), Err(ListenUrlError::Relative));
        assert_eq!(parse("ftp://a:1"), Err(ListenUrlError::Scheme("ftp".into())));
        assert_eq!(parse("tcp://a"), Err(AddressError::NoPort.into()));
        assert!(parse("tcp://https://a:1").is_err());
    }
}
