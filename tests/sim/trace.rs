//! What happened last, and a number that stands for all that happened.

use std::collections::VecDeque;
use std::fmt::Write;
use std::time::Duration;

use super::event::Event;
use super::seed::digest;

#[derive(Debug, Default)]
pub(crate) struct Trace {
    last: VecDeque<String>,
    digest: u64,
    count: u64,
}

impl Trace {
    pub(crate) fn record(&mut self, now: Duration, event: &Event) {
        let mut line = if self.last.len() < KEPT { None } else { self.last.pop_front() }.unwrap_or_default();
        line.clear();
        let (seconds, micros) = (now.as_secs(), now.subsec_micros());
        write!(line, "{seconds:>2}.{micros:06} {event}").expect("memory takes what is written");
        self.digest = digest(self.digest, &[line.as_bytes()]);
        self.count += 1;
        self.last.push_back(line);
    }

    /// Two runs that differ anywhere differ in it.
    pub(crate) const fn digest(&self) -> u64 {
        self.digest
    }

    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn into_last(self) -> Vec<String> {
        self.last.into()
    }
}

const KEPT: usize = 2_000;
