//! Where connections come in: TCP or a Unix socket, bound here or inherited.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use socket2::{Domain, Protocol, Socket, Type};

use super::address::Address;
use super::inherited::Inherited;
use super::socket::tune;
use super::stream::Stream;
use super::unix_socket::{self, Access, SocketFile};
use crate::types::client::Peer;

/// A listening socket without a runtime.
#[derive(Debug)]
pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// The same on one.
pub enum Accepting {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

/// Listens at an address, unless such a socket was inherited.
pub fn tcp(address: &Address, inherited: &mut Inherited) -> io::Result<TcpListener> {
    let found: Vec<SocketAddr> = (address.host.as_str(), address.port).to_socket_addrs()?.collect();
    if let Some(listener) = inherited.take_tcp(&found) {
        return Ok(listener);
    }
    let first = chosen(&found).ok_or_else(|| io::Error::other("the name has no address"))?;
    let socket = Socket::new(Domain::for_address(*first), Type::STREAM, Some(Protocol::TCP))?;
    if first.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        // Every address is of both families, whatever net.ipv6.bindv6only says. So it is in Go.
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&(*first).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Of the addresses of a name, the first of IPv4, as in Go: `localhost` is 127.0.0.1 to most clients,
/// though some hosts files have ::1 before it.
fn chosen(found: &[SocketAddr]) -> Option<&SocketAddr> {
    found.iter().find(|address| address.is_ipv4()).or(found.first())
}

/// The same at a path. There is no file to be removed where the socket was inherited.
pub fn unix(
    path: &Path,
    access: &Access,
    inherited: &mut Inherited,
) -> io::Result<(UnixListener, Option<SocketFile>)> {
    if let Some(listener) = inherited.take_unix(path) {
        return Ok((listener, None));
    }
    let (listener, file) = unix_socket::bind(path, access, BACKLOG)?;
    listener.set_nonblocking(true)?;
    Ok((listener, Some(file)))
}

/// What a listening socket is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Local {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl fmt::Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

impl Listener {
    /// `None` for a socket without a name or with an abstract one.
    pub fn local(&self) -> Option<Local> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok().map(Local::Tcp),
            Self::Unix(listener) => Some(Local::Unix(listener.local_addr().ok()?.as_pathname()?.to_owned())),
        }
    }

    /// Of one for TCP.
    pub fn address(&self) -> Option<SocketAddr> {
        match self.local() {
            Some(Local::Tcp(address)) => Some(address),
            _ => None,
        }
    }

    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(listener) => Self::Tcp(listener.try_clone()?),
            Self::Unix(listener) => Self::Unix(listener.try_clone()?),
        })
    }

    /// Attaches it to the current runtime.
    pub fn attach(self) -> io::Result<Accepting> {
        Ok(match self {
            Self::Tcp(listener) => Accepting::Tcp(tokio::net::TcpListener::from_std(listener)?),
            Self::Unix(listener) => Accepting::Unix(tokio::net::UnixListener::from_std(listener)?),
        })
    }
}

impl Accepting {
    /// The next connection, ready for use, and who is at its other end.
    pub async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Fails only when the connection is gone already, which its reader is told.
                let _gone = tune(&stream);
                Ok((Stream::Tcp(stream), Peer::Ip(peer)))
            }
            Self::Unix(listener) => {
                let (stream, _unnamed) = listener.accept().await?;
                let credentials = stream.peer_cred()?;
                Ok((Stream::Unix(stream), Peer::Unix { uid: credentials.uid(), pid: credentials.pid() }))
            }
        }
    }
}

/// Whether a connection to `address` comes in at one of these, which are bound here.
pub fn leads_to(address: SocketAddr, listeners: &[SocketAddr]) -> bool {
    let accepts = |listener: &SocketAddr| match (listener.ip(), address.ip()) {
        (own, ip) if own == ip => true,
        (IpAddr::V4(own), ip @ IpAddr::V4(_)) => own.is_unspecified() && is_local(ip),
        (IpAddr::V6(own), ip) => own.is_unspecified() && is_local(ip),
        _ => false,
    };
    listeners.iter().any(|listener| listener.port() == address.port() && accepts(listener))
}

/// Whether an address is one of this host: it is reached from itself. Nothing is sent.
fn is_local(ip: IpAddr) -> bool {
    let any: IpAddr = if ip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let reached_from = || -> io::Result<IpAddr> {
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect((ip, 1))?;
        Ok(socket.local_addr()?.ip())
    };
    ip.is_loopback() || ip.is_unspecified() || reached_from().is_ok_and(|from| from == ip)
}

/// A node's clients may all come back in the same second.
const BACKLOG: i32 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_listened_at_where_most_clients_look_for_it() {
        let found: [SocketAddr; 3] = ["[::1]:1", "127.0.0.1:1", "127.0.0.2:1"].map(|it| it.parse().unwrap());
        assert_eq!(chosen(&found), Some(&found[1]));
        assert_eq!((chosen(&found[..1]), chosen(&[])), (Some(&found[0]), None));
    }

    #[test]
    fn a_way_back_is_found_whatever_name_this_host_has() {
        let leads = |address: &str, listener: &str| {
            leads_to(address.parse().unwrap(), &["127.0.0.1:1".parse().unwrap(), listener.parse().unwrap()])
        };
        assert!(leads("127.0.0.1:2379", "127.0.0.1:2379"));
        assert!(leads("127.0.0.2:2379", "0.0.0.0:2379") && leads("127.0.0.2:2379", "[::]:2379"));
        assert!(!leads("127.0.0.1:2380", "127.0.0.1:2379") && !leads("127.0.0.2:2379", "127.0.0.1:2379"));
        // For documentation (RFC 5737): nobody's.
        assert!(!leads("192.0.2.1:2379", "0.0.0.0:2379") && !leads("[::1]:2379", "0.0.0.0:2379"));
    }
}
