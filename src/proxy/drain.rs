//! The way out: what the process tells its calls when it stops.

use std::time::Duration;

use tokio::sync::watch;

use crate::types::method::Effect;
use crate::types::status::{Code, SHUTTING_DOWN, SHUTTING_DOWN_OUTCOME_UNKNOWN, Status};

/// Cheap to clone; every connection and every endless call holds one.
#[derive(Clone)]
pub struct Drain {
    stage: watch::Receiver<Stage>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Serving,
    /// Clients are served, and shall go elsewhere.
    Announced,
    /// With the span within which endless calls end after it, spread evenly by chance, so that their
    /// clients do not come back elsewhere all at once.
    Begun(Duration),
}

/// Begins the drain.
pub struct DrainSignal(watch::Sender<Stage>);

impl DrainSignal {
    /// It will begin.
    pub fn announce(&self) {
        self.0.send_replace(Stage::Announced);
    }

    /// Endless calls end within `jitter`.
    pub fn begin(&self, jitter: Duration) {
        self.0.send_replace(Stage::Begun(jitter));
    }
}

pub fn channel() -> (DrainSignal, Drain) {
    let (sender, stage) = watch::channel(Stage::Serving);
    (DrainSignal(sender), Drain { stage })
}

impl Drain {
    /// Ends when those who look for a proxy shall find others.
    pub async fn announced(&self) {
        let mut stage = self.stage.clone();
        // An error means that the signal is gone, and with it the process.
        let _gone = stage.wait_for(|stage| *stage != Stage::Serving).await;
    }

    /// Ends when the drain begins.
    pub async fn begun(&self) {
        let mut stage = self.stage.clone();
        let _gone = stage.wait_for(|stage| matches!(stage, Stage::Begun(_))).await;
    }

    pub fn has_begun(&self) -> bool {
        matches!(*self.stage.borrow(), Stage::Begun(_))
    }

    /// Ends when listeners close.
    pub async fn backlog_ends(&self) {
        self.begun().await;
        tokio::time::sleep(BACKLOG_TIME).await;
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
        let stage = *self.stage.borrow();
        if let Stage::Begun(jitter) = stage {
            tokio::time::sleep(jitter.mul_f64(fastrand::f64())).await;
        }
    }
}

pub(super) fn status(effect: Effect) -> Status {
    let text = if effect == Effect::Read { SHUTTING_DOWN } else { SHUTTING_DOWN_OUTCOME_UNKNOWN };
    Status::new(Code::Unavailable, text)
}

/// A client of this machine that has connected sends its first bytes at once, and one that asks
/// without a pause its next request.
pub const PATIENCE: Duration = Duration::from_millis(250);

/// The system tells of who has connected before a timer of this length ends.
const BACKLOG_TIME: Duration = Duration::from_millis(10);
