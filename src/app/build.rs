//! From a configuration to a process that is ready to run.

use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch::{Sender, channel as watched};

use super::certificates::Certificates;
use super::files::Watched;
use super::listeners::{self, Listeners};
use super::reload::{Parts, Reloader};
use crate::admin;
use crate::admin::health::{Health, Phase};
use crate::config::{Config, ConfigErrors, Document, Source};
use crate::listen::metrics::ListenMetrics;
use crate::net::inherited::{Inherited, InheritedError};
use crate::proxy::audit::AuditError;
use crate::proxy::drain::{DrainSignal, channel};
use crate::proxy::lease::{self, LeaseMetrics};
use crate::proxy::metrics::{HoldMetrics, ProxyMetrics, WatermarkMetrics};
use crate::proxy::namespace::{NamespaceMetrics, Namespaces};
use crate::proxy::register::{Register, RegisterMetrics};
use crate::proxy::share::ShareMetrics;
use crate::proxy::watch::{self, WatchMetrics};
use crate::proxy::{self, Audit, Drain, Holds, Proxy, Settings, Shared, Watermark};
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
    /// All of its files, as they looked before they were read.
    pub(super) seen: Watched,
}

impl Start {
    /// Reads the configuration, and the password file that it names.
    pub fn read(source: Source) -> Result<Self, ConfigErrors> {
        let seen = Watched::look(source.file().map(Path::to_owned));
        let document = source.read()?;
        let seen = seen.extended(source.file().map(Path::to_owned).into_iter().chain(document.files()));
        let config = document.resolve()?;
        Ok(Self { source, document, config, seen })
    }
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
    pub fn build(start: Start, levels: Levels, control: &tokio::runtime::Handle) -> Result<Self, StartError> {
        let Config { listen, upstream, proxy, threads, admin, .. } = &start.config;
        // Before the listeners for clients: whoever is served can look at the metrics.
        let mut inherited = Inherited::from_env()?;
        let admin_listener = listeners::bind(&admin.url, &mut inherited)?;
        let admin_tls = admin.tls.as_ref().map(Server::try_new).transpose()?;
        let (any_host, changes) = (admin.any_host, admin.changes);
        let metrics = Metrics::new();
        let (drain_signal, drain) = channel();
        let settings = Settings::new(proxy.clone());
        let cluster = Cluster::try_new(upstream, &metrics, control)?;
        let views = cluster.views();
        let audit = Audit::open(&proxy.audit, views.clone(), &metrics)?;
        let shared = shared(proxy, &settings, &audit, &drain, &metrics);
        let proxies = (0..*threads).map(|_| Proxy::new(cluster.upstream(), shared.clone())).collect();
        let listeners = Listeners::bind(listen, &mut inherited)?;
        listeners::all_taken(&inherited, listen, &admin.url)?;
        if upstream.tls.skip_verify {
            listeners.tell_unverified();
        }
        let (phase, phases) = watched(Phase::Starting);
        let heartbeats = Heartbeats::new(*threads, Instant::now());
        let servers = listeners.certificates().chain(admin_tls.clone()).collect();
        let certificates = Certificates::new(servers, cluster.tls(), &metrics);
        let (namespaces, watches) = (shared.namespaces.clone(), shared.watches.clone());
        let capacity = listeners.capacity.clone();
        let parts = Parts { cluster, settings, capacity, audit, namespaces, watches, levels, certificates };
        let (reloader, text) = Reloader::new(start, parts, &metrics);
        Ok(Self {
            admin: (admin_listener, admin_tls),
            listen_metrics: ListenMetrics::new(&metrics),
            shown: admin::State {
                any_host,
                changes,
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

/// What all threads of the data path have in common.
fn shared(
    config: &proxy::Config,
    settings: &Settings,
    audit: &Audit,
    drain: &Drain,
    metrics: &Metrics,
) -> Shared {
    // Registered whether they will count or not.
    let registered = RegisterMetrics::new(metrics);
    Shared {
        settings: settings.clone(),
        audit: audit.clone(),
        drain: drain.clone(),
        holds: Holds::new(HoldMetrics::new(metrics)),
        leases: lease::Hub::new(&config.lease, LeaseMetrics::new(metrics)),
        metrics: ProxyMetrics::new(metrics),
        namespaces: Namespaces::new(&config.namespace, NamespaceMetrics::new(metrics)),
        watches: watch::Hub::new(&config.watch, WatchMetrics::new(metrics)),
        reads: ShareMetrics::new(metrics),
        register: config.register.as_ref().map(|config| Register::new(config, registered)),
        registry: metrics.clone(),
        watermark: Watermark::new(WatermarkMetrics::new(metrics)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;

    #[test]
    fn what_changes_after_it_was_read_is_a_change() {
        let directory = tempfile::tempdir().unwrap();
        let [file, password] = ["etcdlet.yaml", "password"].map(|name| directory.path().join(name));
        let auth = format!("{{username: u, password-file: '{}'}}", password.display());
        std::fs::write(&file, format!("upstream: {{endpoints: ['a:1'], auth: {auth}}}")).unwrap();
        std::fs::write(&password, "old").unwrap();
        let start = Start::read(Source::new(Some(file), Overrides::default())).unwrap();
        assert!(start.seen == start.seen.again());
        std::fs::write(&password, "the new one").unwrap();
        assert!(start.seen != start.seen.again());
    }
}
