//! The watch hub: thousands of local watches, few upstream, and nothing that a client could notice.
//!
//! ```text
//!   client streams                        core                                    members
//!   create, cancel, ─> requests, in order ─> authorize ─> joining ─┐         one upstream watch
//!   progress              per stream                               v         per feed
//!                                                    feeds ── position, ring <── events, progress
//!   <── frames: a head of their own, shared events <── groups (same range, same filters)
//!        └ full? ─> lagging ─> ring ─> catch-up ─> compaction's cancel
//! ```
//!
//! Watchers of one identity (and one need for `prev_kv`) share feeds. A watcher inside a feed's
//! range joins it; a wider feed takes over the watchers of narrower ones as soon as it has their
//! position; ranges that only overlap stay apart. A watcher that comes too late for the ring of its
//! feed catches up on a private watch until the ring has its position. A feed whose upstream watch
//! is lost goes on from its position elsewhere, and no client hears of it.
//!
//! Invariants, for each watcher, whatever happens to feeds, members and other clients:
//! - it is shown exactly what a private watch would show: every matching event from its start on,
//!   in order, whole revisions, once; or it is cancelled as etcd cancels, when a compaction has
//!   overtaken it;
//! - its ids, its created and canceled responses and their texts are etcd's, in the order of the
//!   stream's requests;
//! - a progress response is behind every event up to its revision, and not before its start;
//! - nobody waits for a slow reader: what waits for one stream is bounded, and its watchers leave
//!   their feeds until it has room.
//!
//! Two differences from etcd are meant: the created response of a watch from now on says the
//! revision before its first one, which is at least what any client of this node has seen; and the
//! header of an event response says the revision of its last event, also while etcd's would say the
//! store's present one.
//!
//! # What the driver does
//!
//! `core` decides and the driver acts; it owns the core, and calls it from one task. After every
//! `handle_*` it calls [`core::Core::poll_output`] until there is nothing more, and it calls
//! [`core::Core::handle_timeout`] when [`core::Core::poll_timeout`] has come.
//!
//! From clients:
//! - A new stream: [`core::Core::handle_stream`] with an id that is never used again and its
//!   identity: whatever makes a difference to a member, hence the token (`token` or
//!   `authorization`) and `hasleader`. A stream that must not share gets an identity of its own.
//! - A request frame: [`core::Request::read`], then [`core::Core::handle_request`], but only while
//!   [`core::Core::wants_requests`]; where the frame can't be read, the stream ends `Internal`, as
//!   gRPC does it.
//! - The end of the requests: nothing; the core goes on. The end of the stream, whoever ended it:
//!   [`core::Core::handle_stream_closed`].
//! - Bytes of a `Deliver` that the client has room for, or that were dropped: once each,
//!   [`core::Core::handle_drained`]. These are the only bytes that the driver holds for a client.
//!
//! For each output:
//! - `Authorize`: ask, with the metadata of that very stream. With a range, a serializable Range of
//!   exactly its `key` and `range_end` at revision 2^63-1: `OutOfRange` means permitted, an
//!   authorization error is `Denied` with the text that etcd puts in a cancel (`rpc error: code =
//!   PermissionDenied desc = etcdserver: permission denied`). And, sent after the create arrived, a
//!   serializable read of one key, whose header is the one of `Permitted`; one read serves all
//!   creates that were there when it was sent. What fails is tried elsewhere; `Failed` only when
//!   nobody can be asked. Answers may come in any order, by [`core::Core::handle_authorized`], with
//!   the node's watermark of that moment.
//! - `Open`: create this watch upstream, with `progress_notify` and `fragment`, without filters, with
//!   the metadata of the identity; `alone` on an upstream stream that carries nothing else, otherwise
//!   on any of the same identity. `resumes` may be paced, with a jitter. Prefer healthy followers; a
//!   member that lags is fine, because a start to come only waits. Each response, read by
//!   [`core::Response::read`], goes to [`core::Core::handle_response`] with the key of the `Open`; one
//!   with watch id -1 goes to every watch that is on that upstream stream and created. A canceled
//!   response, a refused create among them, is handed in like any other and ends that watch: no
//!   `Close` follows for it, perhaps an `Open`. When the watch is lost, could
//!   not be created for whatever reason but a refusal in words, or sends what can't be read:
//!   [`core::Core::handle_lost`], once, and another `Open` comes. With `no leader` go to another member
//!   first, and say [`core::Core::handle_no_leader`] when none has one. An error of authentication for
//!   a whole upstream stream is [`core::Core::handle_identity_expired`]. Nothing else of a stream that
//!   failed may be handed in afterwards (it would be ignored).
//! - `Close`: cancel that watch, or do not open it. Late responses may still be handed in.
//! - `RequestProgress`: send a progress request on the upstream stream of that watch. One serves all
//!   watches of a stream that asked within a few milliseconds. To members before 3.4.31 and 3.5.13,
//!   whose answers are not to be relied on, send none.
//! - `Deliver`: queue `head`, then `events`, as one gRPC frame on that stream, in the order of the
//!   outputs. Nothing is queued for a stream of which [`core::Core::handle_drained`] does not tell.
//! - `End`: send what is queued, then trailers with `UNAVAILABLE` (and `etcdserver: no leader` for
//!   `NoLeader`); the core has forgotten the stream.
//!
//! From the cluster: [`core::Core::handle_restored`] when it is another one or an older one than
//! before, or its epoch has changed.
//!
//! Deliberately absent: pacing and choice of members (the driver's).

