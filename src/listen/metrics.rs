//! What the listeners see.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts};

use crate::net::socket::Traffic;
use crate::telemetry::metrics::Metrics;

#[derive(Clone)]
pub struct ListenMetrics {
    pub(super) accepted: IntCounter,
    pub(super) connections: IntGauge,
    pub(super) streams: IntGauge,
    pub(super) traffic: Traffic,
    refused: IntCounterVec,
    handshake_failures: IntCounterVec,
}

impl ListenMetrics {
    pub fn new(metrics: &Metrics) -> Self {
        let counter = |name: &str, help: &str| metrics.register(IntCounter::new(name, help));
        let gauge = |name: &str, help: &str| metrics.register(IntGauge::new(name, help));
        Self {
            accepted: counter("etcdlet_connections_total", "Client connections accepted."),
            connections: gauge("etcdlet_connections", "Client connections open."),
            streams: gauge("etcdlet_streams", "HTTP/2 streams of clients open."),
            traffic: Traffic {
                received: counter("etcdlet_received_bytes_total", "Bytes received from clients."),
                sent: counter("etcdlet_sent_bytes_total", "Bytes sent to clients."),
            },
            refused: metrics.register(IntCounterVec::new(
                Opts::new(
                    "etcdlet_connections_refused_total",
                    "Client connections closed without being served, by reason: limit, protocol, timeout, tls.",
                ),
                &["reason"],
            )),
            handshake_failures: metrics.register(IntCounterVec::new(
                Opts::new("etcdlet_tls_handshake_failures_total", "TLS handshakes of clients that failed."),
                &["reason"],
            )),
        }
    }

    pub(super) fn on_handshake_failed(&self, reason: &str) {
        self.on_refused("tls");
        self.handshake_failures.with_label_values(&[reason]).inc();
    }

    pub(super) fn on_refused(&self, reason: &str) {
        self.refused.with_label_values(&[reason]).inc();
    }
}
