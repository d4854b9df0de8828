//! What is known of the registration.

use prometheus::IntGauge;

use crate::telemetry::metrics::Metrics;

#[derive(Clone)]
pub struct RegisterMetrics {
    pub(super) registered: IntGauge,
    pub(super) proxies: IntGauge,
}

impl RegisterMetrics {
    pub fn new(metrics: &Metrics) -> Self {
        let gauge = |name: &str, help: &str| metrics.register(IntGauge::new(name, help));
        Self {
            registered: gauge(
                "etcdlet_registered",
                "1 while this proxy is registered below register.prefix.",
            ),
            proxies: gauge(
                "etcdlet_registered_proxies",
                "Proxies that are registered below register.prefix.",
            ),
        }
    }
}
