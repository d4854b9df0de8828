//! The latest revisions of a feed, for those who come late or could not follow.

use std::collections::VecDeque;
use std::sync::Arc;

use super::batch::{Batch, Event};

/// Every event of the feed from `floor` to the feed's position.
#[derive(Debug)]
pub(super) struct Ring {
    floor: i64,
    /// Whole revisions each, and in order.
    batches: VecDeque<Arc<Batch>>,
    bytes: usize,
}

impl Ring {
    pub fn new(floor: i64) -> Self {
        Self { floor, batches: VecDeque::new(), bytes: 0 }
    }

    /// The first revision that it can show.
    pub fn floor(&self) -> i64 {
        self.floor
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn push(&mut self, batch: Arc<Batch>) {
        self.bytes += batch.size();
        self.batches.push_back(batch);
    }

    /// Begins anew, with nothing.
    pub fn restart(&mut self, floor: i64) {
        *self = Self::new(floor);
    }

    /// Forgets the oldest batch.
    pub fn evict(&mut self) {
        if let Some(batch) = self.batches.pop_front() {
            self.bytes -= batch.size();
            self.floor = batch.last_revision() + 1;
        }
    }

    /// Events from `position` on.
    pub fn from(&self, position: i64) -> impl Iterator<Item = (&Batch, &Event)> {
        let first = self.batches.partition_point(|batch| batch.last_revision() < position);
        let batches = self.batches.range(first..).map(|batch| &**batch);
        batches.flat_map(move |batch| {
            let at = batch.events().partition_point(|event| event.revision < position);
            batch.events()[at..].iter().map(move |event| (batch, event))
        })
    }
}
