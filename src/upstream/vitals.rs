//! What the calls themselves tell of an endpoint, shared by all threads that send to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Whether an answer needs only the member that is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Long work, whose silence means nothing.
    Bulk,
    Local,
    /// Through the leader and a majority.
    Quorum,
}

#[derive(Debug)]
pub struct Vitals {
    origin: Instant,
    bulk: Waiting,
    local: Waiting,
    quorum: Waiting,
    /// Moving average in microseconds; 0 while nothing was measured.
    latency: AtomicU32,
}

#[derive(Debug, Default)]
struct Waiting {
    calls: AtomicU32,
    /// The last answer, or when a first call began to wait: microseconds since the origin.
    since: AtomicU64,
}

impl Vitals {
    pub fn new(now: Instant) -> Arc<Self> {
        Arc::new(Self {
            origin: now,
            bulk: Waiting::default(),
            local: Waiting::default(),
            quorum: Waiting::default(),
            latency: AtomicU32::new(0),
        })
    }

    /// Counts a call from its sending to its answer.
    pub fn start(self: &Arc<Self>, path: Path, now: Instant) -> Waited {
        let waiting = self.waiting(path);
        if waiting.calls.fetch_add(1, Ordering::Relaxed) == 0 {
            waiting.since.store(self.micros(now), Ordering::Relaxed);
        }
        Waited { vitals: self.clone(), path, started: now }
    }

    /// How long calls have waited without any answer; `None` where none waits.
    pub fn silence(&self, path: Path, now: Instant) -> Option<Duration> {
        let waiting = self.waiting(path);
        let calls = waiting.calls.load(Ordering::Relaxed);
        let since = waiting.since.load(Ordering::Relaxed);
        (calls > 0).then(|| Duration::from_micros(self.micros(now).saturating_sub(since)))
    }

    /// Calls that wait for their answers.
    pub fn in_flight(&self) -> u32 {
        self.bulk.calls.load(Ordering::Relaxed) + self.short()
    }

    /// The same in the work of short calls.
    pub fn load(&self) -> u32 {
        self.bulk.calls.load(Ordering::Relaxed).saturating_mul(BULK_IN_SHORT) + self.short()
    }

    fn short(&self) -> u32 {
        self.local.calls.load(Ordering::Relaxed) + self.quorum.calls.load(Ordering::Relaxed)
    }

    pub fn latency(&self) -> Option<Duration> {
        let micros = self.latency.load(Ordering::Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros.into()))
    }

    /// Takes the round trip of a call into the average. Two threads at once may lose one of theirs.
    pub fn on_latency(&self, latency: Duration) {
        self.average(latency, 8);
    }

    /// The same of a probe: few come, and a member without calls is known by them alone.
    pub fn on_probe_latency(&self, latency: Duration) {
        self.average(latency, 2);
    }

    /// What was measured before a fault says nothing of the time after it.
    pub fn forget_latency(&self) {
        self.latency.store(0, Ordering::Relaxed);
    }

    fn average(&self, latency: Duration, over: u32) {
        let sample = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX).max(1);
        let average = self.latency.load(Ordering::Relaxed);
        let next = if average == 0 { sample } else { average - average / over + sample / over };
        self.latency.store(next.max(1), Ordering::Relaxed);
    }

    fn waiting(&self, path: Path) -> &Waiting {
        match path {
            Path::Bulk => &self.bulk,
            Path::Local => &self.local,
            Path::Quorum => &self.quorum,
        }
    }

    fn micros(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.origin).as_micros() as u64
    }
}

/// A call that waits for its answer.
#[derive(Debug)]
pub struct Waited {
    vitals: Arc<Vitals>,
    path: Path,
    started: Instant,
}

impl Waited {
    /// The answer has begun.
    pub fn on_answer(self, now: Instant) {
        let waiting = self.vitals.waiting(self.path);
        waiting.since.store(self.vitals.micros(now), Ordering::Relaxed);
        if self.path == Path::Local {
            self.vitals.on_latency(now.saturating_duration_since(self.started));
        }
    }
}

impl Drop for Waited {
    fn drop(&mut self) {
        self.vitals.waiting(self.path).calls.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A range over many keys is as much work as so many single ones, at least.
const BULK_IN_SHORT: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn silence_lasts_from_the_last_answer_or_the_first_call_that_waits() {
        let start = Instant::now();
        let vitals = Vitals::new(start);
        assert_eq!(vitals.silence(Path::Local, start), None);
        let first = vitals.start(Path::Local, start + SECOND);
        let _second = vitals.start(Path::Local, start + 2 * SECOND);
        assert_eq!(vitals.silence(Path::Local, start + 4 * SECOND), Some(3 * SECOND));
        first.on_answer(start + 4 * SECOND);
        assert_eq!(vitals.silence(Path::Local, start + 5 * SECOND), Some(SECOND));
        assert_eq!(vitals.silence(Path::Quorum, start + 5 * SECOND), None);
        assert_eq!(vitals.in_flight(), 1);
    }

    #[test]
    fn latency_follows_the_answers() {
        let vitals = Vitals::new(Instant::now());
        assert_eq!(vitals.latency(), None);
        vitals.on_latency(Duration::from_micros(800));
        assert_eq!(vitals.latency(), Some(Duration::from_micros(800)));
        for _ in 0..100 {
            vitals.on_latency(Duration::from_micros(80));
        }
        assert!(vitals.latency().unwrap() < Duration::from_micros(100));
    }
}
