//! The clients of one caller and their streams to the leader: the core, and whom it wakes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::super::Proxy;
use super::super::caller::Caller;
use super::super::home::Home;
use super::config::Config;
use super::core::{ClientId, Core, Ended, LaneId, Next, Output, Taken};
use super::driver;
use super::metrics::LeaseMetrics;
use crate::types::status::{Code, ETCD_NO_LEADER, Status};

/// What all groups have in common.
pub(super) struct Common {
    pub config: Config,
    pub metrics: LeaseMetrics,
    pub groups: Mutex<HashMap<Caller, Weak<Group>>>,
    /// Requests without an answer.
    waiting: AtomicI64,
}

impl Common {
    pub fn new(config: &Config, metrics: LeaseMetrics) -> Self {
        let (groups, waiting) = Default::default();
        Self { config: config.clone(), metrics, groups, waiting }
    }
}

pub(super) struct Group {
    pub caller: Caller,
    pub common: Arc<Common>,
    home: Home,
    state: Mutex<State>,
}

struct State {
    core: Core,
    clients: HashMap<ClientId, Waker>,
    lanes: HashMap<LaneId, Waker>,
}

impl Group {
    /// The group of this caller, a new one if there is none.
    pub fn of(common: &Arc<Common>, caller: Caller, proxy: &Arc<Proxy>) -> Arc<Self> {
        let mut groups = common.groups.lock().expect("nobody panics while holding the groups");
        if let Some(group) = groups.get(&caller).and_then(Weak::upgrade) {
            return group;
        }
        let core = Core::new(common.config.streams as u64);
        let state = State { core, clients: HashMap::new(), lanes: HashMap::new() };
        let group = Arc::new(Self {
            caller: caller.clone(),
            common: common.clone(),
            home: Home::here(proxy),
            state: Mutex::new(state),
        });
        groups.insert(caller, Arc::downgrade(&group));
        if group.caller.requires_leader() {
            tokio::spawn(driver::watch_leader(proxy.clone(), Arc::downgrade(&group)));
        }
        group
    }

    pub fn join(self: &Arc<Self>) -> ClientId {
        self.common.metrics.streams.inc();
        self.with(Core::handle_join)
    }

    pub fn leave(self: &Arc<Self>, client: ClientId) {
        self.common.metrics.streams.dec();
        self.lock().clients.remove(&client);
        self.with(|core| core.handle_leave(client));
    }

    /// The next answer for a client, which is woken when there is one.
    pub fn poll_client(&self, client: ClientId, cx: &Context<'_>) -> Option<Taken> {
        let mut state = self.lock();
        let taken = state.core.take(Instant::now(), client);
        if taken.is_none() {
            remember(&mut state.clients, client, cx);
        }
        taken
    }

    /// The next message for a lane, which is woken when there is one.
    pub fn poll_lane(&self, lane: LaneId, cx: &Context<'_>) -> Outgoing {
        let mut state = self.lock();
        let send = match state.core.poll_send(Instant::now(), lane) {
            Some(frame) => Outgoing::Message(frame),
            None if state.core.has_sent_all(lane) => Outgoing::End,
            None => {
                remember(&mut state.lanes, lane, cx);
                Outgoing::Nothing
            }
        };
        self.account(&mut state);
        send
    }

    /// How many requests of a client may be waiting now: one at least.
    pub fn room(&self) -> usize {
        let config = &self.common.config;
        let used = self.common.waiting.load(Ordering::Relaxed);
        if used < config.waiting_total as i64 { config.waiting_per_stream } else { 1 }
    }

    /// What the core is told goes through here, so that everybody hears what follows from it.
    pub fn with<T>(self: &Arc<Self>, tell: impl FnOnce(&mut Core) -> T) -> T {
        let mut state = self.lock();
        let told = tell(&mut state.core);
        while let Some(output) = state.core.poll_output() {
            match output {
                Output::Client(client) => state.clients.remove(&client).into_iter().for_each(Waker::wake),
                Output::Lane(lane) => state.lanes.remove(&lane).into_iter().for_each(Waker::wake),
                Output::Start(lane) => {
                    let group = self.clone();
                    self.home.spawn(|proxy| driver::run(proxy, group, lane));
                }
            }
        }
        self.account(&mut state);
        told
    }

    pub fn request(self: &Arc<Self>, client: ClientId, lease: Option<i64>, frame: Bytes) {
        self.with(|core| core.handle_request(Instant::now(), client, lease, frame));
    }

    /// The stream of a lane has ended, and nobody sends on it any longer.
    pub fn ended(self: &Arc<Self>, lane: LaneId, ended: &Ended, patience: Duration) -> Next {
        self.lock().lanes.remove(&lane);
        self.with(|core| core.handle_ended(Instant::now(), lane, ended, patience))
    }

    /// The end of every client: there is no leader for long.
    pub fn cut(self: &Arc<Self>) {
        let status = Status::new(Code::Unavailable, ETCD_NO_LEADER);
        self.with(|core| core.handle_cut(&status));
    }

    fn account(&self, state: &mut State) {
        let counts = state.core.take_counts();
        self.common.waiting.fetch_add(counts.waiting, Ordering::Relaxed);
        self.common.metrics.on_counts(counts);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding the state")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let mut groups = self.common.groups.lock().expect("nobody panics while holding the groups");
        // Unless another one has come in its place.
        if groups.get(&self.caller).is_some_and(|group| group.strong_count() == 0) {
            groups.remove(&self.caller);
        }
    }
}

/// What a lane does next.
pub(super) enum Outgoing {
    End,
    Message(Bytes),
    Nothing,
}

fn remember<K: Eq + std::hash::Hash>(wakers: &mut HashMap<K, Waker>, who: K, cx: &Context<'_>) {
    wakers.entry(who).and_modify(|waker| waker.clone_from(cx.waker())).or_insert_with(|| cx.waker().clone());
}
