//! Upstream watches on their streams ('pipes'): which one goes where, and which id it has there.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Waker};

use bytes::Bytes;

use tokio::sync::Notify;

use super::super::core::{Identity, Open, Response, Upstream};
use crate::proto::etcdserverpb as pb;
use crate::proto::etcdserverpb::watch_request::RequestUnion;
use crate::types::ids::EndpointId;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct PipeId(u64);

#[derive(Default)]
pub(super) struct Pipes {
    pipes: HashMap<PipeId, Pipe>,
    /// Where each open watch is.
    places: HashMap<Upstream, (PipeId, i64)>,
    made: u64,
}

struct Pipe {
    identity: Identity,
    alone: bool,
    /// By their ids on this pipe, with the revision that they were created at.
    watches: HashMap<i64, (Upstream, Option<i64>)>,
    /// Ids whose created response has not come; they come in this order.
    creating: VecDeque<i64>,
    ids_given: i64,
    outgoing: VecDeque<Bytes>,
    /// A request for progress is among them; one serves all watches.
    asks: bool,
    waker: Option<Waker>,
    over: Arc<Notify>,
    is_over: bool,
    /// Its member.
    endpoint: Option<EndpointId>,
    /// Nothing more is opened on it.
    is_retired: bool,
    /// Its member says nothing of progress that is not so.
    is_reliable: bool,
}

pub(super) enum Opening {
    /// On a pipe that is there.
    Joined,
    /// On this one, which is to be run.
    Start(PipeId),
}

/// What a pipe sends next.
pub(super) enum Outgoing {
    End,
    Message(Bytes),
    Nothing,
}

impl Pipes {
    pub fn open(&mut self, open: &Open) -> Opening {
        let shared = self.pipes.iter().filter(|(_, pipe)| {
            let takes = !pipe.alone && !pipe.is_over && !pipe.is_retired;
            !open.alone && takes && pipe.identity == open.identity
        });
        let (count, emptiest) = shared.fold((0, None), |(count, best), (id, pipe)| {
            let load = pipe.watches.len();
            let best = match best {
                Some((least, _)) if least <= load => best,
                _ => Some((load, *id)),
            };
            (count + 1, best)
        });
        let (id, opening) = match emptiest {
            Some((_, id)) if count >= PIPES_MAX => (id, Opening::Joined),
            _ => {
                self.made += 1;
                let id = PipeId(self.made);
                self.pipes.insert(id, Pipe::new(open.identity.clone(), open.alone));
                (id, Opening::Start(id))
            }
        };
        if let Some(pipe) = self.pipes.get_mut(&id) {
            pipe.ids_given += 1;
            let watch_id = pipe.ids_given;
            pipe.watches.insert(watch_id, (open.upstream, None));
            pipe.creating.push_back(watch_id);
            pipe.send(create(open, watch_id));
            self.places.insert(open.upstream, (id, watch_id));
        }
        opening
    }

    pub fn close(&mut self, upstream: Upstream) {
        let Some((id, watch_id)) = self.places.remove(&upstream) else { return };
        let Some(pipe) = self.pipes.get_mut(&id) else { return };
        pipe.watches.remove(&watch_id);
        if pipe.watches.is_empty() {
            pipe.end();
        } else {
            pipe.send(request(RequestUnion::CancelRequest(pb::WatchCancelRequest { watch_id })));
        }
    }

    pub fn request_progress(&mut self, upstream: Upstream) {
        if let Some(pipe) = self.places.get(&upstream).and_then(|(id, _)| self.pipes.get_mut(id))
            && pipe.is_reliable
            && !std::mem::replace(&mut pipe.asks, true)
        {
            pipe.send(Bytes::from_static(PROGRESS));
        }
    }

    /// The pipe's member is known now.
    pub fn on_member(&mut self, id: PipeId, endpoint: EndpointId, is_reliable: bool) {
        if let Some(pipe) = self.pipes.get_mut(&id) {
            pipe.endpoint = Some(endpoint);
            pipe.is_reliable = is_reliable;
        }
    }

    /// Where an upstream watch is.
    pub fn endpoint(&self, upstream: Upstream) -> Option<EndpointId> {
        let (id, _) = self.places.get(&upstream)?;
        self.pipes.get(id)?.endpoint
    }

    /// Nothing more is opened on it. What it has goes on.
    pub fn retire(&mut self, id: PipeId) {
        if let Some(pipe) = self.pipes.get_mut(&id) {
            pipe.is_retired = true;
        }
    }

