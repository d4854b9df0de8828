//! Calls that wait for a leader.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::config;
use super::metrics::HoldMetrics;

/// Cheap to clone; one for all threads.
#[derive(Clone)]
pub struct Holds {
    room: Arc<Semaphore>,
    limit: Duration,
    metrics: HoldMetrics,
}

/// A call that is held. Counts as released, unless it was told otherwise.
pub(super) struct Held {
    pub since: Instant,
    pub until: Instant,
    outcome: &'static str,
    metrics: HoldMetrics,
    _permit: OwnedSemaphorePermit,
}

impl Holds {
    pub fn new(config: &config::Hold, metrics: HoldMetrics) -> Self {
        Self { room: Arc::new(Semaphore::new(config.calls)), limit: config.limit, metrics }
    }

    /// `None` where too many are held.
    pub(super) fn hold(&self, now: Instant) -> Option<Held> {
        let Ok(permit) = self.room.clone().try_acquire_owned() else {
            self.metrics.ended.with_label_values(&["full"]).inc();
            return None;
        };
        self.metrics.held.inc();
        Some(Held {
            since: now,
            until: now + self.limit,
            outcome: "released",
            metrics: self.metrics.clone(),
            _permit: permit,
        })
    }
}

impl Held {
    pub fn on_timeout(&mut self) {
        self.outcome = "timeout";
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.metrics.held.dec();
        self.metrics.ended.with_label_values(&[self.outcome]).inc();
    }
}
