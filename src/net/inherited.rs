//! Sockets that systemd opened for us (`sd_listen_fds(3)`): found by what they are bound to, whatever
//! their names and their order.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::Path;

use listenfd::ListenFd;
use socket2::SockRef;

use super::listener::{Listener, Local};

#[derive(Debug, Default)]
pub struct Inherited(Vec<(Local, Listener)>);

#[derive(Debug, thiserror::Error)]
pub enum InheritedError {
    #[error(
        "inherited socket {number} (LISTEN_FDS) is neither a TCP nor a Unix socket that listens at an address or a path"
    )]
    Kind { number: usize },
    #[error("inherited socket {number} (LISTEN_FDS) cannot be used: {source}")]
    Unusable { number: usize, source: io::Error },
}

impl Inherited {
    /// Those that the environment tells of. It is changed, so there may be no other thread yet.
    pub fn from_env() -> Result<Self, InheritedError> {
        let mut passed = ListenFd::from_env();
        let mut sockets = Vec::new();
        for index in 0..passed.len() {
            let number = index + 1;
            let listener = take(&mut passed, index).ok_or(InheritedError::Kind { number })?;
            listener.prepare().map_err(|source| InheritedError::Unusable { number, source })?;
            let local = listener.local().ok_or(InheritedError::Kind { number })?;
            sockets.push((local, listener));
        }
        Ok(Self(sockets))
    }

    /// One that is bound to one of these addresses.
    pub fn take_tcp(&mut self, addresses: &[SocketAddr]) -> Option<TcpListener> {
        let fits = |local: &Local| match local {
            Local::Tcp(bound) => addresses.iter().any(|wanted| is_bound_for(*bound, *wanted)),
            Local::Unix(_) => false,
        };
        match self.take(fits)? {
            Listener::Tcp(listener) => Some(listener),
            Listener::Unix(_) => None,
        }
    }

    pub fn take_unix(&mut self, path: &Path) -> Option<UnixListener> {
        let fits = |local: &Local| matches!(local, Local::Unix(bound) if bound == path);
        match self.take(fits)? {
            Listener::Tcp(_) => None,
            Listener::Unix(listener) => Some(listener),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, fits: impl Fn(&Local) -> bool) -> Option<Listener> {
        let place = self.0.iter().position(|(local, _)| fits(local))?;
        let (local, listener) = self.0.remove(place);
        tracing::info!(%local, "inherited");
        Some(listener)
    }
}

impl fmt::Display for Inherited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (local, _)) in self.0.iter().enumerate() {
            write!(f, "{}{local}", if place > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

fn take(passed: &mut ListenFd, index: usize) -> Option<Listener> {
    if let Ok(Some(listener)) = passed.take_tcp_listener(index) {
        return Some(Listener::Tcp(listener));
    }
    passed.take_unix_listener(index).ok().flatten().map(Listener::Unix)
}

/// A socket of all IPv6 addresses, which a bare port makes in a unit (`ListenStream=2379`), is one
/// of all IPv4 addresses too.
fn is_bound_for(bound: SocketAddr, wanted: SocketAddr) -> bool {
    let any = bound.ip().is_unspecified() && wanted.ip().is_unspecified();
    bound == wanted || (any && bound.is_ipv6() && bound.port() == wanted.port())
}

impl Listener {
    /// systemd's sockets block, and one that does not listen accepts nobody.
    fn prepare(&self) -> io::Result<()> {
        let socket = match self {
            Self::Tcp(listener) => SockRef::from(listener),
            Self::Unix(listener) => SockRef::from(listener),
        };
        if !socket.is_listener()? {
            return Err(io::Error::other("it does not listen (the unit must not say Accept=yes)"));
        }
        socket.set_nonblocking(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_met_by_itself_and_all_of_ipv4_by_all_of_ipv6() {
        let fits = |bound: &str, wanted: &str| is_bound_for(bound.parse().unwrap(), wanted.parse().unwrap());
        assert!(fits("127.0.0.1:2379", "127.0.0.1:2379"));
        assert!(fits("[::]:2379", "0.0.0.0:2379"));
        assert!(!fits("0.0.0.0:2379", "[::]:2379"));
        assert!(!fits("[::]:2379", "0.0.0.0:2380"));
        assert!(!fits("[::]:2379", "127.0.0.1:2379"));
    }

    #[test]
    fn sockets_are_found_by_what_they_are_bound_to() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        let of = |listener: Listener| (listener.local().unwrap(), listener);
        let unix = UnixListener::bind(&path).unwrap();
        let mut inherited = Inherited(vec![of(Listener::Unix(unix)), of(Listener::Tcp(tcp))]);
        assert_eq!(inherited.to_string(), format!("unix://{}, tcp://{address}", path.display()));
        assert!(inherited.take_tcp(&["127.0.0.1:1".parse().unwrap()]).is_none());
        assert!(inherited.take_unix(Path::new("/nowhere")).is_none());
        assert!(inherited.take_tcp(&[address]).is_some());
        assert!(inherited.take_unix(&path).is_some());
        assert!(inherited.is_empty());
    }
}
