//! What became of every call.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use super::keep_alive::Kept;
use super::watch::Watched;
use crate::support::grpc::Status;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Linearizable,
    Put,
    Serializable,
}

/// What a client knows of its write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Acked,
    Ambiguous,
    /// The answer says that it was not and will not be applied.
    Refused,
}

#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) started: Instant,
    pub(super) stopped: Instant,
    pub(super) prefix: String,
    pub(super) calls: Vec<Call>,
    pub(super) writes: Vec<Write>,
    pub(super) watched: Vec<Watched>,
    pub(super) kept: Vec<Kept>,
}

/// The end of a stream that should have gone on.
#[derive(Clone, Debug)]
pub(super) struct Break {
    pub(super) at: Instant,
    pub(super) why: String,
}

#[derive(Debug)]
pub(super) struct Call {
    pub(super) class: Class,
    pub(super) started: Instant,
    pub(super) ended: Instant,
    pub(super) failure: Option<Status>,
}

#[derive(Debug)]
pub(super) struct Write {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) fate: Fate,
    /// 0 if it is not known.
    pub(super) revision: i64,
    pub(super) ended: Instant,
}

/// The calls of one class.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) calls: usize,
    pub(crate) failed: usize,
    /// How many failed so, by code and message.
    pub(crate) failures: BTreeMap<(Option<u32>, String), usize>,
    /// Of the calls that succeeded.
    pub(crate) longest_call: Span,
    /// In which no call succeeded.
    pub(crate) longest_gap: Span,
    /// Of the calls that failed, which is not part of the stall.
    pub(crate) longest_failed: Span,
}

/// A stretch of time, and when it began after the load's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) length: Duration,
    begin: Duration,
}

impl Class {
    pub(crate) const ALL: [Self; 3] = [Self::Linearizable, Self::Put, Self::Serializable];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Linearizable => "linearizable get",
            Self::Put => "put",
            Self::Serializable => "serializable get",
        }
    }
}

impl Fate {
    /// Of a write that failed; whatever does not surely say "not applied" is ambiguous.
    pub(super) fn of(status: &Status) -> Self {
        let message = status.message.as_str();
        let refused = message.starts_with("etcdlet:") && message.contains("not sent")
            || ["etcdserver: no leader", "raft proposal dropped"].contains(&message);
        if status.code.is_some() && refused { Self::Refused } else { Self::Ambiguous }
    }
}

impl Report {
    pub(crate) fn of(&self, class: Class) -> Summary {
        let (mut longest_call, mut longest_failed) = (Span::default(), Span::default());
        let (mut failures, mut successes, mut calls) = (BTreeMap::new(), Vec::new(), 0);
        for call in self.calls.iter().filter(|call| call.class == class) {
            calls += 1;
            let span = self.span(call.started, call.ended);
            match &call.failure {
                None => {
                    longest_call = longest_call.max(span);
                    successes.push(call.ended);
                }
                Some(status) => {
                    longest_failed = longest_failed.max(span);
                    *failures.entry((status.code, status.message.clone())).or_insert(0) += 1;
                }
            }
        }
        let failed = calls - successes.len();
        successes.push(self.stopped);
        successes.sort_unstable();
        let gaps = successes.windows(2).map(|pair| self.span(pair[0], pair[1]));
        let longest_gap = gaps.max().unwrap_or_default();
        Summary { calls, failed, failures, longest_call, longest_gap, longest_failed }
    }

    pub(crate) fn count(&self, fate: Fate) -> usize {
        self.writes.iter().filter(|write| write.fate == fate).count()
    }

    /// How many calls of a class were under way at any time between the two.
    pub(crate) fn in_flight(&self, class: Class, from: Instant, until: Instant) -> usize {
        let calls = self.calls.iter().filter(|call| call.class == class);
        calls.filter(|call| call.started <= until && call.ended >= from).count()
    }

    /// How many calls hung until the fixture gave up, or lost their connection, or were answered wrongly.
    pub(crate) fn without_status(&self) -> usize {
        let status = self.calls.iter().filter_map(|call| call.failure.as_ref());
        status.filter(|status| status.code.is_none()).count()
    }

    pub(super) fn span(&self, begin: Instant, end: Instant) -> Span {
        Span {
            length: end.saturating_duration_since(begin),
            begin: begin.saturating_duration_since(self.started),
        }
    }
}

impl Report {
    fn show_streams(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { watched, kept, .. } = self;
        if watched.is_empty() && kept.is_empty() {
            return Ok(());
        }
        let events = self.events_seen();
        let lag = self.watch_lag();
        writeln!(
            f,
            "\nwatches: {}, {events} events, each shown {lag:.3?} after its ack at most",
            watched.len()
        )?;
        write!(
            f,
            "keep-alives: {} leases, {} beats, longest {}, {} leases lost",
            kept.len(),
            self.keep_alives(),
            self.keep_alive_stall(),
            self.leases_lost().len()
        )?;
        let watches = watched.iter().flat_map(|it| &it.breaks).map(|it| ("watch", it));
        let keep_alives = kept.iter().flat_map(|it| &it.breaks).map(|it| ("keep-alive", it));
        let mut breaks: BTreeMap<(&str, &str), (usize, Duration)> = BTreeMap::new();
        for (what, Break { at, why }) in watches.chain(keep_alives) {
            let at = at.saturating_duration_since(self.started);
            breaks.entry((what, why)).or_insert((0, at)).0 += 1;
        }
        for ((what, why), (count, first)) in breaks {
            write!(f, "\n{count:>24} × a {what} broke, first at {:.1} s: {why}", first.as_secs_f64())?;
        }
        Ok(())
    }
}

impl Summary {
    /// How long a client had to wait for an answer at worst: in one call, or until any call succeeded.
    pub(crate) fn stall(&self) -> Duration {
        self.longest_call.length.max(self.longest_gap.length)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<17} {:>6} {:>6}  {:<18} {:<18} {:<18}",
            "", "calls", "failed", "longest call", "longest gap", "longest failed call"
        )?;
        for class in Class::ALL {
            let summary = self.of(class);
            let Summary { calls, failed, failures, longest_call, longest_gap, longest_failed } = &summary;
            writeln!(
                f,
                "{:<17} {calls:>6} {failed:>6}  {:<18} {:<18} {:<18}",
                class.name(),
                longest_call.to_string(),
                longest_gap.to_string(),
                longest_failed.to_string()
            )?;
            for ((code, message), count) in failures {
                match code {
                    Some(code) => writeln!(f, "{count:>24} × {code} {message:?}")?,
                    None => writeln!(f, "{count:>24} × no status: {message}")?,
                }
            }
        }
        write!(
            f,
            "writes: {} acked, {} ambiguous, {} refused",
            self.count(Fate::Acked),
            self.count(Fate::Ambiguous),
            self.count(Fate::Refused)
        )?;
        self.show_streams(f)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.length.is_zero() {
            return f.write_str("-");
        }
        write!(f, "{:.3} s at {:.1} s", self.length.as_secs_f64(), self.begin.as_secs_f64())
    }
}
