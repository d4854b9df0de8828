//! Progress: telling a client up to which revision it has seen everything.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::message::Fore;
use super::output::WatcherId;
use super::requests::NOBODY;
use super::watcher::{Place, Watcher};
use super::{Core, FeedId, StreamId};

impl Core {
    /// A client asks for the progress of its stream. As with etcd it is not answered while one of
    /// its watchers has not caught up, nor where there are none: clients ask again.
    pub(super) fn request_progress(&mut self, stream: StreamId, now: Instant) {
        let Some(state) = self.streams.get_mut(&stream) else { return };
        let watchers = state.watch_ids.watchers();
        let places =
            watchers.filter_map(|watcher| self.watchers.get(&watcher)).map(|watcher| watcher.place.feed());
        let feeds: Option<BTreeSet<FeedId>> = places.collect();
        let Some(feeds) = feeds.filter(|feeds| !feeds.is_empty()) else { return };
        if let Some(outstanding) = &state.progress {
            if outstanding.is_subset(&feeds) {
                // The answer to the request before will do. To begin anew with each could mean never
                // to come to an end.
                return;
            }
            for feed in outstanding {
                if let Some(feed) = self.feeds.get_mut(feed) {
                    feed.waiting.remove(&stream);
                }
            }
        }
        // A stream of its own for each of a crowd would cost more than it helps.
        let isolates = feeds.len() <= ISOLATED_MAX;
        state.progress = Some(feeds.clone());
        for id in feeds {
            let Some(feed) = self.feeds.get_mut(&id) else { continue };
            feed.waiting.insert(stream);
            feed.isolates = isolates && !feed.alone;
            self.arm(id, now);
        }
    }

    /// The client streams that wait for a feed whose watchers move.
    pub(super) fn take_waiting(&mut self, id: FeedId) -> BTreeSet<StreamId> {
        self.feeds.get_mut(&id).map(|feed| std::mem::take(&mut feed.waiting)).unwrap_or_default()
    }

    /// They wait for the feeds that their watchers are on now.
    pub(super) fn ask_for(&mut self, waiting: BTreeSet<StreamId>, now: Instant) {
        for stream in waiting {
            if let Some(state) = self.streams.get_mut(&stream) {
                state.progress = None;
            }
            self.request_progress(stream, now);
        }
    }

    /// Gives a feed an upstream stream of its own: on one with others a single watch that has not
    /// caught up keeps all from getting an answer.
    pub(super) fn isolate(&mut self, id: FeedId, now: Instant) {
        let Some(feed) = self.feeds.get_mut(&id) else { return };
        if !std::mem::take(&mut feed.isolates) {
            return;
        }
        if feed.remembers() {
            self.double(id, true, now);
        } else if now < feed.moved_at + self.config.refresh_interval {
            // Only a fresh position is surely not compacted: the watch that it has lives on, another
            // one could not begin.
            feed.alone = true;
            self.renew(id);
        }
    }

    /// A feed has confirmed its position.
    pub(super) fn confirm(&mut self, id: FeedId) {
        let Some(feed) = self.feeds.get_mut(&id) else { return };
        for stream in std::mem::take(&mut feed.waiting) {
            let Some(state) = self.streams.get_mut(&stream) else { continue };
            let Some(outstanding) = &mut state.progress else { continue };
            outstanding.remove(&id);
            if outstanding.is_empty() {
                state.progress = None;
                self.answer_progress(stream);
            }
        }
    }

    fn answer_progress(&mut self, stream: StreamId) {
        let Some(state) = self.streams.get(&stream) else { return };
        let mut least = i64::MAX;
        for watcher in state.watch_ids.watchers().filter_map(|watcher| self.watchers.get(&watcher)) {
            let Some(seen) = self.seen(watcher) else { return };
            least = least.min(seen);
        }
        let watchers = state.watch_ids.watchers().filter_map(|watcher| self.watchers.get(&watcher));
        let tells_more = least < i64::MAX && least >= state.shown;
        if tells_more && watchers.map(|watcher| watcher.progress_min).all(|min| least >= min) {
            self.on_shown(stream, least);
            self.control(stream, least, &Fore { watch_id: NOBODY, ..Fore::default() });
        }
    }

