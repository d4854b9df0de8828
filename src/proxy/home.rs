//! The thread that shared streams live on, whichever threads their clients are on.

use std::sync::{Arc, Weak};

use tokio::runtime::Handle;

use super::Proxy;

pub(super) struct Home {
    proxy: Weak<Proxy>,
    runtime: Handle,
}

impl Home {
    /// Where `proxy` is called.
    pub fn here(proxy: &Arc<Proxy>) -> Self {
        Self { proxy: Arc::downgrade(proxy), runtime: Handle::current() }
    }

    /// `None` when the thread has ended.
    pub fn proxy(&self) -> Option<Arc<Proxy>> {
        self.proxy.upgrade()
    }

    /// Runs a task there, unless the thread has ended.
    pub fn spawn<F>(&self, task: impl FnOnce(Arc<Proxy>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if let Some(proxy) = self.proxy() {
            self.runtime.spawn(task(proxy));
        }
    }
}
