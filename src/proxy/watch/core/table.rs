//! What there is, feed by feed, for who operates it.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::feed::{ClassKey, Feed, Link};
use super::numbers::Numbers;
use super::watcher::Place;
use super::{Core, FeedId, Identity, Range, Upstream};

/// All at one moment.
#[derive(Clone, Debug, Default)]
pub struct Table {
    pub numbers: Numbers,
    /// Those with the most watchers first.
    pub rows: Vec<Row>,
    /// Rows that were left out.
    pub truncated: usize,
}

/// A feed.
#[derive(Clone, Debug)]
pub struct Row {
    pub upstream: Upstream,
    pub identity: Identity,
    pub range: Range,
    pub prev_kv: bool,
    pub private: bool,
    pub standing: bool,
    pub state: FeedState,
    /// The first revision that it has not received.
    pub position: i64,
    pub ring_floor: i64,
    pub ring_bytes: usize,
    pub watchers: usize,
    /// Watchers of it that are behind: that its ring serves, or that wait to come back to it.
    pub lagging: usize,
    pub events_in: u64,
    pub events_out: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedState {
    /// Brings one late watcher up to the others, whether it is open already or not.
    CatchUp,
    Created,
    Opening,
}

impl Core {
    /// Looks at every watcher and feed, as [`Self::numbers`] does.
    pub fn table(&self, rows_max: usize) -> Table {
        let mut feeds: Vec<&Feed> = self.feeds.values().collect();
        let rank = |feed: &&Feed| (Reverse(feed.watchers), feed.id);
        let truncated = feeds.len().saturating_sub(rows_max);
        if truncated > 0 {
            feeds.select_nth_unstable_by_key(rows_max, rank);
            feeds.truncate(rows_max);
        }
        feeds.sort_unstable_by_key(rank);
        let lagging = self.lagging();
        let rows = feeds.into_iter().map(|feed| row(feed, lagging.get(&feed.id).copied().unwrap_or(0)));
        Table { numbers: self.numbers(), rows: rows.collect(), truncated }
    }

    /// How many watchers of each feed are behind.
    fn lagging(&self) -> HashMap<FeedId, usize> {
        let mut lagging = HashMap::new();
        for watcher in self.watchers.values() {
            let feed = match watcher.place {
                Place::Ahead { .. } | Place::Live { .. } => None,
                Place::Lagging { .. } => self.streams.get(&watcher.stream).and_then(|stream| {
                    let identity = stream.identity.clone();
                    let class = ClassKey { identity, prev_kv: watcher.prev_kv, private: None };
                    self.shared_feed(&class, &watcher.range, i64::MAX, None).0
                }),
                Place::Replaying { feed, .. } => Some(feed),
            };
            if let Some(feed) = feed {
                *lagging.entry(feed).or_default() += 1;
            }
        }
        lagging
    }
}

fn row(feed: &Feed, lagging: usize) -> Row {
    let state = match feed.link {
        _ if !feed.is_shared() => FeedState::CatchUp,
        Link::Created | Link::Flowing => FeedState::Created,
        Link::Opening => FeedState::Opening,
    };
    Row {
        upstream: feed.upstream(),
        identity: feed.class.identity.clone(),
        range: feed.range.clone(),
        prev_kv: feed.class.prev_kv,
        private: feed.class.private.is_some(),
        standing: feed.standing,
        state,
        position: feed.position,
        ring_floor: feed.ring.floor(),
        ring_bytes: feed.ring.bytes(),
        watchers: feed.watchers,
        lagging,
        events_in: feed.events_in,
        events_out: feed.events_out,
    }
}
