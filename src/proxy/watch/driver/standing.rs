//! Feeds that are open though nobody watches: looked after here, because only here is it known
//! where revisions begin.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http::{HeaderMap, HeaderValue};

use super::super::config::Prefix;
use super::super::core::{Header, Range, Standing};
use super::account::NoPass;
use super::authorize::{Member, Unread, header};
use super::state::Shared;
use crate::proxy::caller::Caller;
use crate::proxy::{Proxy, identity};

/// Runs as long as the proxy does.
pub(in crate::proxy::watch) async fn run(shared: Arc<Shared>, prefixes: Vec<Prefix>) {
    join_all(prefixes.iter().filter(|entry| entry.standing.is_some()).map(|entry| keep(&shared, entry)))
        .await;
}

/// Sees to it that the feed of one prefix is there.
async fn keep(shared: &Arc<Shared>, entry: &Prefix) {
    let (Some(feed), Some(proxy)) = (entry.standing, shared.proxy()) else { return };
    let caller = nobody(&proxy, feed.require_leader);
    drop(proxy);
    let opener = shared.opener(&caller);
    let range = Range::of_prefix(&entry.prefix);
    let standing = Standing { identity: opener.identity(), range, prev_kv: feed.prev_kv };
    let mut pace = Pace::new();
    loop {
        let Some(proxy) = shared.proxy() else { return };
        let pause = if shared.with(|core, _| core.wants_standing(&standing)) {
            let life = proxy.watermark.life();
            match present(&proxy, shared, &caller, &standing.range).await {
                // What was read before a restore says nothing of what comes after it.
                Ok(header) if proxy.watermark.life() == life => {
                    shared.stand(&opener, |core, now| core.handle_standing(&standing, &header, now));
                    pace.on_opened(Instant::now())
                }
                Err(Unread::Refused(reason)) => {
                    if pace.is_first_refusal() {
                        let prefix = entry.prefix.escape_ascii();
                        tracing::warn!(%prefix, reason, "a standing watch is not permitted");
                    }
                    PAUSE_MAX
                }
                Ok(_) | Err(Unread::Failed(_)) => pace.on_failed(),
            }
        } else {
            pace.on_there(Instant::now())
        };
        drop(proxy);
        // A thousand nodes must not ask in step.
        tokio::time::sleep(pause.mul_f64(0.75 + fastrand::f64() / 2.0)).await;
    }
}

/// The header of a read, by whom the feed will be opened.
async fn present(
    proxy: &Arc<Proxy>,
    shared: &Shared,
    caller: &Caller,
    range: &Range,
) -> Result<Header, Unread> {
    let signed = match shared.account() {
        None => None,
        Some(account) => match account.pass(proxy, caller).await {
            Ok(pass) => Some(pass.sign(caller)),
            Err(NoPass::Refused) => return Err(Unread::Refused("upstream.auth is refused".to_owned())),
            Err(NoPass::Unanswered) => return Err(Unread::Failed(String::new())),
        },
    };
    header(proxy, signed.as_ref().unwrap_or(caller), &range.wire().0, Member::Any).await
}

/// A caller without a token, as those look that clients' calls have come from.
fn nobody(proxy: &Proxy, requires_leader: bool) -> Caller {
    let mut metadata = HeaderMap::new();
    proxy.admission.admit(&mut metadata).expect("it comes from here");
    if proxy.upstream.presents_common_name() {
        identity::disown(&mut metadata).expect("there is room for one more");
    }
    if requires_leader {
        metadata.insert("hasleader", HeaderValue::from_static("true"));
    }
    Caller::by(&metadata)
}

/// How long it is waited, so that nothing is opened again and again where it does not last.
struct Pace {
    opened_at: Option<Instant>,
    pause: Duration,
    refused: bool,
}

impl Pace {
    fn new() -> Self {
        Self { opened_at: None, pause: LOOK_INTERVAL, refused: false }
    }

    fn on_there(&mut self, now: Instant) -> Duration {
        if self.opened_at.is_none_or(|opened| now >= opened + PAUSE_MAX) {
            self.pause = LOOK_INTERVAL;
            self.refused = false;
        }
        LOOK_INTERVAL
    }

    /// If it is soon gone again, the next one comes later.
    fn on_opened(&mut self, now: Instant) -> Duration {
        self.opened_at = Some(now);
        self.on_failed()
    }

    fn on_failed(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(PAUSE_MAX);
        pause
    }

    fn is_first_refusal(&mut self) -> bool {
        !std::mem::replace(&mut self.refused, true)
    }
}

const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Whoever may not watch now will hardly be permitted sooner.
const PAUSE_MAX: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_that_does_not_last_is_opened_less_and_less_often() {
        let (mut pace, now) = (Pace::new(), Instant::now());
        let mut pauses = Vec::new();
        for _ in 0..7 {
            pauses.push(pace.on_opened(now).as_secs());
            assert_eq!(pace.on_there(now + LOOK_INTERVAL), LOOK_INTERVAL);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        pace.on_there(now + PAUSE_MAX);
        assert_eq!(pace.on_failed(), LOOK_INTERVAL);
    }

    #[test]
    fn a_refusal_is_told_once() {
        let mut pace = Pace::new();
        assert!(pace.is_first_refusal());
        assert!(!pace.is_first_refusal());
        pace.on_there(Instant::now());
        assert!(pace.is_first_refusal(), "it was permitted meanwhile");
    }
}
