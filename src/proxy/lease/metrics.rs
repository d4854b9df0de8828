//! What the lease hub saves.

use prometheus::{IntCounter, IntGauge};

use super::core::Counts;
use crate::telemetry::metrics::Metrics;

#[derive(Clone)]
pub struct LeaseMetrics {
    pub(super) streams: IntGauge,
    pub(super) upstream_streams: IntGauge,
    pub(super) held_back: IntCounter,
    requests: IntCounter,
    renewals: IntCounter,
    resends: IntCounter,
    waiting: IntGauge,
    inflight: IntGauge,
}

impl LeaseMetrics {
    pub fn new(metrics: &Metrics) -> Self {
        let counter = |name, help| metrics.register(IntCounter::new(name, help));
        let gauge = |name, help| metrics.register(IntGauge::new(name, help));
        Self {
            streams: gauge("etcdlet_lease_streams", "Keep-alive streams of clients that share."),
            upstream_streams: gauge("etcdlet_lease_upstream_streams", "Keep-alive streams to members."),
            held_back: counter(
                "etcdlet_lease_held_back_total",
                "Times that a client's stream was not read on because too many requests waited.",
            ),
            requests: counter("etcdlet_lease_requests_total", "Keep-alives that clients asked for."),
            renewals: counter("etcdlet_lease_renewals_total", "Keep-alives that were sent to members."),
            resends: counter(
                "etcdlet_lease_resends_total",
                "Keep-alives that were sent again because their stream broke.",
            ),
            waiting: gauge("etcdlet_lease_waiting", "Keep-alives of clients without an answer yet."),
            inflight: gauge("etcdlet_lease_inflight", "Leases with a keep-alive under way to a member."),
        }
    }

    pub(super) fn on_counts(&self, counts: Counts) {
        let Counts { requests, renewals, resends, waiting, inflight } = counts;
        self.requests.inc_by(requests);
        self.renewals.inc_by(renewals);
        self.resends.inc_by(resends);
        self.waiting.add(waiting);
        self.inflight.add(inflight);
    }
}
