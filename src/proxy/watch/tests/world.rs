//! A driver that does one thing at a time, and remembers what it was told.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::client::{Client, Verdict};
use super::cluster::{Change, Cluster};
use crate::proxy::watch::Config;
use crate::proxy::watch::core::{
    Authorization, Authorize, Core, Create, EndReason, Identity, Open, Output, Range, Request, Response,
    StreamId, Upstream,
};

pub(super) struct World {
    pub core: Core,
    /// Whose watches share nothing.
    private: Vec<Range>,
    pub cluster: Cluster,
    pub now: Instant,
    pub random: fastrand::Rng,
    pub clients: BTreeMap<StreamId, Client>,
    pub identities: BTreeMap<StreamId, Identity>,
    verdicts: BTreeMap<StreamId, VecDeque<Verdict>>,
    pub authorizations: Vec<(Authorize, Verdict)>,
    /// To be opened.
    pub opening: Vec<Open>,
    /// Open or to be opened, with what the core wants there.
    pub wanted: BTreeMap<Upstream, (Identity, bool, Range)>,
    pub ends: Vec<(StreamId, EndReason)>,
    /// Responses of watches that were closed.
    stale: Vec<(Upstream, bytes::Bytes)>,
    pub requested: Vec<(Upstream, Instant)>,
    /// What clients of other calls have seen.
    pub watermark: i64,
    streams: u64,
}

pub(super) const MS: Duration = Duration::from_millis(1);

impl World {
    pub fn new(config: Config, seed: u64) -> Self {
        let private = config.prefixes.iter().filter(|it| !it.coalesce).map(|it| Range::of_prefix(&it.prefix));
        Self {
            private: private.collect(),
            core: Core::new(config),
            cluster: Cluster::new(3),
            now: Instant::now(),
            random: fastrand::Rng::with_seed(seed),
            clients: BTreeMap::new(),
            identities: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            authorizations: Vec::new(),
            opening: Vec::new(),
            wanted: BTreeMap::new(),
            ends: Vec::new(),
            stale: Vec::new(),
            requested: Vec::new(),
            watermark: 0,
            streams: 0,
        }
    }

    pub fn stream(&mut self, identity: &'static str) -> StreamId {
        self.streams += 1;
        let (id, identity) = (StreamId(self.streams), Identity(identity.into()));
        self.core.handle_stream(id, identity.clone());
        self.clients.insert(id, Client::default());
        self.identities.insert(id, identity);
        self.verdicts.insert(id, VecDeque::new());
        id
    }

    pub fn create(&mut self, stream: StreamId, create: Create, verdict: Verdict) {
        self.clients.get_mut(&stream).unwrap().on_create(create.clone(), verdict.clone());
        self.verdicts.get_mut(&stream).unwrap().push_back(verdict);
        self.core.handle_request(stream, Request::Create(create), self.now);
        self.poll();
    }

    pub fn cancel(&mut self, stream: StreamId, watch_id: i64) {
        self.clients.get_mut(&stream).unwrap().on_cancel(watch_id);
        self.core.handle_request(stream, Request::Cancel { watch_id }, self.now);
        self.poll();
    }

    pub fn request_progress(&mut self, stream: StreamId) {
        self.core.handle_request(stream, Request::Progress, self.now);
        self.poll();
    }

    pub fn close_stream(&mut self, stream: StreamId) {
        self.forget(stream);
        self.core.handle_stream_closed(stream, self.now);
        self.poll();
    }

    /// Answers the authorization at this place.
    pub fn authorize(&mut self, at: usize) {
        let (authorize, verdict) = self.authorizations.remove(at);
        let member = self.random.usize(..self.cluster.applied.len());
        let header = self.cluster.header(member);
        let authorization = match verdict {
            Verdict::Permitted => Authorization::Permitted { header },
            Verdict::Refused(reason) => Authorization::Denied { header: Some(header), reason: reason.into() },
        };
        self.core.handle_authorized(authorize.create, authorization, self.watermark, self.now);
        self.poll();
    }

    pub fn open(&mut self, at: usize) {
        let open = self.opening.remove(at);
        let member = self.random.usize(..self.cluster.applied.len());
        self.cluster.open(open, member);
    }

    /// Who opens it may not; each of those who wait for it may.
    pub fn refuse(&mut self, at: usize) {
        let open = self.opening.remove(at);
        self.wanted.remove(&open.upstream);
        let own = |stream: StreamId| Some(Identity(format!("own {}", stream.0).into()));
        let parted = self.core.handle_refused(open.upstream, own, self.now).expect("it was wanted");
        assert_eq!(parted.range, open.range);
        self.identities.extend(parted.streams.into_iter().filter_map(|stream| Some((stream, own(stream)?))));
        self.poll();
    }

    /// The next response of an upstream watch arrives.
    pub fn arrive(&mut self, at: usize) {
        let Some(watch) = self.cluster.watches.get_mut(at) else { return };
        let Some(message) = watch.queue.pop_front() else { return };
        let upstream = watch.upstream;
        let response = Response::read(&message).unwrap();
        watch.unannounced &= !response.created;
        if response.canceled {
            self.cluster.watches.swap_remove(at);
            self.wanted.remove(&upstream);
        }
        self.core.handle_response(upstream, response, self.now);
        self.poll();
    }

