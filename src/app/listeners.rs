//! Every socket that clients connect to, bound or inherited.

use std::net::TcpListener;
use std::sync::Arc;

use super::build::StartError;
use crate::listen::capacity::{Capacity, Entrance};
use crate::listen::{self, config};
use crate::net::address::Address;
use crate::net::inherited::Inherited;
use crate::net::listen_url::ListenUrl;
use crate::net::listener::{self, Listener};
use crate::net::unix_socket::SocketFile;
use crate::tls::server::Server;
use crate::types::client::Terms;

pub(super) struct Listeners {
    pub plain: Vec<(Listener, Entrance, Arc<Terms>)>,
    /// Whose connections pass as they are.
    pub tcp: Vec<(Listener, Entrance)>,
    pub tls: Vec<(Listener, Entrance, Server, Arc<Terms>)>,
    /// Removed when they are dropped.
    pub files: Vec<SocketFile>,
    pub capacity: Arc<Capacity>,
}

impl Listeners {
    /// Those that `inherited` has are taken from there.
    pub fn bind(config: &listen::Config, inherited: &mut Inherited) -> Result<Self, StartError> {
        let capacity = Capacity::new(config.limits.clone());
        let mut listeners =
            Self { plain: Vec::new(), tcp: Vec::new(), tls: Vec::new(), files: Vec::new(), capacity };
        for listener in &config.listeners {
            listeners.add(listener, inherited)?;
        }
        Ok(listeners)
    }

    pub fn certificates(&self) -> impl Iterator<Item = Server> + '_ {
        self.tls.iter().map(|(_, _, server, _)| server.clone())
    }

    /// That members are not verified. It concerns nobody where bytes only pass.
    pub fn tell_unverified(&self) {
        if self.plain.is_empty() && self.tls.is_empty() {
            tracing::info!(
                "probes take any certificate of a member; clients verify what their connections lead to"
            );
        } else {
            tracing::warn!(
                "this process skips authentication of etcd server TLS certificates (insecure-skip-tls-verify)"
            );
        }
    }

    fn add(&mut self, config: &config::Listener, inherited: &mut Inherited) -> Result<(), StartError> {
        let config::Listener { url, tls, terms, access, connections } = config;
        let fail = |source| StartError::Listen { url: url.to_string(), source };
        let socket = match url {
            ListenUrl::Http(address) | ListenUrl::Tcp(address) => {
                Listener::Tcp(listener::tcp(address, inherited).map_err(fail)?)
            }
            ListenUrl::Unix { path, .. } => {
                let (listener, file) = listener::unix(path, access, inherited).map_err(fail)?;
                self.files.extend(file);
                Listener::Unix(listener)
            }
        };
        let address = socket.local().map(|local| local.to_string());
        tracing::info!(%url, address, "listening");
        let entrance = Entrance::new(self.capacity.clone(), *connections);
        let terms = Arc::new(terms.clone());
        match (url, tls) {
            (ListenUrl::Tcp(_), _) => self.tcp.push((socket, entrance)),
            (_, None) => self.plain.push((socket, entrance, terms)),
            (_, Some(tls)) => self.tls.push((socket, entrance, Server::try_new(tls)?, terms)),
        }
        Ok(())
    }
}

/// A socket at an address, for the admin port.
pub(super) fn bind(url: &Address, inherited: &mut Inherited) -> Result<TcpListener, StartError> {
    let listener = listener::tcp(url, inherited)
        .map_err(|source| StartError::Listen { url: url.to_string(), source })?;
    tracing::info!(%url, address = ?listener.local_addr().ok(), "listening");
    Ok(listener)
}

/// Every inherited socket has to have found its place.
pub(super) fn all_taken(
    inherited: &Inherited,
    config: &listen::Config,
    admin: &Address,
) -> Result<(), StartError> {
    if inherited.is_empty() {
        return Ok(());
    }
    let mut urls: Vec<String> = config.listeners.iter().map(|listener| listener.url.to_string()).collect();
    urls.push(format!("{admin} (admin)"));
    Err(StartError::Untaken { sockets: inherited.to_string(), urls: urls.join(", ") })
}
