//! Whom connections tell that something has changed.

use std::sync::Arc;

use tokio::sync::Notify;

use super::health::Signals;

/// Cheap to clone; every connection has one.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes {
    /// Wakes calls that wait.
    notify: Arc<Notify>,
    signals: Signals,
}

impl Changes {
    pub fn new(signals: Signals) -> Self {
        Self { notify: Arc::default(), signals }
    }

    /// Something that could help a waiting call.
    pub fn on_change(&self) {
        self.notify.notify_waiters();
    }

    /// A connection has ended by itself: perhaps its member has too.
    pub fn on_lost(&self) {
        self.signals.suspect();
        self.on_change();
    }

    pub fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.notify.notified()
    }
}
