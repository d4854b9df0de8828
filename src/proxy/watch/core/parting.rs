//! Streams that can't share with those of other users, and go on by themselves.
//!
//! A feed of many users is opened as none of them. Where that is refused, its watchers are on a
//! range that whoever opens it may not read, though each of them may: they go on from their positions
//! on feeds of their own. Nothing is lost and nothing comes twice, as with any other move.

use std::collections::BTreeSet;
use std::time::Instant;

use super::output::WatcherId;
use super::watcher::Place;
use super::{Core, EndReason, FeedId, Identity, Range, StreamId, Upstream};

/// What came of [`Core::handle_refused`].
#[derive(Debug)]
pub struct Parted {
    /// Of the feed that there is no longer.
    pub range: Range,
    /// They have the identities that they were given.
    pub streams: Vec<StreamId>,
}

impl Core {
    /// This upstream watch was refused to its identity for good. Streams with a watcher of exactly
    /// its range go on under the identity that `own` tells, with all their watchers; whoever only
    /// joined it may still get a narrower one. Call it instead of handing in the response.
    pub fn handle_refused(
        &mut self,
        upstream: Upstream,
        own: impl Fn(StreamId) -> Option<Identity>,
        now: Instant,
    ) -> Option<Parted> {
        let feed = self.feeds.get(&upstream.feed).filter(|feed| feed.attempt == upstream.attempt)?;
        let (id, range) = (feed.id, feed.range.clone());
        let there = |place: &Place| place.feed() == Some(id);
        let refused = self.watchers.values().filter(|it| there(&it.place) && it.range == range);
        let refused: BTreeSet<StreamId> = refused.map(|watcher| watcher.stream).collect();
        let mut streams = Vec::new();
        for stream in refused {
            match own(stream) {
                Some(identity) => {
                    self.part(stream, identity);
                    streams.push(stream);
                }
                None => self.end(stream, EndReason::UpstreamCanceled(REFUSED.to_owned()), now),
            }
        }
        self.counts.parted += streams.len() as u64;
        let parted: BTreeSet<StreamId> = streams.iter().copied().collect();
        let moves = |stream: &StreamId, place: &Place| there(place) || parted.contains(stream);
        let moving = self.watchers.iter().filter(|(_, it)| moves(&it.stream, &it.place));
        // Those without a feed are placed when they get room, as any other.
        let moving = moving.filter(|(_, it)| it.place.feed().is_some());
        let moving: BTreeSet<WatcherId> = moving.map(|(watcher, _)| *watcher).collect();
        let positions: Vec<(WatcherId, i64)> =
            moving.into_iter().filter_map(|watcher| Some((watcher, self.detach(watcher, now)?))).collect();
        // Nobody is to find it again.
        self.close(id, now);
        for (watcher, position) in positions {
            self.place(watcher, position, now);
        }
        Some(Parted { range, streams })
    }

    fn part(&mut self, id: StreamId, identity: Identity) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.identity = identity;
        // Its feeds will be others; clients ask again.
        let outstanding: BTreeSet<FeedId> = stream.progress.take().unwrap_or_default();
        for feed in outstanding {
            if let Some(feed) = self.feeds.get_mut(&feed) {
                feed.waiting.remove(&id);
            }
        }
    }
}

const REFUSED: &str = "refused";
