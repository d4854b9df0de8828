//! The core, and whom it wakes: all of the hub that tasks share.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::RandomState;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Waker};
use std::time::Instant;

use tokio::sync::Notify;

use super::super::config::Config;
use super::super::core::{
    Core, Delivery, EndReason, Identity, Numbers, Output, Parted, Response, StreamId, Table, Upstream,
};
use super::super::metrics::WatchMetrics;
use super::account::{Account, Pass, Refusal};
use super::authorize;
use super::opener::Opener;
use super::pipes::{Opening, PipeId, Pipes};
use crate::proxy::Proxy;
use crate::proxy::caller::Caller;
use crate::proxy::home::Home;
use crate::types::ids::EndpointId;
use crate::types::status::{Code, ETCD_NO_LEADER, Status};

pub(in crate::proxy) struct Shared {
    metrics: WatchMetrics,
    home: Home,
    /// As whom feeds are opened that users share.
    account: Option<Arc<Account>>,
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
    /// Who opens the feeds of the core's identities, and how many streams each has.
    openers: HashMap<Identity, (Opener, usize)>,
    streams_made: u64,
    /// What the timer waits for.
    due: Option<Instant>,
    /// What the metrics show.
    shown: Numbers,
}

/// What waits for a client.
struct Outbox {
    caller: Caller,
    identity: Identity,
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
    pub(in crate::proxy::watch) fn new(
        config: &Config,
        metrics: WatchMetrics,
        home: Home,
        account: Option<Arc<Account>>,
    ) -> Arc<Self> {
        let state = State {
            core: Core::new(config.clone()),
            outboxes: HashMap::new(),
            pipes: Pipes::default(),
            openers: HashMap::new(),
            streams_made: 0,
            due: None,
            shown: Numbers::default(),
        };
        Arc::new(Self {
            metrics,
            home,
            account,
            state: Mutex::new(state),
            timer: Notify::new(),
            hasher: RandomState::new(),
        })
    }

    pub fn proxy(&self) -> Option<Arc<Proxy>> {
        self.home.proxy()
    }

    pub(super) fn account(&self) -> Option<&Account> {
        self.account.as_deref()
    }

    pub fn join(self: &Arc<Self>, caller: Caller) -> StreamId {
        let opener = self.opener(&caller);
        let mut state = self.lock();
        state.streams_made += 1;
        let stream = StreamId(state.streams_made);
        let identity = state.on_opener(opener);
        state.outboxes.insert(stream, Outbox::new(caller, identity.clone()));
        state.core.handle_stream(stream, identity);
        stream
    }

    pub fn leave(self: &Arc<Self>, stream: StreamId) {
        let outbox = self.lock().outboxes.remove(&stream);
        self.with(|core, now| core.handle_stream_closed(stream, now));
        if let Some(outbox) = outbox {
            self.lock().off_opener(&outbox.identity);
        }
    }

    /// As whom the feeds of this caller are opened.
    pub(super) fn opener(&self, caller: &Caller) -> Opener {
        match &self.account {
            Some(_) => Opener::of_everybody(caller),
            None => Opener::Clients(caller.clone()),
        }
    }

