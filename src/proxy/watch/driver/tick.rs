//! Time, and what else is not told by anybody: restores.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::state::Shared;

/// Runs as long as the proxy does.
pub(in crate::proxy::watch) async fn run(shared: Arc<Shared>) {
    let mut life = shared.proxy().map(|proxy| proxy.watermark.life());
    let mut shown_at = Instant::now();
    loop {
        let look_at = shown_at + LOOK_INTERVAL;
        let until = shared.due().map_or(look_at, |due| due.min(look_at));
        tokio::select! {
            () = tokio::time::sleep_until(until.into()) => {}
            () = shared.timer.notified() => {}
        }
        let Some(proxy) = shared.proxy() else { return };
        if Some(proxy.watermark.life()) != life {
            life = Some(proxy.watermark.life());
            shared.with(|core, now| core.handle_restored(now));
        }
        shared.with(|core, now| core.handle_timeout(now));
        // When it is due again at once, others of the thread come first.
        tokio::task::yield_now().await;
        if Instant::now() < look_at {
            continue;
        }
        shown_at = Instant::now();
        shared.show_numbers();
        shared.sweep();
    }
}

const LOOK_INTERVAL: Duration = Duration::from_secs(1);
