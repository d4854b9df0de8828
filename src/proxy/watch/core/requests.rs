//! Requests of clients, one after the other as etcd's `recvLoop` does
//! (`server/etcdserver/api/v3rpc/watch.go`), with its answers in its words.

use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::message::{Fore, write_head};
use super::output::WatcherId;
use super::stream::{Answer, Waiting};
use super::watcher::{Place, Watcher};
use super::{
    Authorization, Authorize, Core, Create, CreateId, Delivery, EndReason, Events, Header, Output, Probe,
    Range, Request, StreamId,
};

impl Core {
    /// The next request of a stream.
    pub fn handle_request(&mut self, stream: StreamId, request: Request, now: Instant) {
        if !self.streams.contains_key(&stream) {
            return;
        }
        let waiting = match request {
            Request::Cancel { watch_id } => Waiting::Cancel { watch_id },
            Request::Create(create) => {
                let id = CreateId(self.make());
                self.creates.insert(id, stream);
                let range = (create.start_revision >= 0).then(|| Probe {
                    key: if create.key.is_empty() { Bytes::from_static(&[0]) } else { create.key.clone() },
                    range_end: create.range_end.clone(),
                });
                self.outputs.push_back(Output::Authorize(Authorize { create: id, stream, range }));
                Waiting::Create { id, create, answer: None }
            }
            Request::Nothing => return,
            Request::Progress => Waiting::Progress,
        };
        if let Some(state) = self.streams.get_mut(&stream) {
            state.requests.push_back(waiting);
        }
        self.work_off(stream, now);
    }

    /// The answer to [`Authorize`]. `watermark` is the highest revision that any client of this node
    /// has seen: nobody who watches from now on is shown what it knows already.
    pub fn handle_authorized(
        &mut self,
        create: CreateId,
        authorization: Authorization,
        watermark: i64,
        now: Instant,
    ) {
        let Some(stream) = self.creates.remove(&create) else { return };
        match &authorization {
            Authorization::Failed => return self.end(stream, EndReason::AuthorizationFailed, now),
            Authorization::Permitted { header } | Authorization::Denied { header: Some(header), .. } => {
                self.learn(header);
            }
            Authorization::Denied { header: None, .. } => {}
        }
        let revision = match &authorization {
            Authorization::Permitted { header } => header.revision.max(watermark),
            _ => self.header.revision.max(watermark),
        };
        self.header.revision = self.header.revision.max(revision);
        if let Some(state) = self.streams.get_mut(&stream) {
            for waiting in &mut state.requests {
                if let Waiting::Create { id, answer, .. } = waiting
                    && *id == create
                {
                    *answer = Some(Answer { authorization, revision });
                    break;
                }
            }
        }
        self.work_off(stream, now);
    }

    /// Does what is next in the stream until that waits for an answer.
    fn work_off(&mut self, stream: StreamId, now: Instant) {
        while let Some(state) = self.streams.get_mut(&stream) {
            match state.requests.front() {
                None | Some(Waiting::Create { answer: None, .. }) => return,
                Some(_) => {}
            }
            match state.requests.pop_front() {
                Some(Waiting::Cancel { watch_id }) => self.cancel(stream, watch_id, now),
                Some(Waiting::Create { create, answer: Some(answer), .. }) => {
                    self.create(stream, &create, answer, now);
                }
                Some(Waiting::Progress) => self.request_progress(stream, now),
                Some(Waiting::Create { answer: None, .. }) | None => return,
            }
        }
    }

    fn create(&mut self, stream: StreamId, create: &Create, answer: Answer, now: Instant) {
        let Answer { authorization, revision } = answer;
        if create.start_revision < 0 {
            return self.refuse(stream, revision, COMPACTED);
        }
        if let Authorization::Denied { reason, .. } = authorization {
            return self.refuse(stream, revision, &reason);
        }
        let Ok(range) = Range::try_new(&create.key, &create.range_end) else {
            return self.refuse(stream, revision, EMPTY_RANGE);
        };
        let id = WatcherId(self.make());
        let Some(state) = self.streams.get_mut(&stream) else { return };
        if self.watchers.len().max(state.watch_ids.len()) >= self.config.watchers {
            return self.end(stream, EndReason::TooManyWatchers, now);
        }
        let Ok(watch_id) = state.watch_ids.take(create.watch_id, id) else {
            return self.refuse(stream, revision, DUPLICATE);
        };
        let from_now = create.start_revision == 0;
        let position = if from_now { revision + 1 } else { create.start_revision };
        let watcher = Watcher {
            stream,
            watch_id,
            range,
            filters: create.filters,
            prev_kv: create.prev_kv,
            fragment: create.fragment,
            progress_notify: create.progress_notify,
            progress_min: if from_now { revision } else { create.start_revision },
            behind_since: None,
            quiet: true,
            place: Place::Lagging { position },
        };
        self.watchers.insert(id, watcher);
        if create.progress_notify {
            self.start_ticking(stream, now);
        }
        self.control(stream, revision, &Fore { watch_id, created: true, ..Fore::default() });
        self.place(id, position, now);
        if let Some(feed) = self.watchers.get(&id).and_then(|watcher| watcher.place.feed()) {
            self.listen(feed, now);
        }
    }

