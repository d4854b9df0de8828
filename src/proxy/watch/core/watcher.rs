//! One watcher of a client, and where it stands.

use std::time::Instant;

use super::message::Filters;
use super::output::{FeedId, StreamId};
use super::range::Range;

#[derive(Debug)]
pub(super) struct Watcher {
    pub stream: StreamId,
    pub watch_id: i64,
    pub range: Range,
    pub filters: Filters,
    pub prev_kv: bool,
    pub fragment: bool,
    pub progress_notify: bool,
    /// Progress below this would be behind what its client was told, or before its start.
    pub progress_min: i64,
    /// Since when it has not been shown what others may have been: while it waits, replays or catches up.
    pub behind_since: Option<Instant>,
    /// No events since the last tick.
    pub quiet: bool,
    pub place: Place,
}

/// Every event below a watcher's position was delivered, and none from there on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// The feed has not come to its position yet.
    Ahead { feed: FeedId, position: i64 },
    /// Of no feed: its stream is full, or no catch-up is free.
    Lagging { position: i64 },
    /// Its position is that of the feed.
    Live { feed: FeedId, seat: Seat },
    /// The ring of the feed has what it lacks.
    Replaying { feed: FeedId, position: i64 },
}

/// Which member of which group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    pub group: u32,
    pub at: u32,
}

impl Place {
    pub fn feed(&self) -> Option<FeedId> {
        match *self {
            Self::Ahead { feed, .. } | Self::Live { feed, .. } | Self::Replaying { feed, .. } => Some(feed),
            Self::Lagging { .. } => None,
        }
    }
}