pub mod config;
pub mod core;
mod driver;
mod metrics;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

pub use config::Config;
pub(super) use driver::Watches;
pub use driver::{FeedOverview, Overview};
pub use metrics::WatchMetrics;

use super::Proxy;
use super::caller::Caller;
use super::home::Home;
use crate::types::call::Call;
use crate::upstream::health::Credentials;

/// One for all threads of the data path. Its feeds live on the thread that has the first watch.
#[derive(Clone)]
pub struct Hub(Arc<Parts>);

struct Parts {
    config: Config,
    account: Option<Arc<driver::Account>>,
    metrics: WatchMetrics,
    shared: OnceLock<Arc<driver::Shared>>,
}

impl Hub {
    pub fn new(config: &Config, metrics: WatchMetrics) -> Self {
        let account = config.account.clone().map(|credentials| Arc::new(driver::Account::new(credentials)));
        Self(Arc::new(Parts { config: config.clone(), account, metrics, shared: OnceLock::new() }))
    }

    /// Where users share watches, these are opened with other credentials from now on.
    pub fn set_credentials(&self, credentials: &Credentials) {
        if let Some(account) = &self.0.account {
            account.set(credentials);
        }
    }

    /// Whether the call's watches are shared with those of others, and whose it is then.
    pub(super) fn takes(&self, call: &Call) -> Option<Caller> {
        (self.0.config.coalesce && call.rpc.path == WATCH).then(|| Caller::of(call))?
    }

    /// `proxy` opens the streams to members.
    pub(super) fn join(&self, call: Call, caller: Caller, proxy: &Arc<Proxy>) -> Watches {
        Watches::new(self.shared(proxy), caller, call.body, call.deadline)
    }

    /// Opens the feeds that stand, if there are any.
    pub(super) fn start(&self, proxy: &Arc<Proxy>) {
        let Parts { config, .. } = &*self.0;
        if config.coalesce && config.prefixes.iter().any(|entry| entry.standing.is_some()) {
            self.shared(proxy);
        }
    }

    /// What there is at this moment, with the feeds that have the most watchers.
    pub fn overview(&self, feeds_max: usize) -> Overview {
        let shared = self.0.shared.get();
        shared.map_or_else(Overview::default, |shared| Overview::of(shared, feeds_max))
    }

    fn shared(&self, proxy: &Arc<Proxy>) -> &Arc<driver::Shared> {
        let Parts { config, account, metrics, shared } = &*self.0;
        shared.get_or_init(|| {
            let shared = driver::Shared::new(config, metrics.clone(), Home::here(proxy), account.clone());
            tokio::spawn(driver::tick(shared.clone()));
            tokio::spawn(driver::stand(shared.clone(), config.prefixes.clone()));
            shared
        })
    }
}

const WATCH: &str = "/etcdserverpb.Watch/Watch";
