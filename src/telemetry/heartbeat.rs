//! Signs of life of the threads of the data path: each of them beats by itself, and who does not is
//! stuck, or starved.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Of all threads. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Heartbeats(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    origin: Instant,
    /// Milliseconds after the origin; [`ENDED`] for a thread that is to be silent.
    last: Box<[AtomicU64]>,
}

/// Of one thread, which has ended when this is dropped.
#[derive(Debug)]
pub struct Heartbeat {
    all: Heartbeats,
    place: usize,
}

impl Heartbeats {
    /// Every thread has its time from now on to begin.
    pub fn new(threads: usize, now: Instant) -> Self {
        let last = (0..threads).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Parts { origin: now, last }))
    }

    pub fn of(&self, place: usize) -> Heartbeat {
        Heartbeat { all: self.clone(), place }
    }

    /// The threads that have been silent for longer than [`SILENT_AFTER`], and for how long.
    pub fn silent(&self, now: Instant) -> Vec<(usize, Duration)> {
        let silence = |last: u64| self.since(now).checked_sub(last).map(Duration::from_millis);
        let last = self.0.last.iter().map(|last| last.load(Ordering::Relaxed)).enumerate();
        last.filter_map(|(place, last)| Some((place, silence(last)?)))
            .filter(|(_, silence)| *silence > SILENT_AFTER)
            .collect()
    }

    fn since(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.0.origin).as_millis()).unwrap_or(ENDED)
    }
}

impl Heartbeat {
    pub fn beat(&self, now: Instant) {
        self.all.0.last[self.place].store(self.all.since(now), Ordering::Relaxed);
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.all.0.last[self.place].store(ENDED, Ordering::Relaxed);
    }
}

/// Between two beats: one wake-up, which is nothing beside a call.
pub const INTERVAL: Duration = Duration::from_secs(1);

/// Several beats: a thread serves calls in microseconds, whatever the load; only a machine without
/// any processor to spare makes it miss some.
pub const SILENT_AFTER: Duration = Duration::from_secs(5);

const ENDED: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_does_not_beat_any_longer_is_silent() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let all = Heartbeats::new(2, start);
        let (first, second) = (all.of(0), all.of(1));
        assert_eq!(all.silent(at(5)), []);
        assert_eq!(all.silent(at(6)).len(), 2, "neither has begun");
        first.beat(at(6));
        second.beat(at(6));
        first.beat(at(10));
        assert_eq!(all.silent(at(12)), [(1, Duration::from_secs(6))]);
        second.beat(at(12));
        assert_eq!(all.silent(at(12)), []);
        // A clock that was read earlier.
        assert_eq!(all.silent(at(11)), []);
    }

    #[test]
    fn a_thread_that_has_ended_may_be_silent() {
        let start = Instant::now();
        let all = Heartbeats::new(1, start);
        drop(all.of(0));
        assert_eq!(all.silent(start + Duration::from_secs(600)), []);
    }
}
