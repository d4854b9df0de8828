//! When to take a lease, write the key, renew, and leave.
//!
//! ```text
//!   Absent ── Grant ──> Granted ── Put ──> Registered ── KeepAlive ─┐
//!     ^ ^                  │ refused           │  ^─────────────────┘
//!     │ └──── Revoke <─────┘                   │ its lease is over
//!     └────────────────────────────────────────┘            leave: Revoke, End
//! ```

use std::time::{Duration, Instant};

pub(super) struct Core {
    ttl: Duration,
    state: State,
    /// Leases that were of no use, one after the other.
    spoilt_in_a_row: u32,
}

enum State {
    Absent {
        next: Instant,
    },
    /// The lease is there, but not the key.
    Granted {
        lease: i64,
        until: Instant,
    },
    Registered {
        lease: i64,
        until: Instant,
        beat: Instant,
    },
    /// The lease is of no use.
    Spoilt {
        lease: i64,
    },
    Leaving {
        lease: Option<i64>,
    },
}

/// What is to be done, one after the other; its outcome is handed in before the next is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    End,
    /// Only to be told: nobody has answered for as long as the lease lasts.
    Expired,
    Grant,
    KeepAlive(i64),
    Put(i64),
    Revoke(i64),
    Wait(Instant),
}

impl Core {
    pub fn new(ttl: Duration, now: Instant) -> Self {
        Self { ttl, state: State::Absent { next: now }, spoilt_in_a_row: 0 }
    }

    pub fn poll_step(&mut self, now: Instant) -> Step {
        match self.state {
            State::Granted { until, .. } if now >= until => {
                self.state = State::Absent { next: now };
                Step::Grant
            }
            State::Registered { until, .. } if now >= until => {
                self.state = State::Absent { next: now };
                Step::Expired
            }
            State::Absent { next } if now >= next => Step::Grant,
            State::Absent { next } => Step::Wait(next),
            State::Granted { lease, .. } => Step::Put(lease),
            State::Registered { lease, beat, .. } if now >= beat => Step::KeepAlive(lease),
            State::Registered { until, beat, .. } => Step::Wait(beat.min(until)),
            State::Spoilt { lease } | State::Leaving { lease: Some(lease) } => Step::Revoke(lease),
            State::Leaving { lease: None } => Step::End,
        }
    }

    /// `None`: no lease could be had.
    pub fn handle_granted(&mut self, lease: Option<i64>, asked_at: Instant, now: Instant) {
        self.state = match lease {
            Some(lease) => State::Granted { lease, until: asked_at + self.ttl },
            None => State::Absent { next: now + RETRY_PAUSE },
        };
    }

    /// Whether the key was written.
    pub fn handle_put(&mut self, done: bool, now: Instant) {
        if let State::Granted { lease, until } = self.state {
            self.spoilt_in_a_row = if done { 0 } else { self.spoilt_in_a_row + 1 };
            self.state = match done {
                true => State::Registered { lease, until, beat: now + self.interval() },
                false => State::Spoilt { lease },
            };
        }
    }

    /// `None`: nobody answered. Tells whether it is still registered.
    pub fn handle_kept_alive(&mut self, ttl: Option<i64>, asked_at: Instant, now: Instant) -> bool {
        let State::Registered { lease, until, .. } = self.state else { return true };
        self.state = match ttl {
            None => State::Registered { lease, until, beat: now + RETRY_PAUSE },
            Some(..=0) => State::Absent { next: now + RETRY_PAUSE },
            Some(1..) => {
                State::Registered { lease, until: asked_at + self.ttl, beat: asked_at + self.interval() }
            }
        };
        matches!(self.state, State::Registered { .. })
    }

    /// Whatever became of it: a lease that is not there any longer is no loss.
    pub fn handle_revoked(&mut self, now: Instant) {
        self.state = match self.state {
            State::Leaving { .. } => State::Leaving { lease: None },
            _ => State::Absent { next: now + self.pause() },
        };
    }