    pub fn arrive_stale(&mut self) {
        if let Some((upstream, message)) = self.stale.pop() {
            self.core.handle_response(upstream, Response::read(&message).unwrap(), self.now);
            self.poll();
        }
    }

    /// An upstream watch is lost, with what was on its way.
    pub fn lose(&mut self, at: usize) {
        if at < self.cluster.watches.len() {
            let watch = self.cluster.watches.swap_remove(at);
            self.wanted.remove(&watch.upstream);
            self.core.handle_lost(watch.upstream, self.now);
            self.stale.extend(watch.queue.into_iter().map(|message| (watch.upstream, message)));
            self.poll();
        }
    }

    /// A client reads so many frames.
    pub fn read(&mut self, stream: StreamId, frames: usize) {
        for _ in 0..frames {
            let Some(client) = self.clients.get_mut(&stream) else { return };
            let Some(length) = client.read(&self.cluster.store) else { return };
            self.core.handle_drained(stream, length, self.now);
            self.poll();
        }
    }

    pub fn pass(&mut self, time: Duration) {
        self.now += time;
        self.core.handle_timeout(self.now);
        self.poll();
    }

    pub fn poll(&mut self) {
        self.poll_once();
        while self.core.replays_wait() {
            self.core.handle_timeout(self.now);
            self.poll_once();
        }
    }

    fn poll_once(&mut self) {
        while let Some(output) = self.core.poll_output(self.now) {
            match output {
                Output::Authorize(authorize) => {
                    let verdict = self.verdicts.get_mut(&authorize.stream).unwrap().pop_front().unwrap();
                    self.authorizations.push((authorize, verdict));
                }
                Output::Close(upstream) => self.close(upstream),
                Output::Deliver(delivery) => {
                    self.clients
                        .get_mut(&delivery.stream)
                        .expect("a stream that is there")
                        .on_delivery(&delivery);
                }
                Output::End { stream, why } => {
                    self.forget(stream);
                    self.ends.push((stream, why));
                }
                Output::Open(open) => {
                    let wanted = (open.identity.clone(), open.prev_kv, open.range.clone());
                    assert!(self.wanted.insert(open.upstream, wanted).is_none());
                    self.opening.push(open);
                }
                Output::RequestProgress(upstream) => {
                    self.requested.push((upstream, self.now));
                    self.cluster.request_progress(upstream);
                }
            }
        }
    }

    fn close(&mut self, upstream: Upstream) {
        self.wanted.remove(&upstream);
        self.opening.retain(|open| open.upstream != upstream);
        if let Some(at) = self.cluster.watches.iter().position(|watch| watch.upstream == upstream) {
            let watch = self.cluster.watches.swap_remove(at);
            self.stale.extend(watch.queue.into_iter().map(|message| (upstream, message)));
        }
    }

    fn forget(&mut self, stream: StreamId) {
        self.clients.remove(&stream);
        self.identities.remove(&stream);
        self.verdicts.remove(&stream);
        self.authorizations.retain(|(authorize, _)| authorize.stream != stream);
    }

    /// Everything that is under way comes to its end: nobody is slow, nothing fails.
    pub fn settle(&mut self) {
        for round in 1..2000 {
            if round % 100 == 0 {
                // A member does not tell the progress of a watch from a revision to come, nor of those on
                // the same stream; in an idle cluster that takes a write.
                let key = b"z".to_vec();
                self.cluster.store.write(vec![Change { key, deletes: false, value: 1 }]);
            }
            while !self.authorizations.is_empty() {
                self.authorize(0);
            }
            while !self.opening.is_empty() {
                self.open(0);
            }
            for member in 0..self.cluster.applied.len() {
                while self.cluster.applied[member] < self.cluster.store.revision() {
                    self.cluster.apply(member, &mut self.random);
                }
            }
            for at in 0..self.cluster.watches.len() {
                self.cluster.sync(at, &mut self.random);
            }
            let mut at = 0;
            while at < self.cluster.watches.len() {
                if self.cluster.watches[at].queue.is_empty() {
                    at += 1;
                } else {
                    self.arrive(at);
                }
            }
            for stream in self.clients.keys().copied().collect::<Vec<_>>() {
                self.read(stream, usize::MAX);
            }
            let settled = self.cluster.is_idle() && self.opening.is_empty() && self.authorizations.is_empty();
            let numbers = self.core.numbers();
            if settled && (numbers.catch_ups, numbers.lagging) == (0, 0) && self.nests().is_none() {
                return;
            }
            self.pass(20 * MS);
        }
        panic!("it does not settle: {:?}, nests: {:?}", self.core.numbers(), self.nests());
    }

    /// Two feeds of which one could serve the watchers of the other.
    pub fn nests(&self) -> Option<(&Range, &Range)> {
        let is_private = |range: &Range| self.private.iter().any(|private| private.contains(range));
        let wanted: Vec<_> = self.wanted.values().filter(|it| !is_private(&it.2)).collect();
        for (at, one) in wanted.iter().enumerate() {
            for other in &wanted[at + 1..] {
                if (&one.0, one.1) == (&other.0, other.1)
                    && (one.2.contains(&other.2) || other.2.contains(&one.2))
                {
                    return Some((&one.2, &other.2));
                }
            }
        }
        None
    }
}
