//! What is due on an HTTP/2 connection although nothing happens on it: a ping, because its client may
//! be gone; its end, because the client is gone, uses it no longer, or does not finish what it began.

use std::time::{Duration, Instant};

use super::config::Limits;

#[derive(Debug)]
pub(super) struct Pulse {
    header_timeout: Duration,
    idle_timeout: Option<Duration>,
    interval: Duration,
    timeout: Duration,
    keepalive: Keepalive,
    /// What the client has to finish, and until when.
    unfinished: Option<(u64, Instant)>,
    idle: Idle,
}

/// By the count of reads that there was when it was looked at last.
#[derive(Clone, Copy, Debug)]
enum Keepalive {
    Pinged { reads: u64, until: Instant },
    Quiet { reads: u64, until: Instant },
}

#[derive(Clone, Copy, Debug)]
enum Idle {
    Busy,
    Since(Instant),
    /// It has been told to go.
    Told,
}

/// What there is to see of the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Counts what came in.
    pub reads: u64,
    /// As in [`super::frames::Incoming::unfinished`].
    pub unfinished: Option<u64>,
    /// Calls.
    pub streams: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Close the connection, for a reason that is counted.
    Close(&'static str),
    /// Let it end when it has no calls.
    GoAway,
    Ping,
}

impl Pulse {
    pub fn new(limits: &Limits, now: Instant) -> Self {
        let interval = limits.keepalive_interval;
        Self {
            header_timeout: limits.header_timeout,
            idle_timeout: limits.h2_idle_timeout,
            interval,
            timeout: limits.keepalive_timeout,
            keepalive: Keepalive::Quiet { reads: 0, until: now + interval },
            unfinished: None,
            idle: Idle::Busy,
        }
    }

    /// Whether [`Self::handle_seen`] has to be told. Asked whenever anything happens, so it is cheap.
    pub fn wants(&self, seen: Seen) -> bool {
        let begins = seen.unfinished.is_some() && self.unfinished.is_none();
        let turns = match self.idle {
            Idle::Busy => seen.streams == 0,
            Idle::Since(_) => seen.streams > 0,
            Idle::Told => false,
        };
        begins || (turns && self.idle_timeout.is_some())
    }

    pub fn handle_seen(&mut self, now: Instant, seen: Seen) {
        if let (Some(what), None) = (seen.unfinished, self.unfinished) {
            self.unfinished = Some((what, now + self.header_timeout));
        }
        self.idle = match self.idle {
            Idle::Busy if seen.streams == 0 => Idle::Since(now),
            Idle::Since(_) if seen.streams > 0 => Idle::Busy,
            other => other,
        };
    }

    /// When [`Self::handle_timeout`] wants to be called next.
    pub fn next(&self) -> Instant {
        let (Keepalive::Pinged { until, .. } | Keepalive::Quiet { until, .. }) = self.keepalive;
        let idle = match (self.idle, self.idle_timeout) {
            (Idle::Since(since), Some(timeout)) => Some(since + timeout),
            _ => None,
        };
        let unfinished = self.unfinished.map(|(_, until)| until);
        [idle, unfinished].into_iter().flatten().fold(until, Instant::min)
    }

    pub fn handle_timeout(&mut self, now: Instant, seen: Seen) -> Option<Due> {
        if let Some((what, until)) = self.unfinished
            && now >= until
        {
            if seen.unfinished == Some(what) {
                return Some(Due::Close("unfinished"));
            }
            // Another one may have begun meanwhile: it has its own time from now on.
            self.unfinished = seen.unfinished.map(|what| (what, now + self.header_timeout));
        }
        if let (Idle::Since(since), Some(timeout)) = (self.idle, self.idle_timeout)
            && now >= since + timeout
            && seen.streams == 0
        {
            self.idle = Idle::Told;
            return Some(Due::GoAway);
        }
        self.handle_keepalive(now, seen.reads)
    }

