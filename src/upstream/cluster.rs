//! What all threads share: discovery, health, and the way to make connections.

use super::config::Config;
use super::dial::Dialer;
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
}

#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error("cannot set up name resolution: {0}")]
    Dns(#[from] DnsError),
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
        let needs_tls = config.discovery.needs_tls()
            || config.http_endpoints.iter().any(|address| address.tls)
            || config.tls != Default::default();
        let tls = needs_tls.then(|| Client::try_new(&config.tls)).transpose()?;
        let dialer = Dialer {
            control: control.clone(),
            tls,
            timeout: config.connect_timeout,
            http_endpoints: config.http_endpoints.clone().into(),
        };
        let signals = Signals::default();
        let (discovery, seeds) = discovery::Driver::try_new(&config.discovery, metrics)?;
        let (health, publisher) = health::Driver::new(
            config.health.clone(),
            dialer.clone(),
            config.credentials.clone(),
            HealthMetrics::new(metrics),
            signals.clone(),
            seeds,
        );
        control.spawn(discovery.run());
        control.spawn(health.run());
        Ok(Self { dialer, families: Families::new(metrics), signals, publisher })
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

    /// For those who show it.
    pub fn views(&self) -> Publisher {
        self.publisher.clone()
    }
}
