//! One stream of a client: its requests in order, its watch ids, what waits for it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use super::message::Create;
use super::output::{Authorization, CreateId, FeedId, Identity, WatcherId};

pub(super) struct Stream {
    pub identity: Identity,
    /// Behind a create that is not authorized yet everything waits, as behind etcd's own check.
    pub requests: VecDeque<Waiting>,
    pub watch_ids: WatchIds,
    /// Bytes that its client has not taken yet.
    pub queued: usize,
    /// Watchers that wait for room.
    pub lagging: Vec<WatcherId>,
    /// Feeds that have to confirm their position before its progress request is answered.
    pub progress: Option<BTreeSet<FeedId>>,
    /// The highest revision that a response has shown, of an event or as progress: no member ever
    /// says less afterwards.
    pub shown: i64,
    /// When its watchers get their next progress notification.
    pub tick: Option<Instant>,
}

pub(super) enum Waiting {
    Cancel { watch_id: i64 },
    Create { id: CreateId, create: Create, answer: Option<Answer> },
    Progress,
}

/// What is known of a create.
pub(super) struct Answer {
    pub authorization: Authorization,
    /// The revision that it is created at.
    pub revision: i64,
}

impl Stream {
    pub fn new(identity: Identity) -> Self {
        Self {
            identity,
            requests: VecDeque::new(),
            watch_ids: WatchIds::default(),
            queued: 0,
            lagging: Vec::new(),
            progress: None,
            shown: 0,
            tick: None,
        }
    }
}

/// The ids of a stream, as etcd gives them (`watchStream` of its
/// `server/storage/mvcc/watcher.go`). An id whose watcher was cancelled by a compaction stays in
/// use until the client cancels it, too.
#[derive(Default)]
pub(super) struct WatchIds {
    used: BTreeMap<i64, Option<WatcherId>>,
    next: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Duplicate;

impl WatchIds {
    pub fn take(&mut self, wanted: i64, watcher: WatcherId) -> Result<i64, Duplicate> {
        let watch_id = if wanted == AUTOMATIC {
            while self.used.contains_key(&self.next) {
                self.next += 1;
            }
            self.next += 1;
            self.next - 1
        } else if self.used.contains_key(&wanted) {
            return Err(Duplicate);
        } else {
            wanted
        };
        self.used.insert(watch_id, Some(watcher));
        Ok(watch_id)
    }

    /// The watcher is gone, the id is not.
    pub fn on_compacted(&mut self, watch_id: i64) {
        self.used.insert(watch_id, None);
    }

    /// Tells whether the id was in use, and the watcher if it is still there.
    pub fn release(&mut self, watch_id: i64) -> Option<Option<WatcherId>> {
        self.used.remove(&watch_id)
    }

    pub fn watchers(&self) -> impl Iterator<Item = WatcherId> {
        self.used.values().filter_map(|watcher| *watcher)
    }

    pub fn len(&self) -> usize {
        self.used.len()
    }
}

/// etcd chooses the id.
const AUTOMATIC: i64 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_given_as_etcd_does() {
        let mut ids = WatchIds::default();
        let mut take = |wanted| ids.take(wanted, WatcherId(1)).ok();
        assert_eq!([take(0), take(0), take(3)], [Some(0), Some(1), Some(3)]);
        assert_eq!([take(0), take(0)], [Some(2), Some(4)]);
        assert_eq!([take(3), take(-7)], [None, Some(-7)]);
        assert_eq!(ids.release(1), Some(Some(WatcherId(1))));
        assert_eq!(ids.release(1), None);
        assert_eq!(ids.take(0, WatcherId(1)), Ok(5), "counting goes on");
        ids.on_compacted(3);
        assert_eq!(ids.take(3, WatcherId(1)), Err(Duplicate));
        assert_eq!(ids.release(3), Some(None));
        assert_eq!(ids.take(3, WatcherId(1)), Ok(3));
    }
}
