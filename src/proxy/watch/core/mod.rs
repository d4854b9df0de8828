//! What the watch hub decides, without a clock, a task or a socket.
//!
//! ```text
//!   handle_request ──> requests ──> joining: which feed? ──> Authorize, Open, Close
//!   handle_response ─> upstream ──> delivery: index, groups, ring ──> Deliver
//!                                   moving: catch-ups and narrow feeds into wider ones
//!                                   narrowing: a wide feed that nobody needs into narrow ones
//!   handle_timeout ──> timers ────> progress ──> RequestProgress, Deliver
//! ```
//!
//! Invariants:
//! - A watcher's position is the first revision that it has not been shown. It rises only when
//!   everything below was delivered, and a delivery shows whole revisions.
//! - A feed's position is the first revision that it has not received whole. It rises with events,
//!   to behind the last one of them, and with progress; never by the header of an event or of a
//!   created response, which may be ahead of what was sent.
//! - A live watcher has its feed's position. A watcher is put on a feed only where the feed's ring
//!   still has everything from the watcher's position on.
//! - A watcher's created response is the first that it gets, and its canceled one the last.

mod batch;
mod delivery;
mod feed;
mod group;
mod index;
mod interval;
mod joining;
mod message;
mod moving;
mod narrowing;
mod numbers;
mod output;
mod parting;
mod prefixes;
mod progress;
mod range;
mod requests;
mod ring;
mod standing;
mod stream;
mod table;
mod timers;
mod upstream;
mod watcher;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Instant;

use bytes::BytesMut;

pub use batch::{Batch, Event, Events, Kind};
pub use message::{Create, Filters, Header, Malformed, Request, Response};
pub use numbers::{Counts, Numbers};
pub use output::{
    Authorization, Authorize, CreateId, Delivery, EndReason, FeedId, Identity, Open, Output, Probe, StreamId,
    Upstream,
};
pub use parting::Parted;
pub use range::Range;
pub use standing::Standing;
pub use table::{FeedState, Row, Table};

use super::config::Config;
use feed::{ClassKey, Feed};
use index::Index;
use interval::Interval;
use output::WatcherId;
use prefixes::Prefixes;
use stream::Stream;
use timers::Timer;
use watcher::Watcher;

pub struct Core {
    config: Config,
    prefixes: Prefixes,
    streams: HashMap<StreamId, Stream, Spread>,
    watchers: HashMap<WatcherId, Watcher, Spread>,
    feeds: HashMap<FeedId, Feed, Spread>,
    classes: BTreeMap<ClassKey, Class>,
    creates: HashMap<CreateId, StreamId, Spread>,
    /// Watchers that a ring has something for.
    replays: VecDeque<WatcherId>,
    /// Events that were looked at for them at a time, and when it is to go on.
    replayed: usize,
    replays_due: Option<Instant>,
    /// Watchers that wait for a catch-up to end.
    held: BTreeSet<WatcherId>,
    catch_ups: usize,
    ring_bytes: usize,
    /// Cluster, member and term of the last answer; the highest revision of all.
    header: Header,
    /// Between two progress notifications of a watcher.
    interval: Interval,
    timers: BTreeSet<(Instant, Timer)>,
    outputs: VecDeque<Output>,
    /// Where heads are written.
    heads: BytesMut,
    touched: Vec<u32>,
    made: u64,
    counts: Counts,
}

/// Feeds that may be shared by the same streams.
struct Class {
    shared: Index<FeedId>,
    catch_ups: Vec<FeedId>,
    feeds: usize,
}

impl Core {
    pub fn new(config: Config) -> Self {
        let interval = Interval::new(config.progress_interval);
        Self {
            prefixes: Prefixes::new(&config.prefixes),
            config,
            streams: HashMap::default(),
            watchers: HashMap::default(),
            feeds: HashMap::default(),
            classes: BTreeMap::new(),
            creates: HashMap::default(),
            replays: VecDeque::new(),
            replayed: 0,
            replays_due: None,
            held: BTreeSet::new(),
            catch_ups: 0,
            ring_bytes: 0,
            header: Header::default(),
            interval,
            timers: BTreeSet::new(),
            outputs: VecDeque::new(),
            heads: BytesMut::new(),
            touched: Vec::new(),
            made: 0,
            counts: Counts::default(),
        }
    }

    /// A client has opened a stream.
    pub fn handle_stream(&mut self, stream: StreamId, identity: Identity) {
        self.streams.insert(stream, Stream::new(identity));
    }

