//! A cluster as its watches show it: members apply one history, each at its own pace.

use std::collections::VecDeque;

use bytes::Bytes;
use prost::Message;

use crate::proto::etcdserverpb::{ResponseHeader, WatchResponse};
use crate::proto::mvccpb;
use crate::proxy::watch::core::{Header, Open, Range, Upstream};

/// What happened to one key in one revision.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub key: Vec<u8>,
    pub deletes: bool,
    pub value: usize,
}

/// Revision 1 is the empty store.
#[derive(Default)]
pub(super) struct Store {
    revisions: Vec<Vec<Change>>,
    pub compacted: i64,
}

impl Store {
    pub fn revision(&self) -> i64 {
        1 + self.revisions.len() as i64
    }

    pub fn write(&mut self, changes: Vec<Change>) {
        self.revisions.push(changes);
    }

    pub fn changes(&self, revision: i64) -> &[Change] {
        usize::try_from(revision - 2).ok().and_then(|at| self.revisions.get(at)).map_or(&[], |it| &it[..])
    }

    pub fn event(change: &Change, revision: i64, prev_kv: bool) -> mvccpb::Event {
        let kv = |mod_revision, value: usize| mvccpb::KeyValue {
            key: change.key.clone().into(),
            mod_revision,
            value: vec![b'v'; value].into(),
            ..Default::default()
        };
        mvccpb::Event {
            r#type: i32::from(change.deletes),
            kv: Some(kv(revision, change.value)),
            prev_kv: prev_kv.then(|| kv(revision - 1, 1)),
        }
    }
}

pub(super) struct Cluster {
    pub store: Store,
    pub applied: Vec<i64>,
    pub watches: Vec<Watch>,
}

/// An upstream watch on one of the members.
pub(super) struct Watch {
    pub upstream: Upstream,
    pub range: Range,
    pub alone: bool,
    prev_kv: bool,
    member: usize,
    start: i64,
    next: i64,
    synced: bool,
    /// The end, as a compaction makes it.
    ended: bool,
    /// Its created response has not arrived.
    pub unannounced: bool,
    /// On its way.
    pub queue: VecDeque<Bytes>,
}

impl Cluster {
    pub fn new(members: usize) -> Self {
        Self { store: Store::default(), applied: vec![1; members], watches: Vec::new() }
    }

    pub fn header(&self, member: usize) -> Header {
        Header { cluster_id: 7, member_id: member as u64 + 1, revision: self.applied[member], raft_term: 2 }
    }

    pub fn open(&mut self, open: Open, member: usize) {
        assert!(open.start_revision > 0, "nothing is watched from an unknown revision");
        let applied = self.applied[member];
        let synced = open.start_revision > applied;
        let mut watch = Watch {
            upstream: open.upstream,
            range: open.range,
            alone: open.alone,
            prev_kv: open.prev_kv,
            member,
            start: open.start_revision,
            next: open.start_revision,
            synced,
            ended: false,
            unannounced: true,
            queue: VecDeque::new(),
        };
        let header = self.header(member);
        watch.push(header, WatchResponse { created: true, ..Default::default() });
        self.watches.push(watch);
    }

    /// A member applies one revision more, and tells the watches that have caught up.
    pub fn apply(&mut self, member: usize, random: &mut fastrand::Rng) {
        if self.applied[member] >= self.store.revision() {
            return;
        }
        self.applied[member] += 1;
        let (revision, header) = (self.applied[member], self.header(member));
        for watch in self.watches.iter_mut().filter(|it| it.member == member && it.synced && !it.ended) {
            let from = watch.next;
            if revision >= from {
                watch.send(&self.store, revision..=revision, header, random);
                watch.next = revision + 1;
            }
        }
    }

    /// A watch that has not caught up is shown a few revisions, whose header has the present one
    /// (`syncWatchers` of etcd's `server/storage/mvcc/watchable_store.go`).
    pub fn sync(&mut self, at: usize, random: &mut fastrand::Rng) {
        let Some(member) = self.watches.get(at).map(|it| it.member) else { return };
        let (header, applied, compacted) = (self.header(member), self.applied[member], self.store.compacted);
        let watch = &mut self.watches[at];
        if watch.synced || watch.ended {
            return;
        }
        if watch.next < compacted && applied >= compacted {
            watch.ended = true;
            let canceled =
                WatchResponse { canceled: true, compact_revision: compacted, ..Default::default() };
            return watch.push(Header { revision: 0, ..header }, canceled);
        }
        let matching = (watch.next..=applied)
            .filter(|it| self.store.changes(*it).iter().any(|it| watch.range.includes(&it.key)));
        let last = matching.take(3).last();
        let until = last.unwrap_or(applied);
        watch.send(&self.store, watch.next..=until, header, random);
        let more = (until + 1..=applied)
            .any(|it| self.store.changes(it).iter().any(|it| watch.range.includes(&it.key)));
        watch.next = if more { until + 1 } else { applied + 1 };
        watch.synced = !more;
    }

    /// Answers a progress request on the stream of this watch, for which it says nothing while any
    /// watch of the stream lags.
    pub fn request_progress(&mut self, upstream: Upstream) {
        let Some(asked) = self.watches.iter().find(|it| it.upstream == upstream) else { return };
        let (alone, member) = (asked.alone, asked.member);
        let applied = self.applied[member];
        let on_it =
            |it: &Watch| if alone { it.upstream == upstream } else { !it.alone && it.member == member };
        let ready = |it: &Watch| it.synced && !it.ended && applied >= it.start;
        if !self.watches.iter().filter(|it| on_it(it)).all(ready) {
            return;
        }
        let header = self.header(member);
        for watch in self.watches.iter_mut().filter(|it| on_it(it)) {
            watch.push(header, WatchResponse { watch_id: -1, ..Default::default() });
            if watch.unannounced && !watch.alone {
                // It may overtake what is held back until the watch is announced (`sendLoop` of etcd's
                // `server/etcdserver/api/v3rpc/watch.go`).
                watch.queue.rotate_right(1);
            }
        }
    }

    pub fn notify(&mut self, at: usize) {
        let Some(watch) = self.watches.get(at) else { return };
        let header = self.header(watch.member);
        if watch.synced && !watch.ended && header.revision >= watch.start {
            self.watches[at].push(header, WatchResponse::default());
        }
    }

    pub fn is_idle(&self) -> bool {
        self.watches.iter().all(|it| it.queue.is_empty() && (it.synced || it.ended))
    }
}

impl Watch {
    fn send(
        &mut self,
        store: &Store,
        revisions: std::ops::RangeInclusive<i64>,
        header: Header,
        random: &mut fastrand::Rng,
    ) {
        let mut events = Vec::new();
        for revision in revisions {
            let matching = store.changes(revision).iter().filter(|it| self.range.includes(&it.key));
            events.extend(matching.map(|it| Store::event(it, revision, self.prev_kv)));
        }
        while !events.is_empty() {
            let count = if random.u8(..3) == 0 { random.usize(1..=events.len()) } else { events.len() };
            let rest = events.split_off(count);
            let fragment = !rest.is_empty();
            self.push(header, WatchResponse { events, fragment, ..Default::default() });
            events = rest;
        }
    }

    fn push(&mut self, header: Header, mut response: WatchResponse) {
        let Header { cluster_id, member_id, revision, raft_term } = header;
        response.header = Some(ResponseHeader { cluster_id, member_id, revision, raft_term });
        self.queue.push_back(response.encode_to_vec().into());
    }
}
