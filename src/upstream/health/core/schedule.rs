//! When the members are probed.

use std::time::{Duration, Instant};

use super::{Core, Output, Probe};
use crate::upstream::view::{Reason, Standing};

/// Something is wrong, or may be: everybody is asked until they agree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suspicion {
    /// Everybody is to be heard after this.
    since: Instant,
    /// With those before it that were about the same.
    began: Instant,
}

/// When the member list is asked for.
pub(super) struct Sync {
    due: Instant,
    last: Option<Instant>,
}

impl Sync {
    pub fn new(now: Instant) -> Self {
        Self { due: now, last: None }
    }

    /// Soon, but not for every change of many.
    pub fn want(&mut self, now: Instant) {
        let earliest = self.last.map_or(now, |last| last + SYNC_PAUSE);
        self.due = self.due.min(earliest.max(now));
    }

    pub fn on_answer(&mut self, now: Instant) {
        self.last = Some(now);
    }
}

impl Core {
    pub(super) fn suspect(&mut self, now: Instant) {
        if self.suspicion.is_some() {
            return;
        }
        // One that comes back soon, though nothing has changed, goes on where it was.
        let inherited = self.last_suspicion.filter(|(_, ended)| {
            let soon = now.saturating_duration_since(*ended) < SETTLED_AFTER;
            soon && self.members.iter().all(|member| member.since <= *ended)
        });
        let began = inherited.map_or(now, |(began, _)| began);
        self.suspicion = Some(Suspicion { since: now, began });
        self.changed = true;
        for member in &mut self.members {
            member.next_probe = now;
        }
    }

    pub(super) fn assess_suspicion(&mut self, now: Instant) {
        let suspicion_after = self.config.suspicion_after;
        let waits = |member: &super::Tracked| {
            let waited = member.status.silence(now).is_some_and(|(_, silence)| silence >= suspicion_after);
            waited && !matches!(member.standing, Standing::Out(_))
        };
        if self.members.iter().any(waits) {
            self.suspect(now);
            return;
        }
        let Some(Suspicion { since, began }) = self.suspicion else { return };
        let leader = self.claim.map(|claim| claim.leader);
        let agreed =
            self.members.iter().filter(|member| !matches!(member.standing, Standing::Out(_))).all(|member| {
                let heard = member.status.answered.is_some_and(|sent| sent > since);
                let read = member.read.answered.is_some_and(|sent| sent > since);
                let follows = member.report.as_ref().is_none_or(|report| report.leader == leader);
                member.standing == Standing::Unproven || heard && read && follows
            });
        let rounds = now.saturating_duration_since(since) >= self.config.suspicion_interval * ROUNDS_MIN;
        if agreed && rounds && self.is_led() {
            self.suspicion = None;
            self.last_suspicion = Some((began, now));
            self.changed = true;
            self.sync.want(now);
            for place in 0..self.members.len() {
                let interval = self.interval(place, now);
                self.members[place].next_probe = now + jittered(interval, &mut self.rng);
            }
        }
    }

    pub(super) fn send_probes(&mut self, now: Instant) {
        for place in 0..self.members.len() {
            if now < self.members[place].next_probe {
                continue;
            }
            let interval = self.interval(place, now);
            let proves = self.suspicion.is_some()
                || matches!(
                    self.members[place].standing,
                    Standing::Out(
                        Reason::Silent
                            | Reason::Unreachable
                            | Reason::Stuck
                            | Reason::Leaderless
                            | Reason::Partitioned
                    )
                );
            let member = &mut self.members[place];
            member.next_probe = now + jittered(interval, &mut self.rng);
            let id = member.endpoint.id;
            for (flight, probe, due) in [
                (&mut member.status, Probe::Status, true),
                // Nothing is asked of a member that does not even say how it is.
                (&mut member.read, Probe::Read, proves && member.failure.is_none()),
            ] {
                if due && !flight.under_way {
                    flight.on_sent(now);
                    self.outputs.push_back(Output::Probe(id, probe));
                }
            }
        }
        self.sync_members(now);
    }

    fn sync_members(&mut self, now: Instant) {
        if now < self.sync.due {
            return;
        }
        let mut able = self.members.iter_mut().filter(|member| {
            member.standing == Standing::Healthy && member.report.is_some() && !member.members.under_way
        });
        if let Some(member) = able.next() {
            member.members.on_sent(now);
            self.outputs.push_back(Output::Probe(member.endpoint.id, Probe::Members));
            self.sync.last = Some(now);
            self.sync.due = now + jittered(self.config.sync_interval, &mut self.rng);
        } else {
            self.sync.due = now + SYNC_PAUSE;
        }
    }

    fn interval(&self, place: usize, now: Instant) -> Duration {
        let member = &self.members[place];
        let idle = self.config.idle_interval;
        let settled = |since: Instant| now.saturating_duration_since(since) >= SETTLED_AFTER;
        match (self.suspicion, member.standing) {
            (_, Standing::Out(Reason::Loop | Reason::ForeignCluster | Reason::AnotherMember)) => idle,
            // Each attempt costs it a handshake and a line in its log, on every node's behalf.
            _ if member.garbled_since.is_some_and(settled) => idle,
            (Some(Suspicion { began, .. }), _) if !settled(began) => self.config.suspicion_interval,
            (Some(_), _) => PATIENT_INTERVAL.min(idle),
            // Whoever comes back first is wanted.
            (None, _) if !self.members.iter().any(|member| member.standing == Standing::Healthy) => {
                PATIENT_INTERVAL.min(idle)
            }
            (None, Standing::Out(_) | Standing::Unproven) if !settled(member.since) => {
                PATIENT_INTERVAL.min(idle)
            }
            (None, _) => idle,
        }
    }

    /// When [`Core::handle_timeout`] has something to do at the latest.
    pub fn poll_timeout(&self, now: Instant) -> Instant {
        let waiting = self.members.iter().any(|member| member.status.under_way || member.read.under_way);
        let probes = self.members.iter().map(|member| member.next_probe).chain([self.sync.due]).min();
        let next = probes.unwrap_or(now + self.config.idle_interval);
        if waiting || self.pin.other.is_some() { next.min(now + VERDICT_INTERVAL) } else { next }
    }
}

/// A little longer on average, and different for every node and member: a thousand nodes must
/// not ask in step.
fn jittered(interval: Duration, rng: &mut fastrand::Rng) -> Duration {
    interval.mul_f64(0.95 + 0.2 * rng.f64())
}

/// Rounds that a suspicion lasts at least: the first may have been answered from before the fault.
const ROUNDS_MIN: u32 = 3;

/// A fault that lasts is watched less closely: a thousand nodes must not burden a sick cluster.
const SETTLED_AFTER: Duration = Duration::from_secs(10);
const PATIENT_INTERVAL: Duration = Duration::from_secs(1);

/// Between two requests for the member list.
const SYNC_PAUSE: Duration = Duration::from_secs(1);

/// How exactly the time of a silence is kept.
const VERDICT_INTERVAL: Duration = Duration::from_millis(25);
