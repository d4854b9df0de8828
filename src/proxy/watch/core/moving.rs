//! Watchers that move from one feed to another, and those that can't go on.
//!
//! ```text
//!   catch-up ──(a shared feed around it remembers its position)──────────> that feed
//!       └──────(nobody is around it, and it has seen what it had to)─────> becomes shared
//!   narrow feed ──(a wider one is open and remembers its position)───────> the wider one
//!   any feed ─────(its member is not well or silent, or others on its stream hold it up)──> its double
//!   wide feed ────(nobody needs all of it: see `narrowing`)──────────────> narrower ones
//! ```
//!
//! A position says the same on both sides: everything below was delivered. So nothing is lost and
//! nothing comes twice, whichever of the two is ahead. Nobody leaves a feed for one that has not
//! brought anything: a member creates a watch whose start was compacted, and cancels it later.

use std::time::Instant;

use super::feed::{Fate, Feed, Kind, Link};
use super::output::WatcherId;
use super::ring::Ring;
use super::watcher::Place;
use super::{Core, FeedId, Upstream};

impl Core {
    /// A shared feed is open: those inside it are not needed any longer.
    pub(super) fn gather(&mut self, id: FeedId, now: Instant) {
        let Some(feed) = self.feeds.get(&id) else { return };
        let Some(class) = self.classes.get(&feed.class) else { return };
        let mut inside = Vec::new();
        class.shared.within(&feed.range, |narrow| inside.push(narrow));
        inside.retain(|narrow| *narrow != id);
        for narrow in &inside {
            if let Some(narrow) = self.feeds.get_mut(narrow) {
                narrow.fate = Fate::Merges;
            }
        }
        inside.extend(&class.catch_ups);
        for narrow in inside {
            self.migrate(narrow, now);
        }
    }

    /// Lets the watchers of a feed go to a wider one, if that is there and can take them.
    pub(super) fn migrate(&mut self, id: FeedId, now: Instant) {
        let Some(feed) = self.feeds.get(&id) else { return };
        let (wider, covered) = self.shared_feed(&feed.class, &feed.range, feed.position, Some(id));
        if !covered {
            return self.stay(id, now);
        }
        let Some(wider) = wider.filter(|wider| self.feeds[wider].link == Link::Flowing) else {
            return self.arm(id, now);
        };
        let floor = self.feeds[&wider].ring.floor();
        let mut moving = self.everyone(feed);
        moving.retain(|(_, position)| *position >= floor);
        let stays = moving.len() < feed.watchers;
        self.counts.merges += u64::from(!stays);
        if moving.is_empty() && !stays {
            return self.close(id, now);
        }
        let waiting = self.take_waiting(id);
        for (watcher, position) in moving {
            self.detach(watcher, now);
            self.attach(watcher, wider, position, now);
        }
        self.arm(id, now);
        self.ask_for(waiting, now);
    }

    /// No feed is around this one.
    fn stay(&mut self, id: FeedId, now: Instant) {
        let Some(feed) = self.feeds.get_mut(&id) else { return };
        feed.fate = Fate::Stays;
        if let Kind::CatchUp { until } = feed.kind
            && feed.position > until
        {
            feed.kind = Kind::Shared;
            feed.ring = Ring::new(feed.position);
            let (class, range) = (feed.class.clone(), feed.range.clone());
            for (watcher, _) in feed.all_watchers() {
                if let Some(watcher) = self.watchers.get_mut(&watcher) {
                    watcher.behind_since = None;
                }
            }
            if let Some(class) = self.classes.get_mut(&class) {
                class.catch_ups.retain(|other| *other != id);
                class.shared.insert(range, id);
            }
            self.counts.merges += 1;
            self.unload(id, now);
            self.gather(id, now);
        }
        self.arm(id, now);
    }

    /// A catch-up that has nothing to bring is no load, and another one may begin.
    pub(super) fn unload(&mut self, id: FeedId, now: Instant) {
        if let Some(feed) = self.feeds.get_mut(&id)
            && std::mem::take(&mut feed.is_load)
        {
            self.free_catch_up(now);
        }
    }

