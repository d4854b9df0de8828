//! Which feed a watcher lives on.

use std::time::Instant;

use super::feed::{ClassKey, Feed, Kind, Link};
use super::group::Member;
use super::output::WatcherId;
use super::watcher::{Place, Watcher};
use super::{Class, Core, FeedId, Index, Output, Range};

impl Core {
    /// Puts a watcher that is on no feed where it is shown everything from `position` on.
    pub(super) fn place(&mut self, id: WatcherId, position: i64, now: Instant) {
        let Some(watcher) = self.watchers.get_mut(&id) else { return };
        watcher.place = Place::Lagging { position };
        watcher.behind_since.get_or_insert(now);
        let range = watcher.range.clone();
        let Some(stream) = self.streams.get(&watcher.stream) else { return };
        let private = (!self.prefixes.coalesce(&range)).then_some(id);
        let class = ClassKey { identity: stream.identity.clone(), prev_kv: watcher.prev_kv, private };
        let (feed, covered) = self.shared_feed(&class, &range, position, None);
        if let Some(feed) = feed {
            return self.attach(id, feed, position, now);
        }
        let next = self.header.revision.saturating_add(1);
        // A private one has nobody to catch up with.
        let is_recent = position >= next.saturating_sub(self.config.lag_revisions);
        if !covered && (is_recent || private.is_some()) {
            // Not from a revision that is yet to come: others will want what is before it.
            let feed = self.open(class, range, Kind::Shared, position.min(next), now);
            return self.attach(id, feed, position, now);
        }
        if let Some(feed) = self.catch_up(&class, &range, position) {
            return self.attach(id, feed, position, now);
        }
        if self.catch_ups >= self.config.catch_ups {
            self.held.insert(id);
            return;
        }
        let feed = self.open(class, range, Kind::CatchUp { until: self.header.revision }, position, now);
        self.attach(id, feed, position, now);
    }

    /// A watcher that waited for room or for a catch-up goes on.
    pub(super) fn resume(&mut self, id: WatcherId, now: Instant) {
        let Some(watcher) = self.watchers.get(&id) else { return };
        if let Place::Lagging { position } = watcher.place {
            self.place(id, position, now);
        }
    }

    /// The shared feed to be on from `position`, and whether there is one around the range at all.
    /// One that is open is better than one that is not, and one that stays than one that leaves.
    pub(super) fn shared_feed(
        &self,
        class: &ClassKey,
        range: &Range,
        position: i64,
        but: Option<FeedId>,
    ) -> (Option<FeedId>, bool) {
        let Some(class) = self.classes.get(class) else { return (None, false) };
        let (mut best, mut covered) = (None, false);
        class.shared.stab(range.start(), |around, id| {
            if !around.contains(range) || but == Some(id) {
                return;
            }
            covered = true;
            let feed = &self.feeds[&id];
            if feed.ring.floor() <= position {
                let rank = (feed.is_open(), !feed.is_leaving(), feed.link == Link::Flowing);
                if best.is_none_or(|(best, _)| rank > best) {
                    best = Some((rank, id));
                }
            }
        });
        (best.map(|(_, id)| id), covered)
    }

    fn catch_up(&self, class: &ClassKey, range: &Range, position: i64) -> Option<FeedId> {
        let catch_ups = &self.classes.get(class)?.catch_ups;
        let fits = |id: &&FeedId| {
            let feed = &self.feeds[*id];
            feed.range == *range && feed.position <= position
        };
        catch_ups.iter().filter(fits).max_by_key(|id| self.feeds[*id].position).copied()
    }

    /// The feed must have everything from `position` on.
    pub(super) fn attach(&mut self, id: WatcherId, feed_id: FeedId, position: i64, now: Instant) {
        let (Some(watcher), Some(feed)) = (self.watchers.get_mut(&id), self.feeds.get_mut(&feed_id)) else {
            return;
        };
        assert!(position >= feed.ring.floor(), "a watcher would miss what its feed has forgotten");
        feed.watchers += 1;
        feed.listens |= watcher.progress_notify;
        feed.idle_since = None;
        if position > feed.position {
            feed.ahead.insert((position, id));
            if feed.is_shared() {
                watcher.behind_since = None;
            }
            watcher.place = Place::Ahead { feed: feed_id, position };
        } else if position == feed.position {
            seat(watcher, id, feed);
        } else {
            feed.replaying.insert(id);
            watcher.behind_since.get_or_insert(now);
            watcher.place = Place::Replaying { feed: feed_id, position };
            self.replays.push_back(id);
        }
        self.arm(feed_id, now);
    }