    /// What a thousand nodes are refused for ever (authentication is on, say) must not burden the cluster:
    /// a lease that is granted and given back stands in its log twice.
    fn pause(&self) -> Duration {
        let doubled = self.spoilt_in_a_row.saturating_sub(1).min(5);
        (RETRY_PAUSE * 2_u32.pow(doubled)).min(RETRY_PAUSE_MAX)
    }

    /// The process stops.
    pub fn handle_leave(&mut self) {
        let lease = match self.state {
            State::Granted { lease, .. } | State::Registered { lease, .. } | State::Spoilt { lease } => {
                Some(lease)
            }
            State::Absent { .. } => None,
            State::Leaving { lease } => lease,
        };
        self.state = State::Leaving { lease };
    }

    /// As etcd's clients renew: two beats may be lost.
    pub fn interval(&self) -> Duration {
        self.ttl / 3
    }
}

/// As etcd's proxy: one attempt a second.
pub(super) const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Between two attempts that are refused again and again.
pub(super) const RETRY_PAUSE_MAX: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(9);
    const SECOND: Duration = Duration::from_secs(1);

    fn registered(now: Instant) -> Core {
        let mut core = Core::new(TTL, now);
        assert_eq!(core.poll_step(now), Step::Grant);
        core.handle_granted(Some(7), now, now);
        assert_eq!(core.poll_step(now), Step::Put(7));
        core.handle_put(true, now);
        core
    }

    #[test]
    fn it_is_renewed_at_a_third_of_its_life() {
        let now = Instant::now();
        let mut core = registered(now);
        assert_eq!(core.poll_step(now), Step::Wait(now + 3 * SECOND));
        let later = now + 3 * SECOND;
        assert_eq!(core.poll_step(later), Step::KeepAlive(7));
        assert!(core.handle_kept_alive(Some(9), later, later + SECOND));
        assert_eq!(core.poll_step(later + SECOND), Step::Wait(later + 3 * SECOND));
    }

    #[test]
    fn a_beat_without_an_answer_is_repeated_until_the_lease_is_over() {
        let now = Instant::now();
        let mut core = registered(now);
        for second in 3..9 {
            let at = now + second * SECOND;
            assert_eq!(core.poll_step(at), Step::KeepAlive(7), "{second}");
            assert!(core.handle_kept_alive(None, at, at));
        }
        assert_eq!(core.poll_step(now + TTL), Step::Expired);
        assert_eq!(core.poll_step(now + TTL), Step::Grant);
    }

    #[test]
    fn a_lost_lease_is_replaced() {
        let now = Instant::now();
        let mut core = registered(now);
        assert!(!core.handle_kept_alive(Some(0), now, now));
        assert_eq!(core.poll_step(now), Step::Wait(now + SECOND));
        assert_eq!(core.poll_step(now + SECOND), Step::Grant);
        core.handle_granted(None, now, now + SECOND);
        assert_eq!(core.poll_step(now + SECOND), Step::Wait(now + 2 * SECOND));
    }

    #[test]
    fn a_lease_whose_key_could_not_be_written_is_given_back() {
        let now = Instant::now();
        let mut core = Core::new(TTL, now);
        core.handle_granted(Some(7), now, now);
        core.handle_put(false, now);
        assert_eq!(core.poll_step(now), Step::Revoke(7));
        core.handle_revoked(now);
        assert_eq!(core.poll_step(now), Step::Wait(now + SECOND));
        for pause in [2, 4, 8, 16, 30, 30] {
            core.handle_granted(Some(7), now, now);
            core.handle_put(false, now);
            core.handle_revoked(now);
            assert_eq!(core.poll_step(now), Step::Wait(now + pause * SECOND));
        }
        core.handle_granted(Some(7), now, now);
        core.handle_put(true, now);
        assert_eq!(core.spoilt_in_a_row, 0);
    }

    #[test]
    fn whoever_leaves_gives_its_lease_back_and_takes_no_other() {
        let now = Instant::now();
        let mut core = registered(now);
        core.handle_leave();
        assert_eq!(core.poll_step(now + TTL), Step::Revoke(7));
        core.handle_revoked(now);
        assert_eq!(core.poll_step(now), Step::End);
        let mut core = Core::new(TTL, now);
        core.handle_leave();
        assert_eq!(core.poll_step(now), Step::End);
    }
}
