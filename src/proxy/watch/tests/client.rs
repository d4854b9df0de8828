//! A client's stream: what it asked for, and whether what it gets is what a private watch would
//! have shown.

use std::collections::{BTreeMap, VecDeque};

use prost::Message;

use super::cluster::Store;
use crate::proto::etcdserverpb::WatchResponse;
use crate::proxy::watch::core::{Create, Delivery, Kind, Range};

#[derive(Default)]
pub(super) struct Client {
    /// Frames that it has not read.
    pub unread: VecDeque<(Vec<u8>, usize)>,
    /// What is to be answered, in order.
    expected: VecDeque<Expected>,
    ids: BTreeMap<i64, ()>,
    next_id: i64,
    pub watchers: BTreeMap<i64, Seen>,
    torn: Option<WatchResponse>,
    pub progress: Option<i64>,
    pub cancels: Vec<(i64, i64)>,
}

enum Expected {
    Cancel(i64),
    Create { create: Create, verdict: Verdict },
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    Permitted,
    Refused(&'static str),
}

/// What a watcher has seen.
#[derive(Debug)]
pub(super) struct Seen {
    range: Range,
    create: Create,
    /// The first revision that it has not been shown.
    pub position: i64,
    progress_min: i64,
    pub events: usize,
}

impl Client {
    /// In the order in which they are sent.
    pub fn on_create(&mut self, create: Create, verdict: Verdict) {
        self.expected.push_back(Expected::Create { create, verdict });
    }

    pub fn on_cancel(&mut self, watch_id: i64) {
        self.expected.push_back(Expected::Cancel(watch_id));
    }

    pub fn on_delivery(&mut self, delivery: &Delivery) {
        let frame = [&delivery.head[..], &delivery.events.concat()].concat();
        assert_eq!(frame.len(), delivery.len());
        let length = u32::from_be_bytes(frame[1..5].try_into().unwrap()) as usize;
        assert_eq!((frame[0], length), (0, frame.len() - 5));
        self.unread.push_back((frame, delivery.len()));
    }

    /// Reads one frame, and tells its length.
    pub fn read(&mut self, store: &Store) -> Option<usize> {
        let (frame, length) = self.unread.pop_front()?;
        let response = WatchResponse::decode(&frame[5..]).unwrap();
        let header = response.header.unwrap();
        assert_eq!((header.cluster_id, header.raft_term), (7, 2));
        assert!(header.member_id > 0);
        if response.fragment {
            assert!(!response.events.is_empty());
            let torn = self.torn.get_or_insert_with(|| WatchResponse { events: vec![], ..response.clone() });
            assert_eq!((torn.watch_id, torn.header), (response.watch_id, response.header));
            torn.events.extend(response.events);
            return Some(length);
        }
        let mut response = response;
        if let Some(mut torn) = self.torn.take() {
            assert_eq!((torn.watch_id, torn.header), (response.watch_id, response.header));
            torn.events.append(&mut response.events);
            response.events = torn.events;
        }
        if response.created || response.canceled && response.compact_revision == 0 {
            self.on_control(&response);
        } else if response.canceled {
            self.on_compacted(&response, store);
        } else if response.events.is_empty() {
            self.on_progress(&response, store);
        } else {
            self.on_events(&response, store);
        }
        Some(length)
    }

    fn on_control(&mut self, response: &WatchResponse) {
        // Cancels of ids that are not in use are not answered.
        while let Some(Expected::Cancel(id)) = self.expected.front()
            && !self.ids.contains_key(id)
        {
            self.expected.pop_front();
        }
        match self.expected.pop_front().expect("an answer that nobody asked for") {
            Expected::Cancel(id) => {
                assert!(response.canceled && !response.created, "expected a cancel: {response:?}");
                assert_eq!((response.watch_id, response.cancel_reason.as_str()), (id, ""));
                assert!(response.header.unwrap().revision > 0);
                self.ids.remove(&id);
                self.watchers.remove(&id);
            }
            Expected::Create { create, verdict } => self.on_created(response, create, &verdict),
        }
    }

