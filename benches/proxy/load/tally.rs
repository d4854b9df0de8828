use std::time::Duration;

use super::client::CallError;
use crate::contender::Contender;
use crate::error::Error;
use crate::workload::Workload;

/// What became of the calls.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) calls: u64,
    pub(crate) elapsed: Duration,
    latencies: Vec<Duration>,
    failed: u64,
    first_failure: Option<CallError>,
}

impl Tally {
    pub(super) fn add(&mut self, latency: Duration, outcome: Result<(), CallError>) {
        self.calls += 1;
        self.latencies.push(latency);
        if let Err(error) = outcome {
            self.failed += 1;
            self.first_failure.get_or_insert(error);
        }
    }

    /// Adds another turn of the same contender, or the share of another caller.
    pub(crate) fn absorb(&mut self, other: Self) {
        let Self { calls, elapsed, latencies, failed, first_failure } = other;
        self.calls += calls;
        self.elapsed += elapsed;
        self.latencies.extend(latencies);
        self.failed += failed;
        self.first_failure = self.first_failure.take().or(first_failure);
    }

    /// Adds the failures of a warm-up, and only those.
    pub(crate) fn take_failures(&mut self, warm_up: Self) {
        self.failed += warm_up.failed;
        self.first_failure = self.first_failure.take().or(warm_up.first_failure);
    }

    /// A failed call is no slow call: nothing is reported of a run that has one.
    pub(crate) fn into_valid(self, workload: Workload, contender: Contender) -> Result<Self, Error> {
        match self.first_failure {
            None => Ok(self),
            Some(first) => {
                Err(Error::Invalid { workload, contender, failed: self.failed, calls: self.calls, first })
            }
        }
    }

    pub(crate) fn calls_per_second(&self) -> f64 {
        self.calls as f64 / self.elapsed.as_secs_f64()
    }

    /// In microseconds; `part` lies between 0 and 1.
    pub(crate) fn percentile_us(&mut self, part: f64) -> f64 {
        let last = self.latencies.len() - 1;
        let index = (last as f64 * part).round() as usize;
        let (_, latency, _) = self.latencies.select_nth_unstable(index);
        latency.as_secs_f64() * 1e6
    }
}