    /// A member leaves a catch-up without a word: it has brought what there was, though that may
    /// not be known by any revision.
    pub(super) fn give_up_waiting(&mut self, id: FeedId, now: Instant) {
        if let Some(feed) = self.feeds.get_mut(&id)
            && feed.is_load
        {
            feed.kind = Kind::CatchUp { until: 0 };
            self.unload(id, now);
            self.migrate(id, now);
        }
    }

    /// The member of this upstream watch is not well, and others are: it goes elsewhere, unless what
    /// it has still to bring is to be had only there.
    pub fn handle_unwell(&mut self, upstream: Upstream, now: Instant) {
        let feed = self.feeds.get(&upstream.feed);
        if let Some(feed) = feed.filter(|feed| feed.attempt == upstream.attempt) {
            self.double(feed.id, feed.alone, now);
        }
    }

    /// Opens the same once more. When that brings something, the watchers go there.
    pub(super) fn double(&mut self, id: FeedId, alone: bool, now: Instant) {
        let pause = self.config.refresh_interval;
        let Some(feed) = self.feeds.get_mut(&id) else { return };
        let just_now = feed.doubled_at.is_some_and(|doubled| now < doubled + pause);
        if !feed.remembers() || feed.is_leaving() || just_now {
            return;
        }
        feed.doubled_at = Some(now);
        let (class, range, position) = (feed.class.clone(), feed.range.clone(), feed.position);
        let (listens, standing) = (feed.listens, feed.standing);
        let mut same = 0;
        if let Some(class) = self.classes.get(&class) {
            class.shared.stab(range.start(), |around, _| same += usize::from(*around == range));
        }
        if same > 1 {
            return;
        }
        let double = self.add(class, range, Kind::Shared, position, now);
        if let Some(double) = self.feeds.get_mut(&double) {
            (double.alone, double.listens, double.standing) = (alone, listens, standing);
        }
        self.reopen(double);
    }

    /// All watchers of a feed with their positions.
    pub(super) fn everyone(&self, feed: &Feed) -> Vec<(WatcherId, i64)> {
        let replaying = feed.replaying.iter();
        let replaying = replaying.filter_map(|watcher| Some((*watcher, self.replays_at(*watcher)?)));
        feed.all_watchers().into_iter().chain(replaying).collect()
    }

    fn replays_at(&self, id: WatcherId) -> Option<i64> {
        match self.watchers.get(&id)?.place {
            Place::Replaying { position, .. } => Some(position),
            _ => None,
        }
    }

    /// Revisions below this one are no longer to be had, and the feed had not come so far. Whoever
    /// wants one of them, and is not helped by another feed's ring, has lost something.
    pub(super) fn on_compacted(&mut self, id: FeedId, compact_revision: i64, now: Instant) {
        let Some(feed) = self.feeds.get_mut(&id) else { return };
        feed.opening_since.get_or_insert(now);
        // A member has come so far; nor is one to begin before it again.
        self.header.revision = self.header.revision.max(compact_revision);
        if compact_revision <= feed.position {
            return self.reopen(id);
        }
        let class = feed.class.clone();
        // Nobody can be helped by what it remembers: it ends before the gap.
        self.ring_bytes -= feed.ring.bytes();
        feed.ring.restart(compact_revision);
        let Some(feed) = self.feeds.get(&id) else { return };
        let watchers = self.everyone(feed);
        // So that it is not closed before the last one is looked at.
        let Some(feed) = self.feeds.get_mut(&id) else { return };
        feed.watchers += 1;
        for (watcher_id, position) in watchers {
            if position >= compact_revision {
                continue;
            }
            self.detach(watcher_id, now);
            let Some(watcher) = self.watchers.get(&watcher_id) else { continue };
            let (other, _) = self.shared_feed(&class, &watcher.range, position, Some(id));
            match other {
                Some(other) => self.attach(watcher_id, other, position, now),
                None => self.cancel_compacted(watcher_id, compact_revision, now),
            }
        }
        let Some(feed) = self.feeds.get_mut(&id) else { return };
        feed.watchers -= 1;
        feed.position = compact_revision;
        if feed.watchers == 0 && !feed.standing {
            return self.close(id, now);
        }
        for (position, watcher) in super::upstream::take_due(feed) {
            self.on_met(watcher, id, position);
        }
        self.reopen(id);
    }
}
