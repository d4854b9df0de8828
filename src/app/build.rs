//! From a configuration to a process that is ready to run.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};

use crate::admin;
use crate::config::{Config, Drain as DrainConfig};
use crate::listen::config::Limits;
use crate::listen::metrics::ListenMetrics;
use crate::net::address::Address;
use crate::proxy::drain::{DrainSignal, channel};
use crate::proxy::lease::{self, LeaseMetrics};
use crate::proxy::metrics::{HoldMetrics, ProxyMetrics, WatermarkMetrics};
use crate::proxy::register::{Register, RegisterMetrics};
use crate::proxy::share::ShareMetrics;
use crate::proxy::watch::{self, WatchMetrics};
use crate::proxy::{Drain, Holds, Proxy, Shared, Watermark};
use crate::telemetry::metrics::Metrics;
use crate::tls::TlsError;
use crate::tls::server::Server;
use crate::types::client::Terms;
use crate::upstream::{Cluster, ClusterError};

pub struct App {
    pub(super) admin: TcpListener,
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
    pub(super) drain_config: DrainConfig,
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
    pub fn build(config: Config, control: &tokio::runtime::Handle) -> Result<Self, StartError> {
        let Config { listen, upstream, proxy, drain: drain_config, threads, admin, log: _ } = config;
        // Before the listeners for clients: whoever is served can look at the metrics.
        let admin = bind(&admin)?;
        let metrics = Metrics::new();
        let (drain_signal, drain) = channel(drain_config.stream_jitter);
        let registered = RegisterMetrics::new(&metrics);
        let shared = Shared {
            drain: drain.clone(),
            holds: Holds::new(&proxy.hold, HoldMetrics::new(&metrics)),
            leases: lease::Hub::new(&proxy.lease, LeaseMetrics::new(&metrics)),
            metrics: ProxyMetrics::new(&metrics),
            watches: watch::Hub::new(&proxy.watch, WatchMetrics::new(&metrics)),
            reads: ShareMetrics::new(&metrics),
            register: proxy.register.as_ref().map(|config| Register::new(config, registered)),
            watermark: Watermark::new(WatermarkMetrics::new(&metrics)),
        };
        let cluster = Cluster::try_new(&upstream, &metrics, control)?;
        let proxies = (0..threads).map(|_| Proxy::new(&proxy, cluster.upstream(), shared.clone())).collect();
        let (mut plain, mut tls) = (Vec::new(), Vec::new());
        for listener in &listen.listeners {
            let socket = bind(&listener.url)?;
            let terms = Arc::new(listener.terms.clone());
            match &listener.tls {
                None => plain.push((socket, terms)),
                Some(config) => tls.push((socket, Server::try_new(config)?, terms)),
            }
        }
        Ok(Self {
            admin,
            listen_metrics: ListenMetrics::new(&metrics),
            shown: admin::State {
                metrics,
                views: cluster.views(),
                watermark: shared.watermark,
                watches: shared.watches,
            },
            limits: listen.limits,
            plain,
            tls,
            proxies,
            drain,
            drain_signal,
            drain_config,
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
