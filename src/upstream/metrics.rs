//! What each endpoint does.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};

use crate::net::socket::Traffic;
use crate::telemetry::metrics::Metrics;

#[derive(Clone)]
pub struct Families {
    calls: IntCounterVec,
    connect_failures: IntCounterVec,
    connections: IntGaugeVec,
    failures: IntCounterVec,
    received: IntCounterVec,
    sent: IntCounterVec,
    streams: IntGaugeVec,
    tunnels: IntGaugeVec,
}

impl Families {
    pub fn new(metrics: &Metrics) -> Self {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            metrics.register(IntCounterVec::new(Opts::new(name, help), labels))
        };
        let gauge =
            |name: &str, help: &str| metrics.register(IntGaugeVec::new(Opts::new(name, help), &["endpoint"]));
        Self {
            calls: counter("etcdlet_upstream_calls_total", "Calls sent to the endpoint.", &["endpoint"]),
            connect_failures: counter(
                "etcdlet_upstream_connect_failures_total",
                "Connections to the endpoint that could not be made.",
                &["endpoint"],
            ),
            connections: gauge("etcdlet_upstream_connections", "HTTP/2 connections open to the endpoint."),
            failures: counter(
                "etcdlet_upstream_failures_total",
                "Calls without an answer, by reason.",
                &["reason"],
            ),
            received: counter(
                "etcdlet_upstream_received_bytes_total",
                "Bytes received from the endpoint, TLS included.",
                &["endpoint"],
            ),
            sent: counter(
                "etcdlet_upstream_sent_bytes_total",
                "Bytes sent to the endpoint, TLS included.",
                &["endpoint"],
            ),
            streams: gauge("etcdlet_upstream_streams", "HTTP/2 streams open to the endpoint."),
            tunnels: gauge(
                "etcdlet_tunnels",
                "Connections of clients that pass to the endpoint as they are.",
            ),
        }
    }

    pub(super) fn of(&self, endpoint: &str) -> EndpointMetrics {
        let label = &[endpoint];
        EndpointMetrics {
            calls: self.calls.with_label_values(label),
            connect_failures: self.connect_failures.with_label_values(label),
            connections: self.connections.with_label_values(label),
            streams: self.streams.with_label_values(label),
            tunnels: self.tunnels.with_label_values(label),
            traffic: Traffic {
                received: self.received.with_label_values(label),
                sent: self.sent.with_label_values(label),
            },
        }
    }

    /// Of an endpoint that is gone.
    pub(super) fn remove(&self, endpoint: &str) {
        let label = &[endpoint];
        // Absent where another thread was faster.
        let _absent = self.calls.remove_label_values(label);
        let _absent = self.connect_failures.remove_label_values(label);
        let _absent = self.connections.remove_label_values(label);
        let _absent = self.received.remove_label_values(label);
        let _absent = self.sent.remove_label_values(label);
        let _absent = self.streams.remove_label_values(label);
        let _absent = self.tunnels.remove_label_values(label);
    }

    pub(super) fn on_failure(&self, reason: &str) {
        self.failures.with_label_values(&[reason]).inc();
    }
}

#[derive(Clone)]
pub(super) struct EndpointMetrics {
    pub calls: IntCounter,
    pub connect_failures: IntCounter,
    pub connections: IntGauge,
    pub streams: IntGauge,
    pub tunnels: IntGauge,
    pub traffic: Traffic,
}

impl EndpointMetrics {
    /// Counts for nobody.
    pub fn detached() -> Self {
        Families::new(&Metrics::new()).of("")
    }
}
