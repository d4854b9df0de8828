//! What the watch hub has and saves.

use std::time::Instant;

use prometheus::{Gauge, IntCounter, IntGauge};

use super::core::Numbers;
use crate::telemetry::metrics::Metrics;

/// Threads add to the same ones.
#[derive(Clone)]
pub struct WatchMetrics {
    streams: IntGauge,
    watchers: IntGauge,
    lagging: IntGauge,
    feeds: IntGauge,
    catch_ups: IntGauge,
    ring_bytes: IntGauge,
    queued_bytes: IntGauge,
    lag_revisions: IntGauge,
    lag_seconds: Gauge,
    coalescing_ratio: Gauge,
    events_in: IntCounter,
    events_out: IntCounter,
    bytes_in: IntCounter,
    bytes_out: IntCounter,
    bytes_saved: IntCounter,
    feeds_opened: IntCounter,
    catch_ups_opened: IntCounter,
    resumes: IntCounter,
    merges: IntCounter,
    splits: IntCounter,
    lags: IntCounter,
    compaction_cancels: IntCounter,
    parted: IntCounter,
    ends: IntCounter,
}

impl WatchMetrics {
    pub fn new(metrics: &Metrics) -> Self {
        let counter = |name, help| metrics.register(IntCounter::new(name, help));
        let gauge = |name, help| metrics.register(IntGauge::new(name, help));
        Self {
            streams: gauge("etcdlet_watch_streams", "Watch streams of clients that share."),
            watchers: gauge("etcdlet_watch_watchers", "Watches of clients that share."),
            lagging: gauge("etcdlet_watch_lagging", "Watches whose client does not read fast enough."),
            feeds: gauge("etcdlet_watch_feeds", "Watches open at members, catch-ups included."),
            catch_ups: gauge("etcdlet_watch_catch_ups", "Watches at members for one late watcher each."),
            ring_bytes: gauge("etcdlet_watch_ring_bytes", "Bytes of events kept for late watchers."),
            queued_bytes: gauge("etcdlet_watch_queued_bytes", "Bytes that wait for clients to read."),
            lag_revisions: gauge(
                "etcdlet_watch_lag_revisions",
                "Revisions that the watch has still to be shown that is farthest behind.",
            ),
            lag_seconds: metrics.register(Gauge::new(
                "etcdlet_watch_lag_seconds",
                "For how long the watch is behind that has been so for longest.",
            )),
            coalescing_ratio: metrics.register(Gauge::new(
                "etcdlet_watch_coalescing_ratio",
                "Watches of clients for each watch at a member.",
            )),
            events_in: counter("etcdlet_watch_events_received_total", "Events received from members."),
            events_out: counter("etcdlet_watch_events_delivered_total", "Events delivered to watches."),
            bytes_in: counter("etcdlet_watch_received_bytes_total", "Bytes of events received from members."),
            bytes_out: counter("etcdlet_watch_delivered_bytes_total", "Bytes delivered to watches."),
            bytes_saved: counter(
                "etcdlet_watch_bytes_saved_total",
                "Bytes delivered to watches beyond those received for them.",
            ),
            feeds_opened: counter("etcdlet_watch_feeds_opened_total", "Shared watches opened at members."),
            catch_ups_opened: counter("etcdlet_watch_catch_ups_opened_total", "Catch-ups opened at members."),
            resumes: counter(
                "etcdlet_watch_resumes_total",
                "Watches that were lost with their member and went on at another one.",
            ),
            merges: counter("etcdlet_watch_merges_total", "Watches at members that a wider one took over."),
            splits: counter(
                "etcdlet_watch_splits_total",
                "Watches at members that narrower ones took over, because nobody needed all of it.",
            ),
            lags: counter(
                "etcdlet_watch_lags_total",
                "Times that a watch had to wait because its client did not read.",
            ),
            compaction_cancels: counter(
                "etcdlet_watch_compaction_cancels_total",
                "Watches canceled because what they still had to see was compacted.",
            ),
            parted: counter(
                "etcdlet_watch_parted_total",
                "Streams of clients that went on under their own token, because upstream.auth may not.",
            ),
            ends: counter(
                "etcdlet_watch_ends_total",
                "Streams of clients that were ended, to be opened again by the client.",
            ),
        }
    }

    /// Adds what has changed.
    pub(super) fn on_numbers(&self, before: &Numbers, now: &Numbers, at: Instant) {
        for (gauge, before, now) in [
            (&self.streams, before.streams, now.streams),
            (&self.watchers, before.watchers, now.watchers),
            (&self.lagging, before.lagging, now.lagging),
            (&self.feeds, before.feeds, now.feeds),
            (&self.catch_ups, before.catch_ups, now.catch_ups),
            (&self.ring_bytes, before.ring_bytes, now.ring_bytes),
            (&self.queued_bytes, before.queued_bytes, now.queued_bytes),
        ] {
            gauge.add(now as i64 - before as i64);
        }
        self.lag_revisions.set(now.lag_revisions);
        let lag = now.behind_since.map(|since| at.saturating_duration_since(since).as_secs_f64());
        self.lag_seconds.set(lag.unwrap_or(0.0));
        self.coalescing_ratio.set(now.coalescing_ratio());
        for (counter, before, now) in [
            (&self.events_in, before.counts.events_in, now.counts.events_in),
            (&self.events_out, before.counts.events_out, now.counts.events_out),
            (&self.bytes_in, before.counts.bytes_in, now.counts.bytes_in),
            (&self.bytes_out, before.counts.bytes_out, now.counts.bytes_out),
            (&self.bytes_saved, before.counts.bytes_saved, now.counts.bytes_saved),
            (&self.feeds_opened, before.counts.feeds_opened, now.counts.feeds_opened),
            (&self.catch_ups_opened, before.counts.catch_ups_opened, now.counts.catch_ups_opened),
            (&self.resumes, before.counts.resumes, now.counts.resumes),
            (&self.merges, before.counts.merges, now.counts.merges),
            (&self.splits, before.counts.splits, now.counts.splits),
            (&self.lags, before.counts.lags, now.counts.lags),
            (&self.compaction_cancels, before.counts.compaction_cancels, now.counts.compaction_cancels),
            (&self.parted, before.counts.parted, now.counts.parted),
            (&self.ends, before.counts.ends, now.counts.ends),
        ] {
            counter.inc_by(now - before);
        }
    }
}
