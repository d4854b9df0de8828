//! A feed that is wider than anybody needs gives way to narrower ones: when somebody has looked at
//! all keys for a minute, their events must not come to this node for ever.
//!
//! ```text
//!   nobody watches the whole range ──(for some time)──> narrower feeds open at its position
//!        ^                                                   └─(each is open)──> take their watchers
//!        └──(somebody comes for whom only the wide one will do)
//! ```

use std::cmp::Reverse;
use std::time::Instant;

use super::feed::{Fate, Kind, Link};
use super::watcher::{Place, Watcher};
use super::{Core, FeedId, Range};

impl Core {
    /// The time has come that the feed told: perhaps nobody needs all of it any longer.
    pub(super) fn narrow(&mut self, id: FeedId, now: Instant) {
        let Some(feed) = self.feeds.get(&id) else { return };
        let everyone = self.everyone(feed);
        let ranges =
            everyone.iter().filter_map(|(watcher, _)| Some(self.watchers.get(watcher)?.range.clone()));
        let parts = outermost(ranges.collect());
        let (class, position) = (feed.class.clone(), feed.position);
        // One that could not follow comes back.
        let comes_back = |watcher: &&Watcher| {
            matches!(watcher.place, Place::Lagging { .. })
                && watcher.range == feed.range
                && watcher.prev_kv == class.prev_kv
                && self.streams.get(&watcher.stream).is_some_and(|it| it.identity == class.identity)
        };
        let is_needed = parts.contains(&feed.range) || self.watchers.values().any(|it| comes_back(&it));
        // A wide one costs a member less than a crowd of narrow ones.
        let splits = !is_needed && !parts.is_empty() && parts.len() <= PARTS_MAX;
        if let Some(feed) = self.feeds.get_mut(&id) {
            feed.slack_since = (!is_needed && !splits).then_some(now);
            feed.fate = if splits { Fate::Splits } else { feed.fate };
        }
        if splits {
            self.counts.splits += 1;
            for part in parts {
                let (_, covered) = self.shared_feed(&class, &part, position, Some(id));
                if !covered {
                    self.open(class.clone(), part, Kind::Shared, position, now);
                }
            }
            self.split(id, now);
        }
    }

    /// Lets the watchers of a wide feed go to narrower ones that are open and can take them.
    pub(super) fn split(&mut self, id: FeedId, now: Instant) {
        let Some(feed) = self.feeds.get(&id) else { return };
        let class = feed.class.clone();
        let everyone = self.everyone(feed);
        let waiting = self.take_waiting(id);
        for (watcher_id, position) in everyone {
            let Some(watcher) = self.watchers.get(&watcher_id) else { continue };
            let (other, covered) = self.shared_feed(&class, &watcher.range, position, Some(id));
            if !covered {
                // It came too late for a part, or its part was lost.
                self.unite(id, now);
                break;
            }
            if let Some(other) = other.filter(|other| self.feeds[other].link == Link::Flowing) {
                self.detach(watcher_id, now);
                self.attach(watcher_id, other, position, now);
            }
        }
        self.arm(id, now);
        self.ask_for(waiting, now);
    }

    /// The feed has begun to flow, and may be a part of wider ones.
    pub(super) fn split_around(&mut self, id: FeedId, now: Instant) {
        let Some(feed) = self.feeds.get(&id) else { return };
        let Some(class) = self.classes.get(&feed.class) else { return };
        let mut wider = Vec::new();
        class.shared.stab(feed.range.start(), |around, other| {
            if around.contains(&feed.range) && self.feeds[&other].fate == Fate::Splits {
                wider.push(other);
            }
        });
        for wider in wider {
            self.split(wider, now);
        }
    }

    /// The wide feed stays after all, and takes back what its parts have.
    fn unite(&mut self, id: FeedId, now: Instant) {
        if let Some(feed) = self.feeds.get_mut(&id) {
            feed.fate = Fate::Stays;
            feed.slack_since = Some(now);
            if feed.is_open() {
                self.gather(id, now);
            }
            self.arm(id, now);
        }
    }
}

/// Those that are in no other one.
fn outermost(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges
        .sort_by(|one, other| (one.start(), Reverse(one.end())).cmp(&(other.start(), Reverse(other.end()))));
    let mut outermost: Vec<Range> = Vec::new();
    for range in ranges {
        // Of those before it the last one reaches farthest.
        if outermost.last().is_none_or(|last| !last.contains(&range)) {
            outermost.push(range);
        }
    }
    outermost
}

/// Of one feed.
const PARTS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outermost_of_ranges_contain_all_others_and_not_each_other() {
        let range = |(key, end): (&str, &str)| Range::try_new(key.as_bytes(), end.as_bytes()).unwrap();
        let given = [("b", "c"), ("a", "d"), ("a", "b"), ("c", "e"), ("x", ""), ("a", "d"), ("d", "dd")];
        let expected = [("a", "d"), ("c", "e"), ("x", "")].map(range);
        assert_eq!(outermost(given.into_iter().map(range).collect()), expected);
    }
}
