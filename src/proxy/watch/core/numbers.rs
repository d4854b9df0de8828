//! What the core has and has done, for metrics.

use super::Core;
use super::watcher::Place;

/// All at one moment. Those of the second half only grow.
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
    /// Between the highest revision known and the position of the feed that is farthest behind.
    pub lag_revisions: i64,

    pub events_in: u64,
    pub events_out: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub feeds_opened: u64,
    pub catch_ups_opened: u64,
    /// Feeds that went on from their position after their upstream watch was lost.
    pub resumes: u64,
    /// Feeds and catch-ups that another feed took over.
    pub merges: u64,
    /// Watchers that had to wait for room in their stream.
    pub lags: u64,
    pub compaction_cancels: u64,
    /// Streams that could not share with those of other users.
    pub parted: u64,
    /// Streams ended by the hub.
    pub ends: u64,
}

/// Those that only grow.
#[derive(Default)]
pub(super) struct Counts {
    pub events_in: u64,
    pub events_out: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub feeds_opened: u64,
    pub catch_ups_opened: u64,
    pub resumes: u64,
    pub merges: u64,
    pub lags: u64,
    pub compaction_cancels: u64,
    pub parted: u64,
    pub ends: u64,
}

impl Core {
    /// Looks at every watcher and feed, so for a scrape and not for a call.
    pub fn numbers(&self) -> Numbers {
        let Counts {
            events_in,
            events_out,
            bytes_in,
            bytes_out,
            feeds_opened,
            catch_ups_opened,
            resumes,
            merges,
            lags,
            compaction_cancels,
            parted,
            ends,
        } = self.counts;
        let lagging = self.watchers.values().filter(|it| matches!(it.place, Place::Lagging { .. })).count();
        let behind = self.feeds.values().map(|feed| self.header.revision - (feed.position - 1)).max();
        Numbers {
            streams: self.streams.len(),
            watchers: self.watchers.len(),
            lagging,
            feeds: self.feeds.len(),
            catch_ups: self.catch_ups,
            ring_bytes: self.ring_bytes,
            queued_bytes: self.streams.values().map(|stream| stream.queued).sum(),
            lag_revisions: behind.unwrap_or(0).max(0),
            events_in,
            events_out,
            bytes_in,
            bytes_out,
            feeds_opened,
            catch_ups_opened,
            resumes,
            merges,
            lags,
            compaction_cancels,
            parted,
            ends,
        }
    }
}

#[cfg(test)]
impl Core {
    /// For the message of a test that fails.
    pub fn describe(&self) -> String {
        use std::fmt::Write;
        let mut text = format!("header {:?}\n", self.header);
        for feed in self.feeds.values() {
            writeln!(
                text,
                "{:?} {:?} {:?} {:?} at {} from {} alone {} leaving {} waiting {:?} unanswered {}",
                feed.id,
                feed.kind,
                feed.range,
                feed.link,
                feed.position,
                feed.ring.floor(),
                feed.alone,
                feed.leaving,
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
