//! From a configuration to a process that is ready to run.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use super::listeners::{self, Listeners};
use crate::admin;
use crate::config::{Config, Drain as DrainConfig};
use crate::listen::metrics::ListenMetrics;
use crate::net::inherited::{Inherited, InheritedError};
use crate::proxy::audit::AuditError;
use crate::proxy::drain::{DrainSignal, channel};
use crate::proxy::lease::{self, LeaseMetrics};
use crate::proxy::metrics::{HoldMetrics, ProxyMetrics, WatermarkMetrics};
use crate::proxy::namespace::{NamespaceMetrics, Namespaces};
use crate::proxy::share::ShareMetrics;
use crate::proxy::watch::{self, WatchMetrics};
use crate::proxy::{Audit, Drain, Holds, Proxy, Shared, Watermark};
use crate::telemetry::metrics::Metrics;
use crate::tls::TlsError;
use crate::upstream::{Cluster, ClusterError};

pub struct App {
    pub(super) admin: TcpListener,
    /// On the admin port.
    pub(super) shown: admin::State,
    pub(super) listeners: Listeners,
    /// One per thread of the data path.
    pub(super) proxies: Vec<Arc<Proxy>>,
    pub(super) listen_metrics: ListenMetrics,
    pub(super) audit: Audit,
    pub(super) drain: Drain,
    pub(super) drain_signal: DrainSignal,
    pub(super) drain_config: DrainConfig,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {url}: {source}")]
    Listen { url: String, source: io::Error },
    #[error(transparent)]
    Inherited(#[from] InheritedError),
    #[error("inherited sockets (LISTEN_FDS) fit no listener: {sockets}; configured are {urls}")]
    Untaken { sockets: String, urls: String },
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl App {
    /// Binds every listener, unless its socket was inherited, and reads every certificate.
    /// Connections to the cluster will be made on `control`.
    pub fn build(config: Config, control: &tokio::runtime::Handle) -> Result<Self, StartError> {
        let Config { listen, upstream, proxy, drain: drain_config, threads, admin, log: _ } = config;
        // Before the listeners for clients: whoever is served can look at the metrics.
        let mut inherited = Inherited::from_env()?;
        let admin_listener = listeners::bind(&admin, &mut inherited)?;
        let metrics = Metrics::new();
        let (drain_signal, drain) = channel(drain_config.stream_jitter);
        let audit = Audit::open(&proxy.audit, &metrics)?;
        let shared = Shared {
            audit: audit.clone(),
            drain: drain.clone(),
            holds: Holds::new(&proxy.hold, HoldMetrics::new(&metrics)),
            leases: lease::Hub::new(&proxy.lease, LeaseMetrics::new(&metrics)),
            metrics: ProxyMetrics::new(&metrics),
            namespaces: Namespaces::new(&proxy.namespace, NamespaceMetrics::new(&metrics)),
            watches: watch::Hub::new(&proxy.watch, WatchMetrics::new(&metrics)),
            reads: ShareMetrics::new(&metrics),
            watermark: Watermark::new(WatermarkMetrics::new(&metrics)),
        };
        let cluster = Cluster::try_new(&upstream, &metrics, control)?;
        let proxies = (0..threads).map(|_| Proxy::new(&proxy, cluster.upstream(), shared.clone())).collect();
        let listeners = Listeners::bind(&listen, &mut inherited)?;
        listeners::all_taken(&inherited, &listen, &admin)?;
        Ok(Self {
            admin: admin_listener,
            listen_metrics: ListenMetrics::new(&metrics),
            shown: admin::State {
                metrics,
                views: cluster.views(),
                watermark: shared.watermark,
                watches: shared.watches,
            },
            listeners,
            proxies,
            audit,
            drain,
            drain_signal,
            drain_config,
        })
    }
}
