//! What the audit log keeps in memory, beside the lines that wait.

use prometheus::IntGauge;

use crate::telemetry::metrics::Metrics;

pub(super) struct AuditMetrics {
    pub request_bytes: IntGauge,
    pub tokens: IntGauge,
}

impl AuditMetrics {
    pub fn new(metrics: &Metrics) -> Self {
        let gauge = |name: &str, help: &str| metrics.register(IntGauge::new(name, help));
        Self {
            request_bytes: gauge(
                "etcdlet_audit_request_bytes",
                "Bytes of requests that are kept until they can be told.",
            ),
            tokens: gauge("etcdlet_audit_tokens", "Tokens whose users are known."),
        }
    }
}
