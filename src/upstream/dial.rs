//! Making connections, away from the data path.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, TlsStream};

use super::view::Endpoint;
use crate::net::address::Address;
use crate::net::socket::{Socket, tune_to_member};
use crate::net::transport::Parked;
use crate::tls::client::Client;

/// Connects to endpoints. Name resolution and TLS run on the control runtime, because a
/// handshake costs a millisecond that every call of the data path would wait for.
#[derive(Clone)]
pub(super) struct Dialer {
    pub control: tokio::runtime::Handle,
    pub tls: Option<Client>,
    pub timeout: Timeout,
    /// Where HTTP is served, if that is not where gRPC is.
    pub http_endpoints: Arc<[Address]>,
}

/// For name resolution, TCP and TLS together; can change at any time. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Timeout(Arc<AtomicU64>);

impl Timeout {
    pub fn new(limit: Duration) -> Self {
        let timeout = Self(Arc::default());
        timeout.set(limit);
        timeout
    }

    pub fn set(&self, limit: Duration) {
        self.0.store(u64::try_from(limit.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub fn limit(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Protocol {
    H1,
    H2,
}

impl Dialer {
    /// Where a member may serve HTTP, at least one address: the one of its host if there is just one,
    /// otherwise nobody knows which.
    pub fn http_of(&self, endpoint: &Endpoint) -> Vec<Endpoint> {
        let at =
            |address: &Address| Endpoint { address: address.clone(), server_name: None, ..endpoint.clone() };
        let same_host = |address: &&Address| address.host == endpoint.address.host;
        let mut own = self.http_endpoints.iter().filter(same_host);
        match (own.next(), own.next()) {
            _ if self.http_endpoints.is_empty() => vec![endpoint.clone()],
            (Some(only), None) => vec![at(only)],
            _ => self.http_endpoints.iter().map(at).collect(),
        }
    }

    pub async fn dial(&self, endpoint: &Endpoint, protocol: Protocol) -> io::Result<Parked> {
        let (dialer, endpoint) = (self.clone(), endpoint.clone());
        let attempt = async move {
            let limit = dialer.timeout.limit();
            tokio::time::timeout(limit, dialer.connect(&endpoint, protocol)).await.unwrap_or_else(|_| {
                Err(io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {limit:?}")))
            })
        };
        self.control.spawn(attempt).await.unwrap_or_else(|stopped| Err(io::Error::other(stopped)))
    }

    async fn connect(&self, endpoint: &Endpoint, protocol: Protocol) -> io::Result<Parked> {
        let Endpoint { address, server_name, .. } = endpoint;
        let stream = TcpStream::connect((address.host.as_str(), address.port)).await?;
        tune_to_member(&stream)?;
        if !address.tls {
            return Parked::plain(stream);
        }
        let untold = || io::Error::other("TLS is needed, and upstream.tls says nothing of it");
        let client = self.tls.as_ref().ok_or_else(untold).map_err(reached)?;
        let config = match protocol {
            Protocol::H1 => client.current().h1,
            Protocol::H2 => client.current().h2,
        };
        let name = client.server_name().or(server_name.as_ref()).unwrap_or(&address.host).clone();
        let name = ServerName::try_from(name).map_err(io::Error::other)?;
        let session = TlsConnector::from(config).connect(name, Socket::direct(stream)).await;
        Parked::tls(TlsStream::Client(session.map_err(reached)?))
    }
}

/// What goes wrong after the TCP connection stands.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Reached(io::Error);

fn reached(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), Reached(error))
}

/// Whether there was somebody, with whom no TLS session came about.
pub(super) fn has_reached(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|error| error.is::<Reached>())
}
