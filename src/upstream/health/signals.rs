//! News from the data path to the driver.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Cheap to clone; every thread of the data path has one.
#[derive(Clone, Debug, Default)]
pub struct Signals(Arc<State>);

#[derive(Debug, Default)]
struct State {
    suspicion: AtomicBool,
    /// The driver does not look at the calls, because there were none.
    asleep: AtomicBool,
    wake: Notify,
}

impl Signals {
    /// A call met something that a healthy cluster does not do.
    pub fn suspect(&self) {
        if !self.0.suspicion.swap(true, Ordering::Relaxed) {
            self.0.wake.notify_one();
        }
    }

    /// A call is sent. Costs a load, unless it is the first after a pause.
    pub fn on_call(&self) {
        if self.0.asleep.load(Ordering::Relaxed) && self.0.asleep.swap(false, Ordering::Relaxed) {
            self.0.wake.notify_one();
        }
    }

    pub(super) fn sleep(&self) {
        self.0.asleep.store(true, Ordering::Relaxed);
    }

    pub(super) fn stay_awake(&self) {
        self.0.asleep.store(false, Ordering::Relaxed);
    }

    pub(super) fn is_asleep(&self) -> bool {
        self.0.asleep.load(Ordering::Relaxed)
    }

    pub(super) fn take_suspicion(&self) -> bool {
        self.0.suspicion.swap(false, Ordering::Relaxed)
    }

    pub(super) async fn woken(&self) {
        self.0.wake.notified().await;
    }
}
