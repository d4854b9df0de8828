//! Making connections, away from the data path.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, TlsStream};

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
    pub timeout: Duration,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Protocol {
    H1,
    H2,
}

impl Dialer {
    pub async fn dial(&self, address: &Address, protocol: Protocol) -> io::Result<Parked> {
        let (dialer, address) = (self.clone(), address.clone());
        let attempt = async move {
            let limit = dialer.timeout;
            tokio::time::timeout(limit, dialer.connect(&address, protocol)).await.unwrap_or_else(|_| {
                Err(io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {limit:?}")))
            })
        };
        self.control.spawn(attempt).await.unwrap_or_else(|stopped| Err(io::Error::other(stopped)))
    }

    async fn connect(&self, address: &Address, protocol: Protocol) -> io::Result<Parked> {
        let stream = TcpStream::connect((address.host.as_str(), address.port)).await?;
        tune_to_member(&stream)?;
        let Some(client) = self.tls.as_ref().filter(|_| address.tls) else {
            return Parked::plain(stream);
        };
        let config: Arc<ClientConfig> = match protocol {
            Protocol::H1 => client.h1.clone(),
            Protocol::H2 => client.h2.clone(),
        };
        let name = client.server_name.clone().unwrap_or_else(|| address.host.clone());
        let name = ServerName::try_from(name).map_err(io::Error::other)?;
        let session = TlsConnector::from(config).connect(name, Socket::direct(stream)).await?;
        Parked::tls(TlsStream::Client(session))
    }
}
