//! The way out: what the process tells its calls when it stops.

use std::time::Duration;

use tokio::sync::watch;

use crate::types::method::Effect;
use crate::types::status::{Code, SHUTTING_DOWN, SHUTTING_DOWN_OUTCOME_UNKNOWN, Status};

/// Cheap to clone; every connection and every endless call holds one.
#[derive(Clone)]
pub struct Drain {
    begun: watch::Receiver<bool>,
    /// Endless calls end within this span after the drain began, spread evenly by chance, so
    /// that their clients do not come back elsewhere all at once.
    jitter: Duration,
}

/// Begins the drain.
pub struct DrainSignal(watch::Sender<bool>);

impl DrainSignal {
    pub fn begin(&self) {
        self.0.send_replace(true);
    }
}

pub fn channel(jitter: Duration) -> (DrainSignal, Drain) {
    let (sender, begun) = watch::channel(false);
    (DrainSignal(sender), Drain { begun, jitter })
}

impl Drain {
    /// Ends when the drain begins.
    pub async fn begun(&self) {
        let mut begun = self.begun.clone();
        // An error means that the signal is gone, and with it the process.
        let _gone = begun.wait_for(|begun| *begun).await;
    }

    /// Ends when a client that has connected, but said nothing yet, is no longer waited for: one that
    /// came just before the drain began is still served.
    pub async fn patience_ends(&self) {
        self.begun().await;
        tokio::time::sleep(PATIENCE).await;
    }

    /// Ends when an endless call has to: a while after the drain began.
    pub async fn stream_end(&self) {
        self.begun().await;
        tokio::time::sleep(self.jitter.mul_f64(fastrand::f64())).await;
    }
}

pub(super) fn status(effect: Effect) -> Status {
    let text = if effect == Effect::Read { SHUTTING_DOWN } else { SHUTTING_DOWN_OUTCOME_UNKNOWN };
    Status::new(Code::Unavailable, text)
}

/// A client of this machine that has connected sends its first bytes at once.
const PATIENCE: Duration = Duration::from_millis(250);