    /// Takes a watcher off its feed, which lingers if it was the last. Tells its position.
    pub(super) fn detach(&mut self, id: WatcherId, now: Instant) -> Option<i64> {
        let place = self.watchers.get(&id)?.place;
        let Some(feed) = place.feed().and_then(|feed| self.feeds.get_mut(&feed)) else {
            let Place::Lagging { position } = place else { return None };
            return Some(position);
        };
        let position = match place {
            Place::Ahead { position, .. } => {
                feed.ahead.remove(&(position, id));
                position
            }
            Place::Lagging { position } => position,
            Place::Live { seat, .. } => {
                if let Some(moved) = feed.groups.leave(seat)
                    && let Some(moved) = self.watchers.get_mut(&moved)
                {
                    moved.place = Place::Live { feed: feed.id, seat };
                }
                feed.position
            }
            Place::Replaying { position, .. } => {
                feed.replaying.remove(&id);
                position
            }
        };
        if let Some(watcher) = self.watchers.get_mut(&id) {
            watcher.place = Place::Lagging { position };
            if watcher.range == feed.range {
                feed.slack_since = Some(now);
            }
        }
        feed.watchers -= 1;
        if feed.watchers == 0 {
            feed.idle_since = Some(now);
            let feed_id = feed.id;
            if feed.remembers() && !feed.is_leaving() {
                self.arm(feed_id, now);
            } else {
                self.close(feed_id, now);
            }
        }
        Some(position)
    }

    /// A new feed, at `position`.
    pub(super) fn open(
        &mut self,
        class: ClassKey,
        range: Range,
        kind: Kind,
        position: i64,
        now: Instant,
    ) -> FeedId {
        let id = self.add(class, range, kind, position, now);
        self.reopen(id);
        id
    }

    /// The same, yet to be opened.
    pub(super) fn add(
        &mut self,
        class: ClassKey,
        range: Range,
        kind: Kind,
        position: i64,
        now: Instant,
    ) -> FeedId {
        let id = FeedId(self.make());
        let feed = Feed::new(id, class.clone(), range, kind, position, now);
        let entry = self.classes.entry(class);
        let class = entry.or_insert_with(|| Class { shared: Index::new(), catch_ups: Vec::new(), feeds: 0 });
        class.feeds += 1;
        self.counts.feeds_opened += 1;
        if kind == Kind::Shared {
            class.shared.insert(feed.range.clone(), id);
        } else {
            class.catch_ups.push(id);
            self.catch_ups += 1;
            self.counts.catch_ups_opened += 1;
        }
        self.feeds.insert(id, feed);
        id
    }

    /// Gives a feed another upstream watch in place of the one that it has.
    pub(super) fn renew(&mut self, id: FeedId) {
        if let Some(feed) = self.feeds.get(&id) {
            self.outputs.push_back(Output::Close(feed.upstream()));
            self.reopen(id);
        }
    }

    /// Opens a feed again whose upstream watch is gone, from its position; or from the revision before
    /// it, which is dropped when it comes, so that it can be listened to (see [`Self::listen`]).
    pub(super) fn reopen(&mut self, id: FeedId) {
        if let Some(feed) = self.feeds.get_mut(&id) {
            let (position, present) = (feed.position, self.header.revision);
            let is_early = feed.listens && position > present && !self.interval.is_known();
            let start_revision = if is_early { present.max(1) } else { position };
            self.outputs.push_back(Output::Open(feed.open(start_revision)));
        }
    }

    /// Whoever is still on it is left without a feed.
    pub(super) fn close(&mut self, id: FeedId, now: Instant) {
        let Some(feed) = self.feeds.remove(&id) else { return };
        self.outputs.push_back(Output::Close(feed.upstream()));
        self.disarm(&feed);
        self.ring_bytes -= feed.ring.bytes();
        for stream in &feed.waiting {
            if let Some(stream) = self.streams.get_mut(stream) {
                stream.progress = None;
            }
        }
        let (is_catch_up, is_load) = (!feed.is_shared(), feed.is_load);
        if let Some(class) = self.classes.get_mut(&feed.class) {
            class.feeds -= 1;
            if is_catch_up {
                class.catch_ups.retain(|other| *other != id);
            } else {
                class.shared.remove(&feed.range, id);
            }
            if class.feeds == 0 {
                self.classes.remove(&feed.class);
            }
        }
        if is_load {
            self.free_catch_up(now);
        }
    }

    /// One that waited for a catch-up may have it now.
    pub(super) fn free_catch_up(&mut self, now: Instant) {
        self.catch_ups -= 1;
        while self.catch_ups < self.config.catch_ups
            && let Some(id) = self.held.pop_first()
        {
            let Some(watcher) = self.watchers.get(&id) else { continue };
            match self.streams.get_mut(&watcher.stream) {
                Some(stream) if stream.queued >= self.config.stream_bytes => stream.lagging.push(id),
                _ => self.resume(id, now),
            }
        }
    }
}

/// Makes a watcher of the feed's position live.
pub(super) fn seat(watcher: &mut Watcher, id: WatcherId, feed: &mut Feed) {
    let member = Member {
        watcher: id,
        stream: watcher.stream,
        watch_id: watcher.watch_id,
        fragment: watcher.fragment,
        progress_notify: watcher.progress_notify,
    };
    if feed.is_shared() {
        watcher.behind_since = None;
    }
    let seat = feed.groups.join(&watcher.range, watcher.filters, member);
    watcher.place = Place::Live { feed: feed.id, seat };
}
