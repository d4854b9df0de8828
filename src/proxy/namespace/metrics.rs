//! What waits to be edited, and what is refused.

use prometheus::{IntCounterVec, IntGauge, Opts};

use crate::telemetry::metrics::Metrics;

#[derive(Clone)]
pub struct NamespaceMetrics {
    pub(super) bytes: IntGauge,
    refused: IntCounterVec,
}

impl NamespaceMetrics {
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            bytes: metrics.register(IntGauge::new(
                "etcdlet_namespace_bytes",
                "Bytes of messages that wait to be whole, or for their client, on listeners with a namespace.",
            )),
            refused: metrics.register(IntCounterVec::new(
                Opts::new(
                    "etcdlet_namespace_refused_total",
                    "Calls that could not be kept in the namespace of their listener, by reason.",
                ),
                &["reason"],
            )),
        }
    }

    pub(super) fn on_refused(&self, reason: &str) {
        self.refused.with_label_values(&[reason]).inc();
    }
}
