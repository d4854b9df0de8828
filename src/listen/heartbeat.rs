//! The clock of a [`Pulse`]: one timer for each HTTP/2 connection.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::time::{Sleep, sleep_until};

use super::config::Limits;
use super::pulse::{Due, Pulse};
use super::watched::Signs;

pub(super) struct Heartbeat {
    pulse: Pulse,
    signs: Arc<Signs>,
    timer: Pin<Box<Sleep>>,
}

impl Heartbeat {
    pub fn new(limits: &Limits, signs: Arc<Signs>) -> Self {
        let pulse = Pulse::new(limits, Instant::now());
        let timer = Box::pin(sleep_until(pulse.next().into()));
        Self { pulse, signs, timer }
    }

    /// Ends when something is due. What is seen of the connection is taken in whenever this is polled.
    pub async fn due(&mut self) -> Due {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Due> {
        let seen = self.signs.seen();
        if self.pulse.wants(seen) {
            self.pulse.handle_seen(Instant::now(), seen);
            self.arm();
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            let due = self.pulse.handle_timeout(Instant::now(), seen);
            self.arm();
            if let Some(due) = due {
                return Poll::Ready(due);
            }
        }
        Poll::Pending
    }

    fn arm(&mut self) {
        self.timer.as_mut().reset(self.pulse.next().into());
    }
}
