//! The connections of one endpoint for calls of one temper.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::request::Parts;

use super::changes::Changes;
use super::dial::{Dialer, Protocol};
use super::link::{Link, OpenError, Opened};
use super::metrics::EndpointMetrics;
use super::view::Endpoint;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneKind {
    /// Answers that are known to be long: snapshots, ranges over many keys.
    Bulk,
    /// Streams that stay open.
    Stream,
    /// Everything else.
    Unary,
}

impl LaneKind {
    /// Bytes of one answer that may wait here for a client that does not read. Large enough for
    /// a fast reader at 1 ms round trip: 1 GB/s in the bulk lane, 256 MB/s for a single answer,
    /// 64 MB/s for a stream. Streams have the least, because their frames are small, and a small
    /// frame that waits keeps the whole buffer that it was read in.
    pub(super) fn stream_window(self) -> u32 {
        match self {
            Self::Bulk => 1 << 20,
            Self::Stream => 64 << 10,
            Self::Unary => 256 << 10,
        }
    }
}

/// Opens links when calls need them, in the background, one at a time.
pub(super) struct Lane {
    endpoint: Endpoint,
    kind: LaneKind,
    dialer: Dialer,
    metrics: EndpointMetrics,
    /// Told of every change that could help a waiting call.
    changes: Changes,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    links: Vec<Arc<Link>>,
    dial: Dial,
}

#[derive(Default)]
enum Dial {
    #[default]
    Idle,
    Failed {
        attempts: u32,
        retry_at: Instant,
        why: String,
    },
    Under {
        attempts: u32,
    },
}

/// What a lane has for a call. Unless a stream was opened, the head comes back.
pub(super) enum Offer {
    /// The last attempt failed, and it is too early for the next.
    Failed(Box<Parts>, String),
    /// HTTP/2 cannot carry this head.
    Malformed(h2::Error),
    Opened(Opened),
    /// A connection is being made, or one is full for the moment.
    Wait(Box<Parts>),
}

impl Lane {
    pub fn new(
        endpoint: Endpoint,
        kind: LaneKind,
        dialer: Dialer,
        metrics: EndpointMetrics,
        changes: Changes,
    ) -> Arc<Self> {
        Arc::new(Self { endpoint, kind, dialer, metrics, changes, state: Mutex::default() })
    }

    /// Opens a stream on the first link that takes it.
    pub fn open(self: &Arc<Self>, mut head: Box<Parts>, ended: bool) -> Offer {
        let mut state = self.state.lock().expect("nobody panics while holding a lane");
        let mut index = 0;
        while let Some(link) = state.links.get(index) {
            match link.try_open(head, ended) {
                Ok(opened) => return Offer::Opened(opened),
                Err(OpenError::Ended(given_back)) => {
                    head = given_back;
                    state.links.swap_remove(index);
                }
                Err(OpenError::Full(given_back)) => {
                    head = given_back;
                    index += 1;
                }
                Err(OpenError::Malformed(error)) => return Offer::Malformed(error),
            }
        }
        match self.want_link(&mut state) {
            // Links that are only full take it when a stream of theirs ends.
            Err(why) if state.links.is_empty() => Offer::Failed(head, why),
            Ok(()) | Err(_) => Offer::Wait(head),
        }
    }

    /// Starts a connection where there is none, unless one is under way or it is too early.
    /// Returns whether the endpoint seems reachable: its last connection did not fail.
    pub fn warm(self: &Arc<Self>) -> bool {
        let mut state = self.state.lock().expect("nobody panics while holding a lane");
        state.links.retain(|link| !link.has_ended());
        if !state.links.is_empty() {
            return true;
        }
        let failed_before = matches!(state.dial, Dial::Failed { .. });
        self.want_link(&mut state).is_ok() && !failed_before
    }

    /// Ends all connections with their streams.
    pub fn cut(&self) {
        let links = std::mem::take(&mut self.state.lock().expect("nobody panics while holding a lane").links);
        links.iter().for_each(|link| link.cut());
    }

    /// Makes a connection, or says why it is too early to.
    fn want_link(self: &Arc<Self>, state: &mut State) -> Result<(), String> {
        let attempts = match &state.dial {
            Dial::Idle => 0,
            Dial::Failed { retry_at, why, .. } if Instant::now() < *retry_at => {
                return Err(why.clone());
            }
            Dial::Failed { attempts, .. } => *attempts,
            Dial::Under { .. } => return Ok(()),
        };
        state.dial = Dial::Under { attempts };
        tokio::spawn(self.clone().dial());
        Ok(())
    }

    async fn dial(self: Arc<Self>) {
        let outcome = self.connect().await;
        let mut state = self.state.lock().expect("nobody panics while holding a lane");
        let attempts = match state.dial {
            Dial::Under { attempts } => attempts,
            Dial::Idle | Dial::Failed { .. } => 0,
        };
        state.dial = match outcome {
            Ok(link) => {
                if attempts > 0 {
                    tracing::debug!(endpoint = %self.endpoint.address, lane = ?self.kind, "connected again");
                }
                state.links.push(link);
                Dial::Idle
            }
            Err(why) => {
                self.metrics.connect_failures.inc();
                if attempts == 0 {
                    tracing::debug!(endpoint = %self.endpoint.address, lane = ?self.kind, error = why, "no connection");
                }
                let retry_at = Instant::now() + retry_delay(attempts);
                Dial::Failed {
                    attempts: attempts + 1,
                    retry_at,
                    why: format!("{}: {why}", self.endpoint.address),
                }
            }
        };
        drop(state);
        self.changes.on_change();
    }

    async fn connect(&self) -> Result<Arc<Link>, String> {
        let parked =
            self.dialer.dial(&self.endpoint, Protocol::H2).await.map_err(|error| error.to_string())?;
        let transport = parked.attach(self.metrics.traffic.clone()).map_err(|error| error.to_string())?;
        let open = Link::open(
            transport,
            &self.endpoint.address,
            self.kind,
            self.metrics.clone(),
            self.changes.clone(),
        );
        let limit = self.dialer.timeout.limit();
        match tokio::time::timeout(limit, open).await {
            Ok(opened) => opened.map_err(|error| format!("no HTTP/2 there: {error}")),
            Err(_elapsed) => Err(format!("no answer in HTTP/2 within {limit:?}")),
        }
    }
}

/// Doubles up to [`RETRY_MAX`], less up to a quarter by chance, so that a thousand nodes do not
/// come back in step.
fn retry_delay(attempts: u32) -> Duration {
    let delay = RETRY_MIN.saturating_mul(1 << attempts.min(10)).min(RETRY_MAX);
    delay.mul_f64(1.0 - 0.25 * fastrand::f64())
}

const RETRY_MIN: Duration = Duration::from_millis(50);

/// The longest that an endpoint which came back stays unnoticed.
pub const RETRY_MAX: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_slow_down_to_a_limit() {
        assert!(retry_delay(0) <= RETRY_MIN);
        assert!(retry_delay(3) > retry_delay(0));
        for attempts in [10, 100, u32::MAX] {
            assert!(retry_delay(attempts) <= RETRY_MAX && retry_delay(attempts) >= RETRY_MAX * 3 / 4);
        }
    }
}
