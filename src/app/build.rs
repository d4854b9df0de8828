//! From a configuration to a process that is ready to run.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::time::Instant;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::watch::{Sender, channel as watched};

use super::certificates::Certificates;
use super::reload::{Parts, Reloader};
use crate::admin;
use crate::admin::health::{Health, Phase};
use crate::config::{Config, Document, Source};
use crate::listen::config::Limits;
use crate::listen::metrics::ListenMetrics;
use crate::net::address::Address;
use crate::proxy::drain::{DrainSignal, channel};
use crate::proxy::lease::{self, LeaseMetrics};
use crate::proxy::metrics::{HoldMetrics, ProxyMetrics, WatermarkMetrics};
use crate::proxy::namespace::{NamespaceMetrics, Namespaces};
use crate::proxy::share::ShareMetrics;
use crate::proxy::watch::{self, WatchMetrics};
use crate::proxy::{Drain, Holds, Proxy, Settings, Shared, Watermark};
use crate::telemetry::heartbeat::Heartbeats;
use crate::telemetry::log::Levels;
use crate::telemetry::metrics::Metrics;
use crate::tls::TlsError;
use crate::tls::server::Server;
use crate::types::client::Terms;
use crate::upstream::{Cluster, ClusterError};

pub struct App {
    pub(super) admin: (TcpListener, Option<Server>),
    /// On the admin port.
    pub(super) shown: admin::State,
    pub(super) plain: Vec<(TcpListener, Arc<Terms>)>,
    pub(super) tls: Vec<(TcpListener, Server, Arc<Terms>)>,
    /// One per thread of the data path.
    pub(super) proxies: Vec<Arc<Proxy>>,
    pub(super) listen_metrics: ListenMetrics,
    pub(super) limits: Limits,
    pub(super) drain: Drain,
    pub(super) drain_signal: DrainSignal,
    pub(super) heartbeats: Heartbeats,
    pub(super) phase: Sender<Phase>,
    pub(super) reloader: Reloader,
}

/// What a process begins with.
pub struct Start {
    /// Where the configuration is from.
    pub source: Source,
    pub document: Document,
    /// What the document says.
    pub config: Config,
    pub levels: Levels,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {url}: {source}")]
    Listen { url: Address, source: io::Error },
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl App {
    /// Binds every listener and reads every certificate. Connections to the cluster will be
    /// made on `control`.
    pub fn build(start: Start, control: &tokio::runtime::Handle) -> Result<Self, StartError> {
        let Start { source, document, config, levels } = start;
        let Config { listen, upstream, proxy, threads, admin, .. } = &config;
        // Before the listeners for clients: whoever is served can look at the metrics.
        let admin_listener = bind(&admin.url)?;
        let admin_tls = admin.tls.as_ref().map(Server::try_new).transpose()?;
        let metrics = Metrics::new();
        let (drain_signal, drain) = channel();
        let settings = Settings::new(proxy.clone());
        let shared = Shared {
            settings: settings.clone(),
            drain: drain.clone(),
            holds: Holds::new(HoldMetrics::new(&metrics)),
            leases: lease::Hub::new(&proxy.lease, LeaseMetrics::new(&metrics)),
            metrics: ProxyMetrics::new(&metrics),
            namespaces: Namespaces::new(&proxy.namespace, NamespaceMetrics::new(&metrics)),
            watches: watch::Hub::new(&proxy.watch, WatchMetrics::new(&metrics)),
            reads: ShareMetrics::new(&metrics),
            watermark: Watermark::new(WatermarkMetrics::new(&metrics)),
        };
        let cluster = Cluster::try_new(upstream, &metrics, control)?;
        let proxies = (0..*threads).map(|_| Proxy::new(cluster.upstream(), shared.clone())).collect();
        let (mut plain, mut tls) = (Vec::new(), Vec::new());
        for listener in &listen.listeners {
            let socket = bind(&listener.url)?;
            let terms = Arc::new(listener.terms.clone());
            match &listener.tls {
                None => plain.push((socket, terms)),
                Some(config) => tls.push((socket, Server::try_new(config)?, terms)),
            }
        }
        let (phase, phases) = watched(Phase::Starting);
        let heartbeats = Heartbeats::new(*threads, Instant::now());
        let (limits, views) = (listen.limits.clone(), cluster.views());
        let servers = tls.iter().map(|(_, server, _)| server.clone()).chain(admin_tls.clone()).collect();
        let certificates = Certificates::new(servers, cluster.tls(), &metrics);
        let (namespaces, watches) = (shared.namespaces.clone(), shared.watches.clone());
        let parts = Parts { cluster, settings, namespaces, watches, levels, certificates };
        let (reloader, text) = Reloader::new(source, document, config, parts, &metrics);
        Ok(Self {
            admin: (admin_listener, admin_tls),
            listen_metrics: ListenMetrics::new(&metrics),
            shown: admin::State {
                metrics,
                health: Health { heartbeats: heartbeats.clone(), phase: phases, views: views.clone() },
                views,
                watermark: shared.watermark,
                watches: shared.watches,
                config: text,
                levels: reloader.levels(),
                drain: Arc::default(),
            },
            limits,
            plain,
            tls,
            proxies,
            drain,
            drain_signal,
            heartbeats,
            phase,
            reloader,
        })
    }
}

fn bind(url: &Address) -> Result<TcpListener, StartError> {
    let fail = |source| StartError::Listen { url: url.clone(), source };
    let address = (url.host.as_str(), url.port)
        .to_socket_addrs()
        .map_err(fail)?
        .next()
        .ok_or_else(|| fail(io::Error::other("the name has no address")))?;
    let listener = listen(address).map_err(fail)?;
    tracing::info!(%url, address = ?listener.local_addr().ok(), "listening");
    Ok(listener)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A node's clients may all come back in the same second.
const BACKLOG: i32 = 4096;