    /// Tells whom a response is for.
    pub fn on_response(&mut self, id: PipeId, response: Response, mut tell: impl FnMut(Upstream, Response)) {
        let Some(pipe) = self.pipes.get_mut(&id) else { return };
        let watch_id = if response.created {
            // One that is refused has not even its id.
            let Some(created) = pipe.creating.pop_front() else { return };
            created
        } else if response.watch_id == EVERYBODY {
            let about = pipe.watches.values().filter(|(_, created)| {
                // etcd may send it behind the created response of a watch that it knew nothing of.
                pipe.alone || created.is_some_and(|created| response.header.revision > created)
            });
            let about: Vec<Upstream> = about.map(|(upstream, _)| *upstream).collect();
            return about.into_iter().for_each(|upstream| tell(upstream, response.clone()));
        } else {
            response.watch_id
        };
        let Some((upstream, created)) = pipe.watches.get_mut(&watch_id) else { return };
        if response.created {
            *created = Some(response.header.revision);
        }
        let upstream = *upstream;
        if response.canceled {
            pipe.watches.remove(&watch_id);
            self.places.remove(&upstream);
            if pipe.watches.is_empty() {
                pipe.end();
            }
        }
        tell(upstream, response);
    }

    pub fn poll(&mut self, id: PipeId, cx: &Context<'_>) -> Outgoing {
        let Some(pipe) = self.pipes.get_mut(&id).filter(|pipe| !pipe.is_over) else { return Outgoing::End };
        if let Some(message) = pipe.outgoing.pop_front() {
            pipe.asks &= *message != *PROGRESS;
            return Outgoing::Message(message);
        }
        match &mut pipe.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Outgoing::Nothing
    }

    /// What is open on a pipe.
    pub fn watches(&self, id: PipeId) -> Vec<Upstream> {
        let pipe = self.pipes.get(&id);
        pipe.map(|pipe| pipe.watches.values().map(|(upstream, _)| *upstream).collect()).unwrap_or_default()
    }

    /// Told when the pipe is not needed any longer.
    pub fn over(&self, id: PipeId) -> Arc<Notify> {
        self.pipes.get(&id).map(|pipe| pipe.over.clone()).unwrap_or_default()
    }

    pub fn remove(&mut self, id: PipeId) -> Vec<Upstream> {
        let Some(pipe) = self.pipes.remove(&id) else { return Vec::new() };
        let watches: Vec<Upstream> = pipe.watches.into_values().map(|(upstream, _)| upstream).collect();
        for upstream in &watches {
            self.places.remove(upstream);
        }
        watches
    }
}

impl Pipe {
    fn new(identity: Identity, alone: bool) -> Self {
        Self {
            identity,
            alone,
            watches: HashMap::new(),
            creating: VecDeque::new(),
            ids_given: 0,
            outgoing: VecDeque::new(),
            asks: false,
            waker: None,
            over: Arc::default(),
            is_over: false,
            endpoint: None,
            is_retired: false,
            is_reliable: false,
        }
    }

    fn send(&mut self, frame: Bytes) {
        self.outgoing.push_back(frame);
        self.wake();
    }

