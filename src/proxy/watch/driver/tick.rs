//! Time, and what else is not told by anybody: restores, and the lack of a leader.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::state::Shared;
use crate::upstream::view::Leader;

/// Runs as long as the proxy does.
pub(in crate::proxy::watch) async fn run(shared: Arc<Shared>) {
    let mut life = shared.proxy().map(|proxy| proxy.watermark.life());
    let mut leaderless_since = None;
    let mut shown_at = Instant::now();
    loop {
        let now = Instant::now();
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
        if Instant::now() < look_at {
            continue;
        }
        shown_at = Instant::now();
        shared.show_numbers();
        shared.sweep();
        if proxy.upstream.view().leader != Leader::None {
            leaderless_since = None;
        } else if now >= *leaderless_since.get_or_insert(now) + LEADERLESS_MAX {
            for identity in shared.requiring_leader() {
                shared.with(|core, now| core.handle_no_leader(&identity, now));
            }
        }
    }
}

const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// etcd ends a stream that demands a leader after three election timeouts without one
/// (`monitorLeader` of its `server/etcdserver/api/v3rpc/interceptor.go`).
const LEADERLESS_MAX: Duration = Duration::from_secs(3);
