//! How often a client may ping: as etcd's gRPC server has it, without leave to ping while no call is
//! open (grpc-go: `handlePing` in internal/transport/http2_server.go).

use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct Pings {
    min_time: Duration,
    last: Option<Instant>,
    strikes: u32,
}

impl Pings {
    pub fn new(min_time: Duration) -> Self {
        Self { min_time, last: None, strikes: 0 }
    }

    /// Whether this ping is one too many. `answered`: headers or data were sent to the client since the
    /// one before; whoever is being answered may ask whether there is more.
    pub fn handle_ping(&mut self, now: Instant, answered: bool, streams: usize) -> bool {
        let last = self.last.replace(now);
        if answered {
            self.strikes = 0;
            return false;
        }
        let pause = if streams == 0 { PAUSE_WITHOUT_STREAMS } else { self.min_time };
        if last.is_some_and(|last| now < last + pause) {
            self.strikes += 1;
        }
        self.strikes > STRIKES_MAX
    }
}

/// grpc-go: `defaultPingTimeout`.
const PAUSE_WITHOUT_STREAMS: Duration = Duration::from_secs(2 * 60 * 60);

/// grpc-go: `maxPingStrikes`.
const STRIKES_MAX: u32 = 2;

/// `ENHANCE_YOUR_CALM` (RFC 9113, section 7), with the words that make gRPC clients ping less often
/// (gRPC proposal A8).
pub(super) const CODE: u32 = 0xb;
pub(super) const DEBUG_DATA: &[u8] = b"too_many_pings";

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// The first of ten pings that is one too many, from 0.
    fn too_many(pause: Duration, answered: bool, streams: usize) -> Option<u32> {
        let (start, mut pings) = (Instant::now(), Pings::new(5 * SECOND));
        (0..10).find(|number| pings.handle_ping(start + pause * *number, answered, streams))
    }

    #[test]
    fn the_third_early_ping_is_one_too_many() {
        assert_eq!(too_many(SECOND, false, 1), Some(3));
        assert_eq!(too_many(5 * SECOND, false, 1), None);
    }

    #[test]
    fn without_a_call_every_ping_is_early() {
        assert_eq!(too_many(60 * SECOND, false, 0), Some(3));
        assert_eq!(too_many(7200 * SECOND, false, 0), None);
    }

    #[test]
    fn whoever_is_answered_may_ping() {
        assert_eq!(too_many(Duration::ZERO, true, 1), None);
        let (now, mut pings) = (Instant::now(), Pings::new(5 * SECOND));
        let strikes = [false, false, false, true, false, false].map(|answered| {
            let too_many = pings.handle_ping(now, answered, 1);
            (too_many, pings.strikes)
        });
        assert_eq!(strikes.map(|(_, count)| count), [0, 1, 2, 0, 1, 2]);
        assert!(strikes.iter().all(|(too_many, _)| !too_many));
    }
}
