//! The highest revision that any client of this node has seen.
//!
//! One etcd member never answers with less than it did before; several do. Whoever reads from the
//! member of its node's choice must not notice that there are several.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::metrics::WatermarkMetrics;
use super::peek::Header;
use crate::upstream::From;

/// Cheap to clone; one for all threads.
#[derive(Clone)]
pub struct Watermark(Arc<State>);

struct State {
    revision: AtomicI64,
    /// Of the cluster that the revision is of.
    epoch: AtomicU64,
    metrics: WatermarkMetrics,
}

impl Watermark {
    pub fn new(metrics: WatermarkMetrics) -> Self {
        Self(Arc::new(State { revision: AtomicI64::new(0), epoch: AtomicU64::new(0), metrics }))
    }

    pub fn revision(&self) -> i64 {
        self.0.revision.load(Ordering::Relaxed)
    }

    /// A client is about to see this.
    pub(super) fn on_answer(&self, header: Header, from: From) {
        let epoch = self.0.epoch.load(Ordering::Relaxed);
        if from.epoch != epoch {
            if from.epoch < epoch {
                // From the cluster before.
                return;
            }
            self.0.epoch.store(from.epoch, Ordering::Relaxed);
            self.0.revision.store(0, Ordering::Relaxed);
        }
        if header.revision > self.revision() {
            self.0.revision.fetch_max(header.revision, Ordering::Relaxed);
            self.0.metrics.revision.set(header.revision);
        }
    }

    /// The leader has answered through a majority with less than `mark`, which was known before it
    /// was asked. Only a cluster that was restored from a backup does that.
    pub(super) fn on_restored(&self, revision: i64, mark: i64) {
        let reset =
            self.0.revision.compare_exchange(mark, revision, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if reset {
            self.0.metrics.restores.inc();
            self.0.metrics.revision.set(revision);
            tracing::warn!(revision, before = mark, "the cluster was restored to an older revision");
        }
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
        Header { revision, ..Header::default() }
    }

    fn from(epoch: u64) -> From {
        From { endpoint: EndpointId(1), is_leader: true, epoch, term: Term(2) }
    }

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
        watermark.on_restored(2, 6);
        assert_eq!(watermark.revision(), 7);
        watermark.on_restored(2, 7);
        assert_eq!(watermark.revision(), 2);
    }
}
