//! The highest revision that any client of this node has seen.
//!
//! One etcd member never answers with less than it did before; several do. Whoever reads from the
//! member of its node's choice must not notice that there are several.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::metrics::WatermarkMetrics;
use super::peek::Header;
use crate::types::ids::ClusterId;
use crate::upstream::From;

/// Cheap to clone; one for all threads.
#[derive(Clone)]
pub struct Watermark(Arc<State>);

struct State {
    /// Changed only by whoever holds `changing`, so that the two belong together.
    revision: AtomicI64,
    /// Of the cluster that the revision is of.
    epoch: AtomicU64,
    /// Counts how often revisions began to mean something else.
    life: AtomicU64,
    changing: Mutex<()>,
    metrics: WatermarkMetrics,
}

impl Watermark {
    pub fn new(metrics: WatermarkMetrics) -> Self {
        let (revision, epoch, life, changing) = Default::default();
        Self(Arc::new(State { revision, epoch, life, changing, metrics }))
    }

    pub fn revision(&self) -> i64 {
        self.0.revision.load(Ordering::Relaxed)
    }

    /// Changes when the cluster was restored, or is another one.
    pub fn life(&self) -> u64 {
        self.0.life.load(Ordering::Relaxed)
    }

    fn epoch(&self) -> u64 {
        self.0.epoch.load(Ordering::Relaxed)
    }

    /// A client is about to see this.
    pub(super) fn on_answer(&self, header: Header, from: From) {
        let is_known = from.epoch == self.epoch() && header.revision <= self.revision();
        if is_known || from.is_foreign(ClusterId(header.cluster_id)) {
            return;
        }
        let _changing = self.0.changing.lock().expect("nobody panics while changing the watermark");
        // An answer of the cluster before changes nothing any longer.
        let is_another = from.epoch > self.epoch();
        if is_another {
            self.0.life.fetch_add(1, Ordering::Relaxed);
        }
        if is_another || from.epoch == self.epoch() && header.revision > self.revision() {
            self.set(from.epoch, header.revision);
        }
    }

    /// The cluster has answered through a majority with less than `mark`, which was known before it
    /// was asked. Only one that was restored from a backup does that.
    pub(super) fn on_restored(&self, header: Header, mark: i64, from: From) {
        if from.is_foreign(ClusterId(header.cluster_id)) {
            return;
        }
        let _changing = self.0.changing.lock().expect("nobody panics while changing the watermark");
        if (from.epoch, mark) == (self.epoch(), self.revision()) {
            self.set(from.epoch, header.revision);
            self.0.life.fetch_add(1, Ordering::Relaxed);
            self.0.metrics.restores.inc();
            tracing::warn!(
                revision = header.revision,
                before = mark,
                "the cluster was restored to an older revision"
            );
        }
    }

    fn set(&self, epoch: u64, revision: i64) {
        self.0.epoch.store(epoch, Ordering::Relaxed);
        self.0.revision.store(revision, Ordering::Relaxed);
        self.0.metrics.revision.set(revision);
    }

    pub(super) fn on_waited(&self, outcome: Waited) {
        self.0.metrics.on_waited(outcome);
    }
}

/// How the wait for a fresher answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    Fresh,
    /// Nobody had a fresher one in time.
    Stale,
}

impl Waited {
    pub fn label(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Stale => "stale",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Metrics;
    use crate::types::ids::{EndpointId, Term};

    fn header(revision: i64) -> Header {
        Header { revision, cluster_id: OURS.0, ..Header::default() }
    }

    fn from(epoch: u64) -> From {
        From { endpoint: EndpointId(1), is_leader: true, epoch, cluster: Some(OURS), term: Term(2) }
    }

    const OURS: ClusterId = ClusterId(7);

    #[test]
    fn the_watermark_rises_only_until_the_cluster_is_another() {
        let watermark = Watermark::new(WatermarkMetrics::new(&Metrics::new()));
        watermark.on_answer(header(7), from(0));
        watermark.on_answer(header(5), from(0));
        assert_eq!(watermark.revision(), 7);
        watermark.on_answer(header(3), from(1));
        assert_eq!(watermark.revision(), 3);
        watermark.on_answer(header(9), from(0));
        assert_eq!(watermark.revision(), 3, "an answer of the old cluster came late");
    }

    #[test]
    fn a_restore_lowers_it_unless_somebody_was_faster() {
        let watermark = Watermark::new(WatermarkMetrics::new(&Metrics::new()));
        watermark.on_answer(header(7), from(0));
        watermark.on_restored(header(2), 6, from(0));
        assert_eq!(watermark.revision(), 7);
        watermark.on_restored(header(2), 7, from(1));
        assert_eq!(watermark.revision(), 7, "it is of another cluster");
        watermark.on_restored(header(2), 7, from(0));
        assert_eq!(watermark.revision(), 2);
    }

    #[test]
    fn a_foreign_member_neither_raises_nor_lowers_it() {
        let watermark = Watermark::new(WatermarkMetrics::new(&Metrics::new()));
        watermark.on_answer(header(7), from(0));
        let foreign = |revision| Header { cluster_id: 8, ..header(revision) };
        watermark.on_answer(foreign(9), from(0));
        watermark.on_restored(foreign(2), 7, from(0));
        assert_eq!(watermark.revision(), 7);
        watermark.on_answer(foreign(9), From { cluster: None, ..from(0) });
        assert_eq!(watermark.revision(), 9, "not known yet whose answers are meant");
    }
}