    fn on_created(&mut self, response: &WatchResponse, create: Create, verdict: &Verdict) {
        assert!(response.created, "expected a created response: {response:?}");
        let range = Range::try_new(&create.key, &create.range_end);
        let refusal = match verdict {
            _ if create.start_revision < 0 => Some("etcdserver: mvcc: required revision has been compacted"),
            Verdict::Refused(reason) => Some(*reason),
            Verdict::Permitted if range.is_err() => Some("mvcc: watcher range is empty"),
            Verdict::Permitted if create.watch_id != 0 && self.ids.contains_key(&create.watch_id) => {
                Some("mvcc: duplicate watch ID provided on the WatchStream")
            }
            Verdict::Permitted => None,
        };
        if let Some(reason) = refusal {
            assert!(response.canceled);
            assert_eq!((response.watch_id, response.cancel_reason.as_str()), (-1, reason));
            return;
        }
        let id = if create.watch_id == 0 {
            while self.ids.contains_key(&self.next_id) {
                self.next_id += 1;
            }
            self.next_id += 1;
            self.next_id - 1
        } else {
            create.watch_id
        };
        assert!(!response.canceled, "{response:?}");
        assert_eq!(response.watch_id, id);
        self.ids.insert(id, ());
        let revision = response.header.unwrap().revision;
        let from_now = create.start_revision == 0;
        let position = if from_now { revision + 1 } else { create.start_revision };
        let progress_min = if from_now { revision } else { position };
        let seen = Seen { range: range.unwrap(), create, position, progress_min, events: 0 };
        self.watchers.insert(id, seen);
    }

    fn on_events(&mut self, response: &WatchResponse, store: &Store) {
        let seen = self.watchers.get_mut(&response.watch_id).expect("events of a watcher that is there");
        let last = response.events.last().unwrap().kv.as_ref().unwrap().mod_revision;
        let expected = seen.expected(store, last);
        assert_eq!(response.events, expected, "watcher {} at {}", response.watch_id, seen.position);
        assert_eq!(response.header.unwrap().revision, last);
        seen.events += expected.len();
        seen.position = last + 1;
    }

    fn on_progress(&mut self, response: &WatchResponse, store: &Store) {
        let revision = response.header.unwrap().revision;
        let all = response.watch_id == -1;
        assert!(!self.watchers.is_empty(), "progress of nobody");
        assert!(all || self.watchers[&response.watch_id].create.progress_notify, "progress not asked for");
        for (id, seen) in &mut self.watchers {
            if all || *id == response.watch_id {
                assert_eq!(
                    seen.expected(store, revision),
                    [],
                    "progress {revision} of {id} at {}",
                    seen.position
                );
                assert!(revision >= seen.progress_min, "progress {revision} of {id} before its start");
                seen.position = seen.position.max(revision + 1);
            }
        }
        if all {
            self.progress = Some(revision);
        }
    }

    fn on_compacted(&mut self, response: &WatchResponse, store: &Store) {
        let seen = self.watchers.remove(&response.watch_id).expect("a watcher that was there");
        assert!(seen.position < response.compact_revision, "{seen:?} has lost nothing");
        assert!(response.compact_revision <= store.compacted);
        assert_eq!((response.header.unwrap().revision, response.cancel_reason.as_str()), (0, ""));
        self.cancels.push((response.watch_id, response.compact_revision));
    }

    pub fn is_answered(&self) -> bool {
        let unanswered = |it: &Expected| match it {
            Expected::Cancel(id) => self.ids.contains_key(id),
            Expected::Create { .. } => true,
        };
        !self.expected.iter().any(unanswered)
    }

    /// Whether its watchers have seen everything, and progress may be told for all of them.
    pub fn misses(&self, store: &Store) -> Option<&Seen> {
        self.watchers.values().find(|seen| !seen.expected(store, store.revision()).is_empty())
    }

    pub fn expects_progress(&self, revision: i64) -> bool {
        !self.watchers.is_empty() && self.watchers.values().all(|seen| seen.progress_min <= revision)
    }
}

impl Seen {
    /// What a private watch shows from here to a revision.
    fn expected(&self, store: &Store, last: i64) -> Vec<crate::proto::mvccpb::Event> {
        let mut events = Vec::new();
        for revision in self.position..=last.min(store.revision()) {
            let matching = store.changes(revision).iter().filter(|it| {
                let kind = if it.deletes { Kind::Delete } else { Kind::Put };
                self.range.includes(&it.key) && self.create.filters.pass(kind)
            });
            events.extend(matching.map(|it| Store::event(it, revision, self.create.prev_kv)));
        }
        events
    }
}
