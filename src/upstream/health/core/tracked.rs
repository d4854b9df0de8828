//! One endpoint and what its probes and calls have told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Outcome, Probe};
use crate::types::ids::{ClusterId, MemberId};
use crate::upstream::view::{Endpoint, Reason, Report, Source, Standing, Verdict};
use crate::upstream::vitals::{Path, Vitals};

pub(super) struct Tracked {
    pub endpoint: Endpoint,
    /// Whose URL it is by the member list.
    pub expected: Option<MemberId>,
    pub name: Option<String>,
    pub vitals: Arc<Vitals>,
    pub report: Option<Report>,
    /// Received and applied index of the report before.
    earlier: Option<(Instant, ClusterId, u64)>,
    pub status: Flight,
    pub read: Flight,
    pub members: Flight,
    /// A probe of its status that was sent then is not answered, but its process runs.
    pub pulse_at: Option<Instant>,
    /// The last probe ended so.
    pub failure: Option<Failure>,
    /// When the first was sent of the probes that ended in [`Outcome::Garbled`], without another
    /// outcome since.
    pub garbled_since: Option<Instant>,
    /// The last Status was refused: its report is as old as it is, and not renewed.
    pub closed: bool,
    pub lags_in_a_row: u8,
    pub next_probe: Instant,
    pub standing: Standing,
    pub detail: String,
    pub since: Instant,
    /// The last moment at which something spoke against it: what proves it must be sent later.
    pub fallen_at: Instant,
    pub verdict: Verdict,
    /// The silence of calls that was last taken for news, by path.
    alerted: [Duration; 3],
}

/// Why the last probe got no report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Loop,
    NotReady(String),
    Unreachable(String),
}

/// Probes of one kind. At most one is under way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flight {
    pub under_way: bool,
    /// The first that was sent after the last answer.
    pub unanswered: Option<Instant>,
    /// When the last one that was answered was sent.
    pub answered: Option<Instant>,
}

impl Flight {
    pub fn on_sent(&mut self, now: Instant) {
        self.under_way = true;
        self.unanswered.get_or_insert(now);
    }

    pub fn on_answer(&mut self, sent_at: Instant) {
        *self = Self { under_way: false, unanswered: None, answered: Some(sent_at) };
    }

    /// Ended without an answer; the silence goes on.
    fn on_timeout(&mut self) {
        self.under_way = false;
    }

    fn on_failure(&mut self) {
        self.under_way = false;
        self.unanswered = None;
    }

    /// How long it has been waited for.
    pub fn silence(&self, now: Instant) -> Option<(Instant, Duration)> {
        self.unanswered.map(|sent| (sent, now.saturating_duration_since(sent)))
    }
}

impl Tracked {
    pub fn new(endpoint: Endpoint, expected: Option<MemberId>, now: Instant) -> Self {
        Self {
            endpoint,
            expected,
            name: None,
            vitals: Vitals::new(now),
            report: None,
            earlier: None,
            status: Flight::default(),
            read: Flight::default(),
            members: Flight::default(),
            pulse_at: None,
            failure: None,
            garbled_since: None,
            closed: false,
            lags_in_a_row: 0,
            next_probe: now,
            standing: Standing::Unproven,
            detail: String::new(),
            since: now,
            fallen_at: now,
            verdict: Verdict::Stay,
            alerted: [Duration::ZERO; 3],
        }
    }

    pub fn is_seed(&self) -> bool {
        self.endpoint.source != Source::Members
    }

    /// Whether it has said anything, or cannot.
    pub fn was_heard(&self) -> bool {
        self.report.is_some() || self.failure.is_some() || self.status.answered.is_some()
    }

    pub fn member_id(&self) -> Option<MemberId> {
        self.report.as_ref().map(|report| report.member_id)
    }

    /// Its report may be relied on: the last probe of its status was answered.
    pub fn voice(&self) -> Option<&Report> {
        let gone = matches!(self.standing, Standing::Out(Reason::Silent));
        self.report.as_ref().filter(|_| self.failure.is_none() && !self.closed && !gone)
    }

    /// The last probe, of whichever kind, that was answered was sent then.
    pub fn alive_at(&self) -> Option<Instant> {
        self.status.answered.max(self.read.answered)
    }

    /// What it had applied by a report that was there at `instant`.
    pub fn applied_before(&self, cluster: ClusterId, instant: Instant) -> Option<u64> {
        let last = self.report.as_ref();
        let last = last.map(|report| (report.received_at, report.cluster_id, report.applied_index));
        [last, self.earlier]
            .into_iter()
            .flatten()
            .find(|(received, of, _)| *received <= instant && *of == cluster)
            .map(|(_, _, applied)| applied)
    }

    pub fn on_report(&mut self, report: Report, lags: bool) {
        let silent = matches!(self.standing, Standing::Out(Reason::Silent | Reason::Stuck))
            && self.status.unanswered.is_some_and(|sent| sent < report.sent_at);
        if self.failure.take().is_some() || silent {
            // It is back, and may prove itself at once.
            self.next_probe = report.received_at;
            self.read.unanswered = None;
        }
        self.closed = false;
        self.garbled_since = None;
        self.status.on_answer(report.sent_at);
        self.lags_in_a_row = if lags { self.lags_in_a_row.saturating_add(1) } else { 0 };
        let before = self.report.replace(report);
        self.earlier = before.map(|report| (report.received_at, report.cluster_id, report.applied_index));
    }

    /// Everything but a report and a list.
    pub fn on_outcome(&mut self, probe: Probe, sent_at: Instant, outcome: Outcome) {
        let flight = match probe {
            Probe::Members => &mut self.members,
            Probe::Read => &mut self.read,
            Probe::Status => &mut self.status,
        };
        let garbled_since = *self.garbled_since.get_or_insert(sent_at);
        self.garbled_since = matches!(outcome, Outcome::Garbled(_)).then_some(garbled_since);
        match outcome {
            Outcome::Alive => self.pulse_at = Some(sent_at),
            Outcome::Failed(why) | Outcome::Garbled(why) => {
                flight.on_failure();
                self.failure = Some(Failure::Unreachable(why));
            }
            Outcome::Loop => {
                flight.on_failure();
                self.failure = Some(Failure::Loop);
            }
            Outcome::TimedOut => {
                flight.on_timeout();
                if probe == Probe::Status {
                    // Each probe has a pulse of its own.
                    self.pulse_at = self.pulse_at.filter(|at| *at >= sent_at);
                }
            }
            Outcome::Closed { not_ready } => {
                flight.on_answer(sent_at);
                self.closed = true;
                self.failure = not_ready.map(Failure::NotReady);
            }
            Outcome::Read => flight.on_answer(sent_at),
            // It lives, which is no proof that it can do its work.
            Outcome::Refused(_) => flight.on_failure(),
            Outcome::Members(..) | Outcome::Status(_) => unreachable!("handled where they arrive"),
        }
    }

    /// Whether calls have been silent for twice as long as when this was last worth a look.
    pub fn is_silence_news(&mut self, path: Path, silence: Duration, first: Duration) -> bool {
        let alerted = &mut self.alerted[path as usize];
        if silence < *alerted {
            // An answer came in between.
            *alerted = Duration::ZERO;
        }
        let is_news = silence >= first.max(*alerted * 2);
        if is_news {
            *alerted = silence;
        }
        is_news
    }
}