    /// etcd goes on when the requests end, so the whole stream has to.
    fn end(&mut self) {
        self.is_over = true;
        self.over.notify_one();
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

fn create(open: &Open, watch_id: i64) -> Bytes {
    let (key, range_end) = open.range.wire();
    request(RequestUnion::CreateRequest(pb::WatchCreateRequest {
        key,
        range_end,
        start_revision: open.start_revision,
        progress_notify: true,
        filters: Vec::new(),
        prev_kv: open.prev_kv,
        watch_id,
        fragment: true,
    }))
}

fn request(union: RequestUnion) -> Bytes {
    super::framed(&pb::WatchRequest { request_union: Some(union) })
}

/// A `WatchProgressRequest` in its frame.
const PROGRESS: &[u8] = &[0, 0, 0, 0, 2, 3 << 3 | 2, 0];

/// The id of a response that is about all watches of its stream.
const EVERYBODY: i64 = -1;

/// Shared pipes of one identity. etcd serves each by two goroutines, and each goes to the member
/// that has the fewest: enough to spread the work, and few beside what clients would open.
const PIPES_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::super::Config;
    use super::super::super::core::{Authorization, Core, Create, Header, Output, Request, StreamId};
    use super::*;

    /// Watches that do not contain each other, as the core wants them opened.
    fn opens(count: u64) -> Vec<Open> {
        let (mut core, now) = (Core::new(Config::default()), Instant::now());
        let mut opens = Vec::new();
        for number in 0..count {
            let stream = StreamId(number);
            core.handle_stream(stream, Identity(Bytes::new()));
            let key = Bytes::from(format!("{number:03}"));
            core.handle_request(stream, Request::Create(Create { key, ..Create::default() }), now);
            while let Some(output) = core.poll_output(now) {
                match output {
                    Output::Authorize(asked) => {
                        let header = Header { cluster_id: 1, member_id: 1, revision: 4, raft_term: 1 };
                        core.handle_authorized(asked.create, Authorization::Permitted { header }, 0, now);
                    }
                    Output::Open(open) => opens.push(open),
                    _ => {}
                }
            }
        }
        opens
    }

    fn start(pipes: &mut Pipes, open: &Open) -> PipeId {
        match pipes.open(open) {
            Opening::Start(id) => id,
            Opening::Joined => panic!("there is room for another pipe"),
        }
    }

    fn sent(pipes: &mut Pipes, id: PipeId) -> Vec<Bytes> {
        let cx = Context::from_waker(Waker::noop());
        std::iter::from_fn(|| match pipes.poll(id, &cx) {
            Outgoing::Message(message) => Some(message),
            Outgoing::End | Outgoing::Nothing => None,
        })
        .collect()
    }

    fn told(pipes: &mut Pipes, id: PipeId, response: Response) -> Vec<Upstream> {
        let mut told = Vec::new();
        pipes.on_response(id, response, |upstream, _| told.push(upstream));
        told
    }

    fn created(watch_id: i64, revision: i64) -> Response {
        let header = Header { revision, ..Header::default() };
        Response { header, watch_id, created: true, ..Response::default() }
    }

    fn progress(revision: i64) -> Response {
        let header = Header { revision, ..Header::default() };
        Response { header, watch_id: EVERYBODY, ..Response::default() }
    }

    /// Seventeen watches: the first pipe has two.
    fn shared() -> (Pipes, PipeId, [Upstream; 2]) {
        let (mut pipes, opens) = (Pipes::default(), opens(PIPES_MAX as u64 + 1));
        let (last, others) = opens.split_last().expect("there are some");
        for open in others {
            start(&mut pipes, open);
        }
        assert!(matches!(pipes.open(last), Opening::Joined));
        let (id, _) = pipes.places[&last.upstream];
        let other = pipes.pipes[&id].watches[&1].0;
        (pipes, id, [other, last.upstream])
    }

    #[test]
    fn created_responses_belong_to_the_creates_in_their_order_whatever_their_ids() {
        let (mut pipes, id, [first, second]) = shared();
        assert_eq!(sent(&mut pipes, id).len(), 2);
        assert_eq!(told(&mut pipes, id, Response { canceled: true, ..created(EVERYBODY, 5) }), [first]);
        assert_eq!(told(&mut pipes, id, created(2, 5)), [second]);
        assert_eq!(told(&mut pipes, id, Response { watch_id: 2, ..Response::default() }), [second]);
        assert_eq!(told(&mut pipes, id, Response { watch_id: 1, ..Response::default() }), []);
    }

    /// etcd may send the created response of a watch before a progress that was made without it.
    #[test]
    fn progress_of_a_stream_is_about_the_watches_that_were_there_when_it_was_made() {
        let (mut pipes, id, [first, second]) = shared();
        told(&mut pipes, id, created(1, 5));
        assert_eq!(told(&mut pipes, id, progress(10)), [first]);
        told(&mut pipes, id, created(2, 12));
        assert_eq!(told(&mut pipes, id, progress(12)), [first], "it was asked for before");
        let mut both = told(&mut pipes, id, progress(13));
        both.sort();
        let mut expected = [first, second];
        expected.sort();
        assert_eq!(both, expected);
    }

    #[test]
    fn one_request_for_progress_serves_all_and_only_reliable_members_are_asked() {
        let (mut pipes, id, [first, second]) = shared();
        sent(&mut pipes, id);
        pipes.request_progress(first);
        assert_eq!(sent(&mut pipes, id), [] as [Bytes; 0]);
        pipes.on_member(id, EndpointId(1), true);
        assert_eq!(pipes.endpoint(first), Some(EndpointId(1)));
        for _ in 0..2 {
            pipes.request_progress(first);
            pipes.request_progress(second);
            assert_eq!(sent(&mut pipes, id), [Bytes::from_static(PROGRESS)]);
        }
    }

    #[test]
    fn a_pipe_ends_with_its_last_watch() {
        let (mut pipes, id, [first, second]) = shared();
        pipes.close(first);
        assert_eq!(sent(&mut pipes, id).len(), 3, "two creates, a cancel");
        pipes.close(second);
        assert!(matches!(pipes.poll(id, &Context::from_waker(Waker::noop())), Outgoing::End));
        assert_eq!(pipes.remove(id), []);
    }

    #[test]
    fn a_request_for_progress_is_what_it_should_be() {
        let expected = request(RequestUnion::ProgressRequest(pb::WatchProgressRequest {}));
        assert_eq!(PROGRESS, &expected[..]);
    }
}
