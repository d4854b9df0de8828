//! Where connections come in: TCP or a Unix socket, bound here or inherited.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
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
    let first = found.first().ok_or_else(|| io::Error::other("the name has no address"))?;
    let socket = Socket::new(Domain::for_address(*first), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&(*first).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
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

/// A node's clients may all come back in the same second.
const BACKLOG: i32 = 4096;
