//! What the core has and has done, for metrics.

use std::time::Instant;

use super::Core;
use super::watcher::{Place, Watcher};

/// All at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    pub streams: usize,
    pub watchers: usize,
    /// Watchers that wait for room in their stream, or for a catch-up to begin.
    pub lagging: usize,
    /// Upstream watches, catch-ups included.
    pub feeds: usize,
    pub catch_ups: usize,
    pub ring_bytes: usize,
    pub queued_bytes: usize,
    /// What the watcher that is farthest behind has still to be shown, of those that wait, replay or
    /// catch up.
    pub lag_revisions: i64,
    /// Since when the one does so that has done it for longest, or a feed with watchers waits for
    /// a member.
    pub behind_since: Option<Instant>,
    pub counts: Counts,
}

impl Numbers {
    /// Watchers for each upstream watch.
    pub fn coalescing_ratio(&self) -> f64 {
        self.watchers as f64 / self.feeds.max(1) as f64
    }
}

/// Those that only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub events_in: u64,
    pub events_out: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Delivered beyond what was received for it.
    pub bytes_saved: u64,
    pub feeds_opened: u64,
    pub catch_ups_opened: u64,
    /// Feeds that went on from their position after their upstream watch was lost.
    pub resumes: u64,
    /// Feeds and catch-ups that another feed took over.
    pub merges: u64,
    /// Feeds that were given up for narrower ones.
    pub splits: u64,
    /// Watchers that had to wait for room in their stream.
    pub lags: u64,
    pub compaction_cancels: u64,
    /// Streams that could not share with those of other users.
    pub parted: u64,
    /// Streams ended by the hub.
    pub ends: u64,
}

impl Core {
    /// Looks at every watcher and feed, so for a scrape and not for a call.
    pub fn numbers(&self) -> Numbers {
        let mut lagging = 0;
        let mut lag_revisions = 0;
        let mut behind_since = None;
        for watcher in self.watchers.values() {
            lagging += usize::from(matches!(watcher.place, Place::Lagging { .. }));
            if watcher.behind_since.is_some() {
                behind_since = earlier(behind_since, watcher.behind_since);
                lag_revisions = lag_revisions.max(self.header.revision + 1 - self.position(watcher));
            }
        }
        let waiting = self.feeds.values().filter(|feed| feed.watchers > 0);
        behind_since = waiting.fold(behind_since, |since, feed| earlier(since, feed.opening_since));
        Numbers {
            streams: self.streams.len(),
            watchers: self.watchers.len(),
            lagging,
            feeds: self.feeds.len(),
            catch_ups: self.catch_ups,
            ring_bytes: self.ring_bytes,
            queued_bytes: self.streams.values().map(|stream| stream.queued).sum(),
            lag_revisions,
            behind_since,
            counts: self.counts,
        }
    }
}

impl Core {
    /// The first revision that it has not been shown.
    fn position(&self, watcher: &Watcher) -> i64 {
        match watcher.place {
            Place::Ahead { position, .. }
            | Place::Lagging { position }
            | Place::Replaying { position, .. } => position,
            Place::Live { feed, .. } => {
                self.feeds.get(&feed).map_or(self.header.revision + 1, |feed| feed.position)
            }
        }
    }
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    [one, other].into_iter().flatten().min()
}

#[cfg(test)]
impl Core {
    /// Whether replays go on at the next timeout.
    pub fn replays_wait(&self) -> bool {
        self.replays_due.is_some()
    }

    /// For the message of a test that fails.
    pub fn describe(&self) -> String {
        use std::fmt::Write;
        let mut text = format!("header {:?}\n", self.header);
        for feed in self.feeds.values() {
            writeln!(
                text,
                "{:?} {:?} {:?} {:?} at {} from {} alone {} fate {:?} waiting {:?} unanswered {}",
                feed.id,
                feed.kind,
                feed.range,
                feed.link,
                feed.position,
                feed.ring.floor(),
                feed.alone,
                feed.fate,
                feed.waiting,
                feed.unanswered
            )
            .expect("strings take everything");
        }
        for (id, watcher) in &self.watchers {
            writeln!(text, "{id:?} {watcher:?}").expect("strings take everything");
        }
        for (id, stream) in &self.streams {
            writeln!(text, "{id:?} progress {:?}", stream.progress).expect("strings take everything");
        }
        text
    }
}
