//! The core, and whom it wakes: all of the hub that tasks share.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::RandomState;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Waker};
use std::time::Instant;

use tokio::sync::Notify;

use super::super::config::Config;
use super::super::core::{
    Core, Delivery, EndReason, Identity, Numbers, Output, Response, StreamId, Table, Upstream,
};
use super::super::metrics::WatchMetrics;
use super::authorize;
use super::pipes::{Opening, PipeId, Pipes};
use crate::proxy::Proxy;
use crate::proxy::caller::Caller;
use crate::proxy::home::Home;
use crate::types::ids::EndpointId;
use crate::types::status::{Code, ETCD_NO_LEADER, Status};

pub(in crate::proxy) struct Shared {
    metrics: WatchMetrics,
    home: Home,
    state: Mutex<State>,
    /// Something is due earlier than it was.
    pub timer: Notify,
    /// For names of identities that say nothing of them.
    pub hasher: RandomState,
}

struct State {
    core: Core,
    outboxes: HashMap<StreamId, Outbox>,
    pipes: Pipes,
    /// Who stands behind the identities of the core, and how many streams each has.
    callers: HashMap<Identity, (Caller, usize)>,
    streams_made: u64,
    /// What the timer waits for.
    due: Option<Instant>,
    /// What the metrics show.
    shown: Numbers,
}

/// What waits for a client.
#[derive(Default)]
struct Outbox {
    deliveries: VecDeque<Delivery>,
    end: Option<Status>,
    waker: Option<Waker>,
}

/// What a client gets next.
pub(super) enum Taken {
    Deliveries(Vec<Delivery>),
    End(Status),
}

impl Shared {
    pub fn new(config: &Config, metrics: WatchMetrics, home: Home) -> Arc<Self> {
        let state = State {
            core: Core::new(config.clone()),
            outboxes: HashMap::new(),
            pipes: Pipes::default(),
            callers: HashMap::new(),
            streams_made: 0,
            due: None,
            shown: Numbers::default(),
        };
        Arc::new(Self {
            metrics,
            home,
            state: Mutex::new(state),
            timer: Notify::new(),
            hasher: RandomState::new(),
        })
    }

    pub fn proxy(&self) -> Option<Arc<Proxy>> {
        self.home.proxy()
    }

    pub fn join(self: &Arc<Self>, caller: Caller) -> StreamId {
        let identity = Identity(caller.bytes());
        let mut state = self.lock();
        state.streams_made += 1;
        let stream = StreamId(state.streams_made);
        state.callers.entry(identity.clone()).or_insert_with(|| (caller, 0)).1 += 1;
        state.outboxes.insert(stream, Outbox::default());
        state.core.handle_stream(stream, identity);
        stream
    }

    pub fn leave(self: &Arc<Self>, stream: StreamId, identity: &Identity) {
        self.lock().outboxes.remove(&stream);
        self.with(|core, now| core.handle_stream_closed(stream, now));
        if let Some((_, streams)) = self.lock().callers.get_mut(identity) {
            *streams -= 1;
        }
    }

    /// For a feed that stands: its caller has no stream.
    pub(super) fn stand(self: &Arc<Self>, caller: &Caller, tell: impl FnOnce(&mut Core, Instant)) {
        let mut state = self.lock();
        let now = Instant::now();
        state.callers.entry(Identity(caller.bytes())).or_insert_with(|| (caller.clone(), 0));
        tell(&mut state.core, now);
        self.do_outputs(&mut state, now);
    }

    /// What the core is told goes through here, so that everybody hears what follows from it.
    pub fn with<T>(self: &Arc<Self>, tell: impl FnOnce(&mut Core, Instant) -> T) -> T {
        let mut state = self.lock();
        let now = Instant::now();
        let told = tell(&mut state.core, now);
        self.do_outputs(&mut state, now);
        told
    }

    /// What there is for a client, which is woken when there is more.
    pub(super) fn take(
        self: &Arc<Self>,
        stream: StreamId,
        bytes_max: usize,
        cx: &Context<'_>,
    ) -> Option<Taken> {
        let mut state = self.lock();
        let outbox = state.outboxes.get_mut(&stream)?;
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while bytes < bytes_max
            && let Some(delivery) = outbox.deliveries.pop_front()
        {
            bytes += delivery.len();
            taken.push(delivery);
        }
        if taken.is_empty() {
            if let Some(status) = &outbox.end {
                return Some(Taken::End(status.clone()));
            }
            match &mut outbox.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            return None;
        }
        let now = Instant::now();
        state.core.handle_drained(stream, bytes, now);
        self.do_outputs(&mut state, now);
        Some(Taken::Deliveries(taken))
    }

    /// The pipe's next message; `End` when nobody wants it any longer.
    pub(super) fn poll_pipe(&self, pipe: PipeId, cx: &Context<'_>) -> super::pipes::Outgoing {
        self.lock().pipes.poll(pipe, cx)
    }

    /// A member has answered.
    pub(super) fn on_member(&self, pipe: PipeId, endpoint: EndpointId, is_reliable: bool) {
        self.lock().pipes.on_member(pipe, endpoint, is_reliable);
    }

