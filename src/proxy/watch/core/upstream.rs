//! What members say of the feeds' upstream watches.

use std::collections::BTreeSet;
use std::time::Instant;

use super::feed::{Fate, Feed, Link};
use super::requests::NOBODY;
use super::watcher::Place;
use super::{Core, EndReason, FeedId, Response, Upstream};

impl Core {
    /// The next response of an upstream watch. One that answers for all watches of its stream, with
    /// watch id -1, is told to each of them that is on that stream.
    pub fn handle_response(&mut self, upstream: Upstream, response: Response, now: Instant) {
        let Some(feed) = self.feeds.get_mut(&upstream.feed) else { return };
        if feed.attempt != upstream.attempt {
            return;
        }
        let id = feed.id;
        let is_whole = response.header.cluster_id != 0;
        if is_whole {
            feed.header = response.header;
            self.learn(&response.header);
        }
        if response.canceled {
            if response.compact_revision > 0 {
                self.on_compacted(id, response.compact_revision, now);
            } else {
                self.on_canceled(id, &response.cancel_reason, now);
            }
        } else if response.created {
            self.on_created(id, now);
        } else if response.batch.is_empty() {
            let requested = response.watch_id == NOBODY;
            self.on_progress(id, response.header.revision, requested, now);
        } else {
            self.on_events(id, response, now);
        }
    }

    /// The upstream watch is gone with its stream, or never came to be. It is to be opened again,
    /// elsewhere if need be.
    pub fn handle_lost(&mut self, upstream: Upstream, now: Instant) {
        let Some(feed) = self.feeds.get_mut(&upstream.feed) else { return };
        if feed.attempt != upstream.attempt {
            return;
        }
        feed.opening_since.get_or_insert(now);
        if feed.watchers == 0 && !feed.standing {
            return self.close(upstream.feed, now);
        }
        self.counts.resumes += u64::from(feed.proven);
        self.reopen(upstream.feed);
    }

    fn on_created(&mut self, id: FeedId, now: Instant) {
        let Some(feed) = self.feeds.get_mut(&id) else { return };
        feed.link = Link::Created;
        feed.opening_since = None;
        feed.proven = true;
        // The first request comes after a pause: before it a member has hardly caught up.
        feed.requested_at = (!feed.is_shared()).then_some(now);
        self.arm(id, now);
        self.listen(id, now);
    }

    /// It has brought something, so that its start was not compacted: it can be relied on.
    fn on_flow(&mut self, id: FeedId, now: Instant) {
        let Some(feed) = self.feeds.get_mut(&id) else { return };
        if std::mem::replace(&mut feed.link, Link::Flowing) == Link::Flowing {
            return;
        }
        if feed.fate == Fate::Splits {
            self.split(id, now);
        } else if feed.is_shared() {
            self.gather(id, now);
            self.split_around(id, now);
        }
    }

    /// It had been permitted before, so this is not the client's doing. Each client finds out by
    /// itself where it stands.
    fn on_canceled(&mut self, id: FeedId, reason: &str, now: Instant) {
        let Some(feed) = self.feeds.get(&id) else { return };
        let watchers = self.everyone(feed).into_iter().filter_map(|(watcher, _)| self.watchers.get(&watcher));
        let streams: BTreeSet<_> = watchers.map(|watcher| watcher.stream).collect();
        for stream in streams {
            self.end(stream, EndReason::UpstreamCanceled(reason.to_owned()), now);
        }
        // Nobody is on it, so there is nothing to linger for.
        self.close(id, now);
    }

    fn on_events(&mut self, id: FeedId, response: Response, now: Instant) {
        let Response { fragment, batch, .. } = response;
        let Some(feed) = self.feeds.get_mut(&id) else { return };
        let events = batch.events().len() as u64;
        feed.events_in += events;
        self.counts.events_in += events;
        self.counts.bytes_in += batch.events().iter().map(|event| event.len() as u64).sum::<u64>();
        let mut whole = feed.assembly.add(batch, fragment);
        if !whole.is_in_order() {
            // No etcd does this; whatever it was, another watch will tell.
            return self.renew(id);
        }
        // A watch may begin before the position of its feed, a resumed one with what has come already.
        whole.retain_from(feed.position);
        if !whole.is_empty() {
            self.deliver(id, whole, now);
            self.on_flow(id, now);
            self.on_moved(id, now);
        }
    }

    /// Nothing up to this revision is still to come.
    fn on_progress(&mut self, id: FeedId, revision: i64, requested: bool, now: Instant) {
        let Some(feed) = self.feeds.get_mut(&id) else { return };
        // Before the created response it is about the stream's other watches.
        if feed.link == Link::Opening {
            return;
        }
        if !feed.assembly.is_empty() {
            return self.renew(id);
        }
        if !requested {
            let before = feed.notified_at.replace(now);
            self.on_notified(before, now);
        }
        let Some(feed) = self.feeds.get_mut(&id) else { return };
        feed.moved_at = now;
        feed.unanswered = 0;
        if revision >= feed.position {
            feed.position = revision + 1;
            let due = take_due(feed);
            for (position, watcher) in due {
                self.on_met(watcher, id, position);
            }
        }
        self.confirm(id);
        self.on_flow(id, now);
        self.on_moved(id, now);
        self.isolate(id, now);
    }

    /// The feed has come to the position of a watcher that was ahead of it.
    pub(super) fn on_met(&mut self, watcher_id: super::WatcherId, id: FeedId, position: i64) {
        let (Some(watcher), Some(feed)) = (self.watchers.get_mut(&watcher_id), self.feeds.get_mut(&id))
        else {
            return;
        };
        debug_assert!(matches!(watcher.place, Place::Ahead { position: at, .. } if at == position));
        super::joining::seat(watcher, watcher_id, feed);
    }

    /// The position of a feed has risen.
    fn on_moved(&mut self, id: FeedId, now: Instant) {
        let Some(feed) = self.feeds.get_mut(&id) else { return };
        if !feed.is_shared() {
            feed.ring.restart(feed.position);
        }
        match feed.fate {
            Fate::Splits => self.split(id, now),
            Fate::Stays if feed.is_shared() => {}
            Fate::Merges | Fate::Stays => self.migrate(id, now),
        }
    }
}

/// Watchers that are ahead no longer.
pub(super) fn take_due(feed: &mut Feed) -> Vec<(i64, super::WatcherId)> {
    let mut due = Vec::new();
    while let Some(first) = feed.ahead.first()
        && first.0 <= feed.position
    {
        due.extend(feed.ahead.pop_first());
    }
    due
}
