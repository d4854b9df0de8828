//! Who calls, and on what terms: what a connection and its listener say of every call on it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;

/// The other end of a connection; one for all its calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    pub peer: Peer,
    /// Common Name of the certificate that it showed, if that was asked for and has one.
    pub common_name: Option<String>,
    pub terms: Arc<Terms>,
}

impl Client {
    /// For calls of etcdlet's own.
    pub fn own() -> Arc<Self> {
        static OWN: LazyLock<Arc<Client>> =
            LazyLock::new(|| Arc::new(Client { peer: Peer::Own, common_name: None, terms: Arc::default() }));
        OWN.clone()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    Ip(SocketAddr),
    /// etcdlet itself.
    Own,
    /// A process of this machine, behind a Unix socket.
    Unix {
        uid: u32,
        /// Where the system tells.
        pid: Option<i32>,
    },
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Own => f.write_str("etcdlet"),
            Self::Unix { uid, pid: None } => write!(f, "unix:uid={uid}"),
            Self::Unix { uid, pid: Some(pid) } => write!(f, "unix:uid={uid},pid={pid}"),
        }
    }
}

/// What a listener does for its clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Whether they share anything: watches, keep-alives, reads.
    pub coalesces: bool,
    /// Put before every key of theirs, and taken off again; empty for none.
    pub namespace: Bytes,
    pub serves: Serves,
}

/// What is to be found at a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serves {
    All,
    /// Only how etcdlet and the cluster are: [`INFO_PATHS`].
    Info,
}

/// Those of `--metrics-addr` of etcd's gRPC proxy.
pub const INFO_PATHS: [&str; 4] = ["/health", "/metrics", "/proxy/health", "/proxy/metrics"];

impl Default for Terms {
    fn default() -> Self {
        Self { coalesces: true, namespace: Bytes::new(), serves: Serves::All }
    }
}