    fn refuse(&mut self, stream: StreamId, revision: i64, reason: &str) {
        let fore = Fore {
            watch_id: NOBODY,
            created: true,
            canceled: true,
            cancel_reason: reason,
            ..Fore::default()
        };
        self.control(stream, revision, &fore);
    }

    fn cancel(&mut self, stream: StreamId, watch_id: i64, now: Instant) {
        let Some(state) = self.streams.get_mut(&stream) else { return };
        // etcd is silent about an id that it does not know.
        let Some(watcher) = state.watch_ids.release(watch_id) else { return };
        if let Some(watcher) = watcher {
            self.remove_watcher(watcher, now);
        }
        let fore = Fore { watch_id, canceled: true, ..Fore::default() };
        self.control(stream, self.header.revision, &fore);
    }

    /// Ends a watcher whose next revision has been compacted, as etcd does: without a reason, with
    /// revision 0 in the header. Its id stays in use.
    pub(super) fn cancel_compacted(&mut self, id: WatcherId, compact_revision: i64, now: Instant) {
        let Some(watcher) = self.watchers.get(&id) else { return };
        let (stream, watch_id) = (watcher.stream, watcher.watch_id);
        self.remove_watcher(id, now);
        if let Some(state) = self.streams.get_mut(&stream) {
            state.watch_ids.on_compacted(watch_id);
        }
        self.counts.compaction_cancels += 1;
        self.control(stream, 0, &Fore { watch_id, canceled: true, compact_revision, ..Fore::default() });
    }

    /// A response without events. It is queued though the stream be full: it is small, and no
    /// request is read meanwhile.
    pub(super) fn control(&mut self, stream: StreamId, revision: i64, fore: &Fore<'_>) {
        let Some(state) = self.streams.get_mut(&stream) else { return };
        // Not from the common buffer: it may wait for long, and would keep the others there.
        let mut buffer = BytesMut::with_capacity(HEAD_BYTES + fore.cancel_reason.len());
        let head = write_head(&mut buffer, &Header { revision, ..self.header }, fore, 0);
        state.queued += head.len();
        self.counts.bytes_out += head.len() as u64;
        self.outputs.push_back(Output::Deliver(Delivery { stream, head, events: Events::None }));
    }

    /// Tells whether it was there.
    pub(super) fn remove_stream(&mut self, stream: StreamId, now: Instant) -> bool {
        let Some(mut state) = self.streams.remove(&stream) else { return false };
        for waiting in state.requests.drain(..) {
            if let Waiting::Create { id, .. } = waiting {
                self.creates.remove(&id);
            }
        }
        self.stop_ticking(stream, &mut state);
        for feed in state.progress.iter().flatten() {
            if let Some(feed) = self.feeds.get_mut(feed) {
                feed.waiting.remove(&stream);
            }
        }
        for watcher in state.watch_ids.watchers() {
            self.remove_watcher(watcher, now);
        }
        true
    }

    fn remove_watcher(&mut self, id: WatcherId, now: Instant) {
        self.detach(id, now);
        self.held.remove(&id);
        self.watchers.remove(&id);
    }
}

/// Where no watcher is meant, or all.
pub(super) const NOBODY: i64 = -1;

/// Texts of etcd: `server/storage/mvcc/watcher.go` and `api/v3rpc/rpctypes/error.go`.
const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";
const DUPLICATE: &str = "mvcc: duplicate watch ID provided on the WatchStream";
const EMPTY_RANGE: &str = "mvcc: watcher range is empty";

/// A head without a reason.
pub(super) const HEAD_BYTES: usize = 96;
