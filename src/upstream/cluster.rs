//! What all threads share: discovery, health, and the way to make connections.

use tokio::sync::watch;

use super::config::Config;
use super::dial::{Dialer, Timeout};
use super::discovery::{self, dns::DnsError};
use super::health::metrics::HealthMetrics;
use super::health::{self, Publisher, Signals};
use super::metrics::Families;
use super::pool::Upstream;
use crate::telemetry::metrics::Metrics;
use crate::tls::TlsError;
use crate::tls::client::Client;

pub struct Cluster {
    dialer: Dialer,
    families: Families,
    signals: Signals,
    publisher: Publisher,
    /// Told of every change of the configuration.
    discovery: watch::Sender<discovery::Config>,
    health: watch::Sender<health::Settings>,
}

#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error("cannot set up name resolution: {0}")]
    Dns(#[from] DnsError),
    #[error("upstream.endpoints: https needs a restart, because nothing of the cluster was https before")]
    TlsAnew,
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Cluster {
    /// Reads the certificate files, if the endpoints or the configuration need them, and begins to
    /// watch the cluster from `control`, the runtime on which connections are made.
    pub fn try_new(
        config: &Config,
        metrics: &Metrics,
        control: &tokio::runtime::Handle,
    ) -> Result<Self, ClusterError> {
        let tls = tls(config)?;
        let dialer = Dialer {
            control: control.clone(),
            tls,
            timeout: Timeout::new(config.connect_timeout),
            http_endpoints: config.http_endpoints.clone().into(),
        };
        let signals = Signals::default();
        let (discovery_sender, discovery) = watch::channel(config.discovery.clone());
        let (discovery, seeds) = discovery::Driver::try_new(discovery, metrics)?;
        let (health_sender, settings) = watch::channel(settings(config));
        let (health, publisher) = health::Driver::new(
            settings,
            dialer.clone(),
            HealthMetrics::new(metrics),
            signals.clone(),
            seeds,
        );
        control.spawn(discovery.run());
        control.spawn(health.run());
        Ok(Self {
            dialer,
            families: Families::new(metrics),
            signals,
            publisher,
            discovery: discovery_sender,
            health: health_sender,
        })
    }

    /// What would keep it from starting.
    pub fn check(config: &Config) -> Result<(), ClusterError> {
        discovery::check(&config.discovery)?;
        tls(config)?;
        Ok(())
    }

    /// Takes over how the cluster is found, watched and connected to. `tls` and `cluster-id` stay. An
    /// error leaves everything as it was.
    pub fn reload(&self, config: &Config) -> Result<(), ClusterError> {
        discovery::check(&config.discovery)?;
        if config.discovery.needs_tls() && self.dialer.tls.is_none() {
            return Err(ClusterError::TlsAnew);
        }
        self.dialer.timeout.set(config.connect_timeout);
        set(&self.health, settings(config));
        set(&self.discovery, config.discovery.clone());
        Ok(())
    }

    /// For one thread of the data path.
    pub fn upstream(&self) -> Upstream {
        Upstream::new(
            self.dialer.clone(),
            self.families.clone(),
            self.signals.clone(),
            self.publisher.clone(),
        )
    }

    /// What connections are made with, to be read again when its files have changed.
    pub fn tls(&self) -> Option<Client> {
        self.dialer.tls.clone()
    }

    /// For those who show it.
    pub fn views(&self) -> Publisher {
        self.publisher.clone()
    }
}

fn tls(config: &Config) -> Result<Option<Client>, TlsError> {
    let needs_tls = config.discovery.needs_tls()
        || config.http_endpoints.iter().any(|address| address.tls)
        || config.tls != Default::default();
    needs_tls.then(|| Client::try_new(&config.tls)).transpose()
}

fn settings(config: &Config) -> health::Settings {
    health::Settings { config: config.health.clone(), credentials: config.credentials.clone() }
}

/// Wakes nobody for what was there before.
fn set<T: PartialEq>(sender: &watch::Sender<T>, value: T) {
    sender.send_if_modified(|known| {
        let changed = *known != value;
        *known = value;
        changed
    });
}