    /// Whether anything is open for this identity.
    pub fn has_feeds(&self, identity: &Identity) -> bool {
        let first = ClassKey { identity: identity.clone(), prev_kv: false, private: None };
        self.classes.range(first..).next().is_some_and(|(class, _)| class.identity == *identity)
    }

    /// A client's stream is gone, its response side included. The end of its requests alone is no
    /// reason: etcd goes on then, and so does the core without being told.
    pub fn handle_stream_closed(&mut self, stream: StreamId, now: Instant) {
        self.remove_stream(stream, now);
    }

    /// The client has taken so many bytes of its deliveries.
    pub fn handle_drained(&mut self, stream: StreamId, bytes: usize, now: Instant) {
        let room = self.config.stream_bytes / 2;
        let Some(state) = self.streams.get_mut(&stream) else { return };
        state.queued = state.queued.saturating_sub(bytes);
        if state.queued > room || state.lagging.is_empty() {
            return;
        }
        for watcher in std::mem::take(&mut state.lagging) {
            self.resume(watcher, now);
        }
    }

    /// Whether another request of this stream may be read. Otherwise it is asked again when the
    /// client has taken something, or a create was authorized.
    pub fn wants_requests(&self, stream: StreamId) -> bool {
        self.streams.get(&stream).is_some_and(|state| {
            state.requests.len() < self.config.requests && state.queued < self.config.stream_bytes
        })
    }

    /// The token of this identity is not valid any longer.
    pub fn handle_identity_expired(&mut self, identity: &Identity, now: Instant) {
        self.end_identity(identity, &EndReason::IdentityExpired, now);
    }

    /// No member has a leader, which the streams of this identity asked to be told.
    pub fn handle_no_leader(&mut self, identity: &Identity, now: Instant) {
        self.end_identity(identity, &EndReason::NoLeader, now);
    }

    /// Revisions do not mean any longer what they did.
    pub fn handle_restored(&mut self, now: Instant) {
        self.end_streams(|_| true, &EndReason::Restored, now);
        self.close_feeds(|_| true, now);
        self.header = Header::default();
    }

    /// What is to be done next. To be called until there is nothing, after every call of the
    /// others: replays are worked off here, in small steps, and not too many of them at a time. What
    /// is left of them is due at once, by [`Self::poll_timeout`].
    pub fn poll_output(&mut self, now: Instant) -> Option<Output> {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return Some(output);
            }
            let is_enough = self.replayed >= self.config.replay_events;
            if is_enough || self.replays.is_empty() {
                self.replayed = 0;
                self.replays_due = is_enough.then_some(now).filter(|_| !self.replays.is_empty());
                return None;
            }
            if let Some(watcher) = self.replays.pop_front() {
                self.replay(watcher, now);
            }
        }
    }

    fn end_identity(&mut self, identity: &Identity, why: &EndReason, now: Instant) {
        self.end_streams(|stream| stream.identity == *identity, why, now);
        self.close_feeds(|feed| feed.class.identity == *identity, now);
    }

    fn end_streams(&mut self, ends: impl Fn(&Stream) -> bool, why: &EndReason, now: Instant) {
        let ending = self.streams.iter().filter(|(_, stream)| ends(stream));
        let ending: BTreeSet<StreamId> = ending.map(|(id, _)| *id).collect();
        for stream in ending {
            self.end(stream, why.clone(), now);
        }
    }

    fn close_feeds(&mut self, closes: impl Fn(&Feed) -> bool, now: Instant) {
        let closing = self.feeds.values().filter(|feed| closes(feed));
        let closing: BTreeSet<FeedId> = closing.map(|feed| feed.id).collect();
        for feed in closing {
            self.close(feed, now);
        }
    }

    fn end(&mut self, stream: StreamId, why: EndReason, now: Instant) {
        if self.remove_stream(stream, now) {
            self.outputs.push_back(Output::End { stream, why });
        }
    }

    fn make(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    /// Takes over what a header tells of the cluster.
    fn learn(&mut self, header: &Header) {
        let revision = self.header.revision.max(header.revision);
        self.header = Header { revision, ..*header };
    }
}

type Spread = BuildHasherDefault<Spreading>;

/// For numbers that are given one after the other, by us or by the driver, so that nobody can
/// choose them to collide: a multiplication is enough, and deliveries look up one stream each.
#[derive(Default)]
struct Spreading(u64);

impl Hasher for Spreading {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        let product = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product ^ product >> 32;
    }
}
