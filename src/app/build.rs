//! From a configuration to a process that is ready to run.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch::{Sender, channel as watched};

use super::certificates::Certificates;
use super::listeners::{self, Listeners};
use super::reload::{Parts, Reloader};
use crate::admin;
use crate::admin::health::{Health, Phase};
use crate::config::{Config, Document, Source};
use crate::listen::metrics::ListenMetrics;
use crate::net::inherited::{Inherited, InheritedError};
use crate::proxy::audit::AuditError;
use crate::proxy::drain::{DrainSignal, channel};
use crate::proxy::lease::{self, LeaseMetrics};
use crate::proxy::metrics::{HoldMetrics, ProxyMetrics, WatermarkMetrics};
use crate::proxy::namespace::{NamespaceMetrics, Namespaces};
use crate::proxy::share::ShareMetrics;
use crate::proxy::watch::{self, WatchMetrics};
use crate::proxy::{Audit, Drain, Holds, Proxy, Settings, Shared, Watermark};
use crate::telemetry::heartbeat::Heartbeats;
use crate::telemetry::log::Levels;
use crate::telemetry::metrics::Metrics;
use crate::tls::TlsError;
use crate::tls::server::Server;
use crate::upstream::{Cluster, ClusterError};

pub struct App {
    pub(super) admin: (TcpListener, Option<Server>),
    /// On the admin port.
    pub(super) shown: admin::State,
    pub(super) listeners: Listeners,
    /// One per thread of the data path.
    pub(super) proxies: Vec<Arc<Proxy>>,
    pub(super) listen_metrics: ListenMetrics,
    pub(super) audit: Audit,
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
    pub fn build(start: Start, control: &tokio::runtime::Handle) -> Result<Self, StartError> {
        let Start { source, document, config, levels } = start;
        let Config { listen, upstream, proxy, threads, admin, .. } = &config;
        // Before the listeners for clients: whoever is served can look at the metrics.
        let mut inherited = Inherited::from_env()?;
        let admin_listener = listeners::bind(&admin.url, &mut inherited)?;
        let admin_tls = admin.tls.as_ref().map(Server::try_new).transpose()?;
        let metrics = Metrics::new();
        let (drain_signal, drain) = channel();
        let settings = Settings::new(proxy.clone());
        let cluster = Cluster::try_new(upstream, &metrics, control)?;
        let views = cluster.views();
        let audit = Audit::open(&proxy.audit, views.clone(), &metrics)?;
        let shared = Shared {
            settings: settings.clone(),
            audit: audit.clone(),
            drain: drain.clone(),
            holds: Holds::new(HoldMetrics::new(&metrics)),
            leases: lease::Hub::new(&proxy.lease, LeaseMetrics::new(&metrics)),
            metrics: ProxyMetrics::new(&metrics),
            namespaces: Namespaces::new(&proxy.namespace, NamespaceMetrics::new(&metrics)),
            watches: watch::Hub::new(&proxy.watch, WatchMetrics::new(&metrics)),
            reads: ShareMetrics::new(&metrics),
            registry: metrics.clone(),
            watermark: Watermark::new(WatermarkMetrics::new(&metrics)),
        };
        let proxies = (0..*threads).map(|_| Proxy::new(cluster.upstream(), shared.clone())).collect();
        let listeners = Listeners::bind(listen, &mut inherited)?;
        listeners::all_taken(&inherited, listen, &admin.url)?;
        let (phase, phases) = watched(Phase::Starting);
        let heartbeats = Heartbeats::new(*threads, Instant::now());
        let servers = listeners.certificates().chain(admin_tls.clone()).collect();
        let certificates = Certificates::new(servers, cluster.tls(), &metrics);
        let (namespaces, watches) = (shared.namespaces.clone(), shared.watches.clone());
        let limits = listeners.limits.clone();
        let parts = Parts { cluster, settings, limits, audit, namespaces, watches, levels, certificates };
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
            listeners,
            proxies,
            audit: shared.audit,
            drain,
            drain_signal,
            heartbeats,
            phase,
            reloader,
        })
    }
}