    /// Everything up to this revision has been queued for the watcher, if it has caught up.
    fn seen(&self, watcher: &Watcher) -> Option<i64> {
        match watcher.place {
            Place::Ahead { position, .. } => Some(position - 1),
            Place::Live { feed, .. } => Some(self.feeds.get(&feed)?.position - 1),
            Place::Lagging { .. } | Place::Replaying { .. } => None,
        }
    }

    fn on_shown(&mut self, stream: StreamId, revision: i64) {
        if let Some(state) = self.streams.get_mut(&stream) {
            state.shown = state.shown.max(revision);
        }
    }

    /// Sends each watcher of a stream its progress that asked for that and had no events since the
    /// last time.
    pub(super) fn tick(&mut self, stream: StreamId, now: Instant) {
        let Some(state) = self.streams.get(&stream) else { return };
        let is_read = state.queued < self.config.replay_bytes;
        let watchers: Vec<WatcherId> = state.watch_ids.watchers().collect();
        let mut any = false;
        for id in watchers {
            let Some(watcher) = self.watchers.get_mut(&id).filter(|watcher| watcher.progress_notify) else {
                continue;
            };
            any = true;
            // etcd does not send it to one who does not read either.
            if !std::mem::replace(&mut watcher.quiet, true) || !is_read {
                continue;
            }
            let (watch_id, min, place) = (watcher.watch_id, watcher.progress_min, watcher.place);
            let Some(seen) = self.watchers.get(&id).and_then(|watcher| self.seen(watcher)) else { continue };
            let open =
                place.feed().and_then(|feed| self.feeds.get(&feed)).is_some_and(super::feed::Feed::is_open);
            if open && seen >= min {
                self.on_shown(stream, seen);
                self.control(stream, seen, &Fore { watch_id, ..Fore::default() });
            }
        }
        self.set_tick(stream, any.then(|| now + self.interval_of(stream)));
    }

    pub(super) fn start_ticking(&mut self, stream: StreamId, now: Instant) {
        if self.streams.get(&stream).is_some_and(|state| state.tick.is_none()) {
            self.set_tick(stream, Some(now + self.interval_of(stream)));
        }
    }

    /// Lets a member show its interval where somebody counts on it. It tells nothing of a watch whose
    /// start is still to come (`progressIfSync` of etcd's `server/storage/mvcc/watchable_store.go`), so
    /// that on a quiet cluster the feed's double begins one revision earlier. The feed itself does
    /// not: a member takes up to 100 ms before such a watch is live.
    pub(super) fn listen(&mut self, id: FeedId, now: Instant) {
        let Some(feed) = self.feeds.get(&id) else { return };
        let is_silent = feed.is_open() && feed.start_revision > self.header.revision;
        if !feed.listens || !is_silent || self.interval.is_known() {
            return;
        }
        if feed.remembers() {
            self.double(id, feed.alone, now);
        } else if now < feed.moved_at + self.config.refresh_interval {
            // As in `isolate`.
            self.renew(id);
        }
    }

    /// A feed was notified, after `before`.
    pub(super) fn on_notified(&mut self, before: Option<Instant>, now: Instant) {
        let gap = before.map(|before| now.saturating_duration_since(before));
        if !gap.is_some_and(|gap| self.interval.on_gap(gap)) {
            return;
        }
        let ticking: BTreeSet<StreamId> =
            self.streams.iter().filter(|(_, state)| state.tick.is_some()).map(|(id, _)| *id).collect();
        for stream in ticking {
            let due = now + self.interval_of(stream);
            if self.streams[&stream].tick.is_some_and(|tick| due < tick) {
                self.set_tick(stream, Some(due));
            }
        }
    }

    /// Up to a tenth longer, and different for each stream, as etcd does it.
    fn interval_of(&self, stream: StreamId) -> Duration {
        let interval = self.interval.get();
        let share = stream.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54;
        interval + interval / 10 * share as u32 / 1024
    }
}

/// Feeds of a client stream that asks for progress.
const ISOLATED_MAX: usize = 16;
