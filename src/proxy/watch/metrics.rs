//! What the watch hub has and saves.

use prometheus::{IntCounter, IntGauge};

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
    events_in: IntCounter,
    events_out: IntCounter,
    bytes_in: IntCounter,
    bytes_out: IntCounter,
    feeds_opened: IntCounter,
    catch_ups_opened: IntCounter,
    resumes: IntCounter,
    merges: IntCounter,
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
                "Revisions between the highest known and the feed that is farthest behind, of all threads.",
            ),
            events_in: counter("etcdlet_watch_events_received_total", "Events received from members."),
            events_out: counter("etcdlet_watch_events_delivered_total", "Events delivered to watches."),
            bytes_in: counter("etcdlet_watch_received_bytes_total", "Bytes of events received from members."),
            bytes_out: counter("etcdlet_watch_delivered_bytes_total", "Bytes delivered to watches."),
            feeds_opened: counter("etcdlet_watch_feeds_opened_total", "Shared watches opened at members."),
            catch_ups_opened: counter("etcdlet_watch_catch_ups_opened_total", "Catch-ups opened at members."),
            resumes: counter(
                "etcdlet_watch_resumes_total",
                "Watches that were lost with their member and went on at another one.",
            ),
            merges: counter("etcdlet_watch_merges_total", "Watches at members that a wider one took over."),
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
    pub(super) fn on_numbers(&self, before: &Numbers, now: &Numbers) {
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
        self.lag_revisions.add(now.lag_revisions - before.lag_revisions);
        for (counter, before, now) in [
            (&self.events_in, before.events_in, now.events_in),
            (&self.events_out, before.events_out, now.events_out),
            (&self.bytes_in, before.bytes_in, now.bytes_in),
            (&self.bytes_out, before.bytes_out, now.bytes_out),
            (&self.feeds_opened, before.feeds_opened, now.feeds_opened),
            (&self.catch_ups_opened, before.catch_ups_opened, now.catch_ups_opened),
            (&self.resumes, before.resumes, now.resumes),
            (&self.merges, before.merges, now.merges),
            (&self.lags, before.lags, now.lags),
            (&self.compaction_cancels, before.compaction_cancels, now.compaction_cancels),
            (&self.parted, before.parted, now.parted),
            (&self.ends, before.ends, now.ends),
        ] {
            counter.inc_by(now - before);
        }
    }
}
