//! Whether there is HTTP where it is asked for.
//!
//! With `--listen-client-http-urls`, etcd serves gRPC alone on its client URLs: whoever connects gets
//! the SETTINGS of HTTP/2 at once, and then a closed connection; over TLS a closed connection only,
//! which a member that is about to end gives too. So that counts only where HTTP was not heard of late,
//! not when it happens once, and not for long.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

/// What is known of an address.
#[derive(Default)]
pub(in crate::upstream) struct Speech(Mutex<State>);

#[derive(Default)]
struct State {
    /// Connections in turn that were closed without a byte.
    mute: u32,
    heard_at: Option<Instant>,
    grpc_only_until: Option<Instant>,
}

impl Speech {
    /// Whether a request in HTTP would be in vain.
    pub fn is_grpc_only(&self, now: Instant) -> bool {
        let until = self.0.lock().expect("nobody panics while holding it").grpc_only_until;
        until.is_some_and(|until| now < until)
    }

    /// A connection begins to speak.
    pub(super) fn on_voice(&self, voice: Voice, now: Instant) {
        let mut state = self.0.lock().expect("nobody panics while holding it");
        match voice {
            Voice::Http => *state = State { heard_at: Some(now), ..State::default() },
            Voice::Http2 => state.grpc_only_until = Some(now + REMEMBERED),
            Voice::Mute if state.heard_at.is_some_and(|heard| now < heard + HEARD_OF_LATE) => {}
            Voice::Mute => {
                state.mute += 1;
                if state.mute >= MUTE_MAX {
                    state.grpc_only_until = Some(now + MUTE_REMEMBERED);
                }
            }
        }
    }
}

/// How a connection answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Voice {
    Http,
    Http2,
    /// It was closed first.
    Mute,
}

impl Voice {
    /// By the first that is read of a connection on which something was asked.
    pub fn of(first: &[u8]) -> Self {
        match first {
            [] => Self::Mute,
            // The length of a SETTINGS frame: no answer in HTTP/1.1 begins like this.
            [0, ..] => Self::Http2,
            [..] => Self::Http,
        }
    }
}

/// The voice of one connection, for whoever used it.
#[derive(Default)]
pub(super) struct Heard(AtomicU8);

impl Heard {
    pub fn set(&self, voice: Voice) {
        self.0.store(voice as u8 + 1, Ordering::Relaxed);
    }

    pub fn is_http2(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Voice::Http2 as u8 + 1
    }
}

/// What a request gets that nobody there understands.
pub(in crate::upstream) const GRPC_ONLY: &str = "the client URLs of the cluster serve gRPC only \
    (--listen-client-http-urls), not sent: name its HTTP URLs in upstream.http-endpoints";

/// Somebody may give the member another command line.
const REMEMBERED: Duration = Duration::from_secs(30);

/// One may be an accident.
const MUTE_MAX: u32 = 2;

/// Longer than a member needs to end and begin again is too long, where it may be only that.
const MUTE_REMEMBERED: Duration = Duration::from_secs(5);

/// Members get another command line less often than they end.
const HEARD_OF_LATE: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http2_is_known_by_its_first_byte() {
        assert_eq!(Voice::of(&[0, 0, 6, 4, 0, 0, 0, 0, 0]), Voice::Http2);
        assert_eq!(Voice::of(b"HTTP/1.1 200 OK"), Voice::Http);
        assert_eq!(Voice::of(b""), Voice::Mute);
    }

    #[test]
    fn what_serves_no_http_is_remembered_for_a_while() {
        let (speech, now) = (Speech::default(), Instant::now());
        assert!(!speech.is_grpc_only(now));
        speech.on_voice(Voice::Http2, now);
        assert!(speech.is_grpc_only(now) && !speech.is_grpc_only(now + REMEMBERED));
        speech.on_voice(Voice::Http, now);
        assert!(!speech.is_grpc_only(now));
    }

    #[test]
    fn one_closed_connection_says_nothing_and_several_not_for_long() {
        let (speech, now) = (Speech::default(), Instant::now());
        speech.on_voice(Voice::Mute, now);
        assert!(!speech.is_grpc_only(now));
        speech.on_voice(Voice::Mute, now);
        assert!(speech.is_grpc_only(now) && !speech.is_grpc_only(now + MUTE_REMEMBERED));
    }

    #[test]
    fn a_member_that_spoke_http_and_ends_is_not_taken_for_one_that_does_not() {
        let (speech, now) = (Speech::default(), Instant::now());
        speech.on_voice(Voice::Http, now);
        for _ in 0..5 {
            speech.on_voice(Voice::Mute, now);
        }
        assert!(!speech.is_grpc_only(now));
    }
}
