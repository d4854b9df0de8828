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
    ended: IntCounterVec,
    refused: IntCounterVec,
    pub(super) tunnels: IntCounter,
    tunnel_failures: IntCounterVec,
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
            ended: metrics.register(IntCounterVec::new(
                Opts::new(
                    "etcdlet_connections_ended_total",
                    "Client connections ended from here, by reason: idle, keep-alive, pings, unfinished.",
                ),
                &["reason"],
            )),
            refused: metrics.register(IntCounterVec::new(
                Opts::new(
                    "etcdlet_connections_refused_total",
                    "Client connections closed without being served, by reason: limit, listener limit, peer limit, \
                     protocol, timeout, tls.",
                ),
                &["reason"],
            )),
            tunnels: counter("etcdlet_tunnels_total", "Client connections that were passed to a member as they are."),
            tunnel_failures: metrics.register(IntCounterVec::new(
                Opts::new(
                    "etcdlet_tunnel_failures_total",
                    "The same that could not be made or ended early, by reason: cut, lost, no member, unreachable.",
                ),
                &["reason"],
            )),
        }
    }

    pub(super) fn on_tunnel_failure(&self, reason: &str) {
        self.tunnel_failures.with_label_values(&[reason]).inc();
    }

    pub(super) fn on_ended(&self, reason: &str) {
        self.ended.with_label_values(&[reason]).inc();
    }

    pub(super) fn on_refused(&self, reason: &str) {
        self.refused.with_label_values(&[reason]).inc();
    }
}