    /// For a feed that stands: nobody has a stream for it.
    pub(super) fn stand(self: &Arc<Self>, opener: &Opener, tell: impl FnOnce(&mut Core, Instant)) {
        let mut state = self.lock();
        let now = Instant::now();
        state.openers.entry(opener.identity()).or_insert_with(|| (opener.clone(), 0));
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

    /// Responses of a pipe, in their order; `pass` if etcdlet itself has opened it.
    pub(super) fn on_responses(
        self: &Arc<Self>,
        pipe: PipeId,
        responses: Vec<Response>,
        pass: Option<&Pass>,
    ) {
        let mut state = self.lock();
        let now = Instant::now();
        let State { core, pipes, .. } = &mut *state;
        let (mut refused, mut unsigned) = (Vec::new(), Vec::new());
        for response in responses {
            pipes.on_response(pipe, response, |upstream, response| {
                let pass = pass.filter(|_| response.created && response.canceled);
                match pass.and_then(|pass| pass.refusal(&response.cancel_reason)) {
                    None => core.handle_response(upstream, response, now),
                    Some(Refusal::Pass) => unsigned.push(upstream),
                    Some(Refusal::Permission) => refused.push(upstream),
                }
            });
        }
        if let Some(pass) = pass.filter(|_| !unsigned.is_empty()) {
            pipes.retire(pipe);
            self.on_spent(pass, unsigned);
        }
        let parted = state.part(&refused, now);
        if let Some(account) = &self.account {
            parted.iter().for_each(|parted| account.on_parted(parted));
        }
        self.do_outputs(&mut state, now);
    }

    /// Watches that etcdlet itself can't open, because nobody knows its user.
    pub(super) fn on_refused(self: &Arc<Self>, refused: &[Upstream]) {
        let mut state = self.lock();
        let now = Instant::now();
        state.part(refused, now);
        self.do_outputs(&mut state, now);
    }

    /// A member has refused these watches because of the pass.
    fn on_spent(self: &Arc<Self>, pass: &Pass, watches: Vec<Upstream>) {
        if let Some(account) = &self.account {
            account.spend(pass);
        }
        let (shared, pause) = (self.clone(), pass.pause());
        self.home.spawn(|_| async move {
            tokio::time::sleep(pause).await;
            shared.on_pipe_ended(&watches);
        });
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
        let State { core, openers, .. } = &mut *self.lock();
        openers.retain(|identity, (_, streams)| *streams > 0 || core.has_feeds(identity));
    }

    /// Identities that ask for a leader.
    pub fn requiring_leader(&self) -> HashSet<Identity> {
        let state = self.lock();
        let requiring = state.openers.iter().filter(|(_, (opener, _))| opener.requires_leader());
        requiring.map(|(identity, _)| identity.clone()).collect()
    }

    /// The member of a pipe is not well, and others are.
    pub(super) fn on_unwell(self: &Arc<Self>, pipe: PipeId) {
        let mut state = self.lock();
        let now = Instant::now();
        state.pipes.retire(pipe);
        for upstream in state.pipes.watches(pipe) {
            state.core.handle_unwell(upstream, now);
        }
        self.do_outputs(&mut state, now);
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
                    // By its own token, whoever opens the feeds.
                    if let Some(outbox) = state.outboxes.get(&request.stream) {
                        let (shared, caller) = (self.clone(), outbox.caller.clone());
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
                    let opener = state.openers.get(&open.identity).map(|(opener, _)| opener.clone());
                    let Some(opener) = opener else {
                        // Nobody is on it.
                        state.core.handle_lost(open.upstream, now);
                        continue;
                    };
                    if let Opening::Start(pipe) = state.pipes.open(&open) {
                        let shared = self.clone();
                        let run = |proxy| super::pipe::run(proxy, shared, pipe, open.identity, opener);
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

impl State {
    /// One more stream.
    fn on_opener(&mut self, opener: Opener) -> Identity {
        let identity = opener.identity();
        self.openers.entry(identity.clone()).or_insert((opener, 0)).1 += 1;
        identity
    }

    fn off_opener(&mut self, identity: &Identity) {
        if let Some((_, streams)) = self.openers.get_mut(identity) {
            *streams -= 1;
        }
    }

    /// Lets the streams of watches that were refused to etcdlet go on as themselves.
    fn part(&mut self, refused: &[Upstream], now: Instant) -> Vec<Parted> {
        let mut all = Vec::new();
        for upstream in refused {
            let Self { core, outboxes, .. } = self;
            let own = |stream| Some(Opener::Clients(outboxes.get(&stream)?.caller.clone()).identity());
            let Some(parted) = core.handle_refused(*upstream, own, now) else { continue };
            for stream in &parted.streams {
                self.on_parted(*stream);
            }
            all.push(parted);
        }
        all
    }

    /// The stream goes on as itself.
    fn on_parted(&mut self, stream: StreamId) {
        let Some(outbox) = self.outboxes.get(&stream) else { return };
        let identity = self.on_opener(Opener::Clients(outbox.caller.clone()));
        if let Some(outbox) = self.outboxes.get_mut(&stream) {
            let before = std::mem::replace(&mut outbox.identity, identity);
            self.off_opener(&before);
        }
    }
}

impl Outbox {
    fn new(caller: Caller, identity: Identity) -> Self {
        Self { caller, identity, deliveries: VecDeque::new(), end: None, waker: None }
    }

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
