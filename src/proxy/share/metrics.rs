//! What sharing saves.

use prometheus::IntCounter;

use crate::telemetry::metrics::Metrics;

#[derive(Clone)]
pub struct ShareMetrics {
    pub(super) batches: IntCounter,
    pub(super) shared: IntCounter,
}

impl ShareMetrics {
    pub fn new(metrics: &Metrics) -> Self {
        let counter = |name, help| metrics.register(IntCounter::new(name, help));
        Self {
            batches: counter("etcdlet_read_batches_total", "Calls that were sent for reads that waited."),
            shared: counter("etcdlet_reads_shared_total", "Reads that got the answer of another's call."),
        }
    }
}
