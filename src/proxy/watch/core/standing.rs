//! Feeds that are open though nobody is on them, so that whoever comes finds what has happened.
//!
//! Some feed of the class is around the range: one of exactly this range that stays without
//! watchers, or a wider one that has taken it over. When that goes, another standing one is opened.

use std::time::Instant;

use super::feed::{ClassKey, Kind};
use super::{Core, Header, Identity, Range};

/// A feed that is to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub identity: Identity,
    pub range: Range,
    pub prev_kv: bool,
}

impl Core {
    /// Whether it must be opened, by [`Self::handle_standing`]. One of its range that is there for
    /// others stays from now on.
    pub fn wants_standing(&mut self, standing: &Standing) -> bool {
        let Some(class) = self.classes.get(&class_of(standing)) else { return true };
        let (mut covered, mut same) = (false, None);
        class.shared.stab(standing.range.start(), |around, id| {
            covered |= around.contains(&standing.range);
            if *around == standing.range {
                same = Some(id);
            }
        });
        if let Some(feed) = same.and_then(|id| self.feeds.get_mut(&id)) {
            feed.standing = true;
        }
        !covered
    }

    /// Opens it, unless it is there meanwhile. `header` is that of a read that was just made.
    pub fn handle_standing(&mut self, standing: &Standing, header: &Header, now: Instant) {
        self.learn(header);
        if !self.wants_standing(standing) {
            return;
        }
        let position = header.revision.saturating_add(1);
        let id = self.open(class_of(standing), standing.range.clone(), Kind::Shared, position, now);
        if let Some(feed) = self.feeds.get_mut(&id) {
            feed.standing = true;
        }
    }
}

fn class_of(standing: &Standing) -> ClassKey {
    ClassKey { identity: standing.identity.clone(), prev_kv: standing.prev_kv, private: None }
}
