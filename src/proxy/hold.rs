//! Calls that wait for a leader.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::config;
use super::metrics::HoldMetrics;

/// Cheap to clone; one for all threads.
#[derive(Clone)]
pub struct Holds {
    held: Arc<AtomicUsize>,
    metrics: HoldMetrics,
}

/// A call that is held. Counts as released, unless it was told otherwise.
pub(super) struct Held {
    pub since: Instant,
    pub until: Instant,
    outcome: &'static str,
    all: Holds,
}

impl Holds {
    pub fn new(metrics: HoldMetrics) -> Self {
        Self { held: Arc::default(), metrics }
    }

    /// `None` where too many are held.
    pub(super) fn hold(&self, config: &config::Hold, now: Instant) -> Option<Held> {
        if self.held.fetch_add(1, Ordering::Relaxed) >= config.calls {
            self.held.fetch_sub(1, Ordering::Relaxed);
            self.metrics.ended.with_label_values(&["full"]).inc();
            return None;
        }
        self.metrics.held.inc();
        Some(Held { since: now, until: now + config.limit, outcome: "released", all: self.clone() })
    }
}

impl Held {
    pub fn on_timeout(&mut self) {
        self.outcome = "timeout";
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Holds { held, metrics } = &self.all;
        held.fetch_sub(1, Ordering::Relaxed);
        metrics.held.dec();
        metrics.ended.with_label_values(&[self.outcome]).inc();
    }
}