    fn handle_keepalive(&mut self, now: Instant, now_reads: u64) -> Option<Due> {
        let (Keepalive::Pinged { reads, until } | Keepalive::Quiet { reads, until }) = self.keepalive;
        if now < until {
            return None;
        }
        if reads != now_reads {
            self.keepalive = Keepalive::Quiet { reads: now_reads, until: now + self.interval };
            return None;
        }
        match self.keepalive {
            Keepalive::Pinged { .. } => Some(Due::Close("keep-alive")),
            Keepalive::Quiet { .. } => {
                self.keepalive = Keepalive::Pinged { reads, until: now + self.timeout };
                Some(Due::Ping)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::capacity::tests::limits;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// 2 s for heads, 60 s between pings, 20 s for an answer.
    fn pulse(idle: Option<Duration>, now: Instant) -> Pulse {
        let limits = Limits {
            header_timeout: 2 * SECOND,
            h2_idle_timeout: idle,
            keepalive_interval: 60 * SECOND,
            keepalive_timeout: 20 * SECOND,
            ..limits(1, None)
        };
        Pulse::new(&limits, now)
    }

    fn busy(reads: u64) -> Seen {
        Seen { reads, unfinished: None, streams: 1 }
    }

    #[test]
    fn a_client_that_answers_no_ping_is_given_up_and_one_that_sends_anything_is_not() {
        let start = Instant::now();
        let mut pulse = pulse(None, start);
        let mut now = pulse.next();
        assert_eq!(now, start + 60 * SECOND);
        // It has sent something since the start.
        assert_eq!(pulse.handle_timeout(now, busy(5)), None);
        now = pulse.next();
        assert_eq!(pulse.handle_timeout(now, busy(5)), Some(Due::Ping));
        now = pulse.next();
        assert_eq!(pulse.handle_timeout(now, busy(6)), None);
        now = pulse.next();
        assert_eq!(pulse.handle_timeout(now, busy(6)), Some(Due::Ping));
        assert_eq!(pulse.next(), now + 20 * SECOND);
        assert_eq!(pulse.handle_timeout(now + 20 * SECOND, busy(6)), Some(Due::Close("keep-alive")));
    }

    #[test]
    fn what_was_begun_has_to_end_and_the_next_has_its_own_time() {
        let start = Instant::now();
        let mut pulse = pulse(None, start);
        let seen = |what| Seen { unfinished: Some(what), ..busy(0) };
        assert!(pulse.wants(seen(1)) && !pulse.wants(busy(0)));
        pulse.handle_seen(start, seen(1));
        assert!(!pulse.wants(seen(2)));
        assert_eq!(pulse.next(), start + 2 * SECOND);
        assert_eq!(pulse.handle_timeout(start + 2 * SECOND, seen(2)), None);
        assert_eq!(pulse.next(), start + 4 * SECOND);
        assert_eq!(pulse.handle_timeout(start + 4 * SECOND, seen(2)), Some(Due::Close("unfinished")));
    }

    #[test]
    fn a_connection_without_calls_is_told_to_go_once() {
        let start = Instant::now();
        let mut pulse = pulse(Some(10 * SECOND), start);
        let idle = Seen { streams: 0, ..busy(0) };
        assert!(pulse.wants(idle));
        pulse.handle_seen(start, idle);
        assert_eq!(pulse.next(), start + 10 * SECOND);
        // A call comes and goes.
        assert!(pulse.wants(busy(1)));
        pulse.handle_seen(start + SECOND, busy(1));
        pulse.handle_seen(start + 5 * SECOND, idle);
        assert_eq!(pulse.handle_timeout(start + 10 * SECOND, idle), None);
        assert_eq!(pulse.next(), start + 15 * SECOND);
        assert_eq!(pulse.handle_timeout(start + 15 * SECOND, idle), Some(Due::GoAway));
        assert!(!pulse.wants(idle));
        assert_eq!(pulse.next(), start + 60 * SECOND);
    }

    #[test]
    fn without_an_idle_timeout_nobody_asks_for_the_time() {
        let start = Instant::now();
        let pulse = pulse(None, start);
        assert!(!pulse.wants(Seen::default()));
    }
}