    /// Responses of a pipe, in their order.
    pub(super) fn on_responses(self: &Arc<Self>, pipe: PipeId, responses: Vec<Response>) {
        let mut state = self.lock();
        let now = Instant::now();
        let State { core, pipes, .. } = &mut *state;
        for response in responses {
            pipes.on_response(pipe, response, |upstream, response| {
                core.handle_response(upstream, response, now);
            });
        }
        self.do_outputs(&mut state, now);
    }

    /// A pipe has ended; its watches may be opened again, elsewhere.
    pub(super) fn on_pipe_ended(self: &Arc<Self>, lost: &[Upstream]) {
        self.with(|core, now| lost.iter().for_each(|upstream| core.handle_lost(*upstream, now)));
    }

    /// Told when the pipe is not needed any longer.
    pub(super) fn over(&self, pipe: PipeId) -> Arc<Notify> {
        self.lock().pipes.over(pipe)
    }

    /// Takes a pipe out, with the watches that it had; what comes for them from now on is nobody's.
    pub(super) fn remove_pipe(&self, pipe: PipeId) -> Vec<Upstream> {
        self.lock().pipes.remove(pipe)
    }

    pub fn due(&self) -> Option<Instant> {
        let mut state = self.lock();
        state.due = state.core.poll_timeout();
        state.due
    }

    /// Forgets the callers that nothing is open for.
    pub fn sweep(&self) {
        let State { core, callers, .. } = &mut *self.lock();
        callers.retain(|identity, (_, streams)| *streams > 0 || core.has_feeds(identity));
    }

    /// Identities that ask for a leader.
    pub fn requiring_leader(&self) -> HashSet<Identity> {
        let state = self.lock();
        let requiring = state.callers.iter().filter(|(_, (caller, _))| caller.requires_leader());
        requiring.map(|(identity, _)| identity.clone()).collect()
    }

    /// The largest feeds, and where they are.
    pub(super) fn table(&self, rows_max: usize) -> (Table, HashMap<Upstream, EndpointId>) {
        let State { core, pipes, .. } = &*self.lock();
        let table = core.table(rows_max);
        let upstreams = table.rows.iter().map(|row| row.upstream);
        let endpoints = upstreams.filter_map(|upstream| Some((upstream, pipes.endpoint(upstream)?)));
        let endpoints = endpoints.collect();
        (table, endpoints)
    }

    pub fn show_numbers(&self) {
        let mut state = self.lock();
        let numbers = state.core.numbers();
        let before = std::mem::replace(&mut state.shown, numbers);
        self.metrics.on_numbers(&before, &numbers, Instant::now());
    }

    fn do_outputs(self: &Arc<Self>, state: &mut State, now: Instant) {
        while let Some(output) = state.core.poll_output(now) {
            match output {
                Output::Authorize(request) => {
                    let caller = state.core.identity(request.stream).and_then(|it| state.callers.get(it));
                    if let Some((caller, _)) = caller {
                        let (shared, caller) = (self.clone(), caller.clone());
                        self.home.spawn(|proxy| authorize::run(proxy, shared, caller, request));
                    }
                }
                Output::Close(upstream) => state.pipes.close(upstream),
                Output::Deliver(delivery) => {
                    if let Some(outbox) = state.outboxes.get_mut(&delivery.stream) {
                        outbox.deliveries.push_back(delivery);
                        outbox.wake();
                    }
                }
                Output::End { stream, why } => {
                    if let Some(outbox) = state.outboxes.get_mut(&stream) {
                        outbox.end = Some(status(&why));
                        outbox.wake();
                    }
                }
                Output::Open(open) => {
                    let caller = state.callers.get(&open.identity).map(|(caller, _)| caller.clone());
                    let Some(caller) = caller else {
                        // Nobody is on it.
                        state.core.handle_lost(open.upstream, now);
                        continue;
                    };
                    if let Opening::Start(pipe) = state.pipes.open(&open) {
                        let shared = self.clone();
                        let run = |proxy| super::pipe::run(proxy, shared, pipe, open.identity, caller);
                        self.home.spawn(run);
                    }
                }
                Output::RequestProgress(upstream) => state.pipes.request_progress(upstream),
            }
        }
        let next = state.core.poll_timeout();
        if next.is_some_and(|next| state.due.is_none_or(|due| next < due)) {
            self.timer.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding the state")
    }
}

impl Outbox {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// What a client is told whose stream the hub ends: to open another one.
fn status(why: &EndReason) -> Status {
    let text = match why {
        EndReason::AuthorizationFailed => {
            "etcdlet: no member answers whether the watch is permitted".to_owned()
        }
        EndReason::IdentityExpired => "etcdlet: the token is not valid any longer".to_owned(),
        EndReason::NoLeader => ETCD_NO_LEADER.to_owned(),
        EndReason::Restored => "etcdlet: the cluster was restored".to_owned(),
        EndReason::TooManyWatchers => "etcdlet: too many watchers".to_owned(),
        EndReason::UpstreamCanceled(reason) => format!("etcdlet: the member ended the watch: {reason}"),
    };
    Status::new(Code::Unavailable, text)
}
