//! Days in the life of a hub, told step by step.

use prost::Message;

use super::client::Verdict;
use super::cluster::Change;
use super::world::{MS, World};
use crate::proto::etcdserverpb::WatchResponse;
use crate::proxy::watch::Config;
use crate::proxy::watch::core::{Authorization, Create, EndReason, Header, Output, Request, StreamId};

fn create(key: &'static str, range_end: &'static str, start_revision: i64) -> Create {
    Create { key: key.into(), range_end: range_end.into(), start_revision, ..Create::default() }
}

impl World {
    fn quiet() -> Self {
        Self::new(Config::default(), 1)
    }

    fn put(&mut self, key: &str) {
        let key = key.as_bytes().to_vec();
        self.cluster.store.write(vec![Change { key, deletes: false, value: 10 }]);
    }

    fn watch(&mut self, stream: StreamId, create: Create) {
        self.create(stream, create, Verdict::Permitted);
    }

    /// A stream with one watcher that is there and has caught up.
    fn watching(&mut self, identity: &'static str, create: Create) -> StreamId {
        let stream = self.stream(identity);
        self.watch(stream, create);
        self.settle();
        stream
    }

    /// Responses that wait for a client, not read.
    fn unread(&self, stream: StreamId) -> Vec<WatchResponse> {
        let frames = self.clients[&stream].unread.iter();
        frames.map(|(frame, _)| WatchResponse::decode(&frame[5..]).unwrap()).collect()
    }

    fn events(&self, stream: StreamId) -> usize {
        self.clients[&stream].watchers.values().map(|seen| seen.events).sum()
    }

    fn apply_all(&mut self) {
        for member in 0..3 {
            while self.cluster.applied[member] < self.cluster.store.revision() {
                self.cluster.apply(member, &mut self.random);
            }
        }
    }

    fn arrive_all(&mut self) {
        for at in 0..self.cluster.watches.len() {
            while self.cluster.watches.get(at).is_some_and(|watch| !watch.queue.is_empty()) {
                self.arrive(at);
            }
        }
    }
}

#[test]
fn a_watch_from_now_begins_behind_what_its_node_has_seen() {
    let mut world = World::quiet();
    for _ in 0..9 {
        world.put("a");
    }
    // The members that are asked do not know it all yet.
    world.watermark = 9;
    let stream = world.stream("anna");
    world.watch(stream, create("a", "", 0));
    assert!(world.opening.is_empty(), "nothing is opened before it is permitted");
    world.authorize(0);
    assert_eq!(world.opening[0].start_revision, 10);
    let [created] = &world.unread(stream)[..] else { panic!("one response") };
    assert!(created.created);
    let header = created.header.unwrap();
    assert_eq!((header.revision, header.cluster_id, header.raft_term), (9, 7, 2));
    world.settle();
    assert_eq!(world.events(stream), 1, "the one behind it");
}

#[test]
fn created_responses_leave_in_the_order_of_the_creates() {
    let mut world = World::quiet();
    let stream = world.stream("anna");
    for key in ["a", "b", "c"] {
        world.watch(stream, create(key, "", 0));
    }
    world.cancel(stream, 1);
    world.authorize(2);
    world.authorize(1);
    assert!(world.unread(stream).is_empty());
    world.authorize(0);
    let seen: Vec<_> = world.unread(stream).iter().map(|it| (it.watch_id, it.created, it.canceled)).collect();
    assert_eq!(seen, [(0, true, false), (1, true, false), (2, true, false), (1, false, true)]);
}

#[test]
fn watchers_of_one_range_and_inside_it_share_one_upstream_watch() {
    let mut world = World::quiet();
    let all: Vec<StreamId> = (0..20).map(|_| world.watching("anna", create("a", "c", 0))).collect();
    let inside = world.watching("anna", create("b", "", 0));
    assert_eq!(world.wanted.len(), 1);
    world.watching("berta", create("a", "c", 0));
    assert_eq!(world.wanted.len(), 2, "another identity shares nothing");
    world.watching("anna", Create { prev_kv: true, ..create("a", "c", 0) });
    assert_eq!(world.wanted.len(), 3, "nor does another need for previous values");
    world.watching("anna", create("b", "d", 0));
    assert_eq!(world.wanted.len(), 4, "nor a range that only overlaps");
    world.put("a");
    world.put("b");
    world.settle();
    assert!(all.iter().all(|stream| world.events(*stream) == 2));
    assert_eq!(world.events(inside), 1);
}

#[test]
fn a_wider_feed_takes_over_when_it_is_open_and_not_before() {
    let mut world = World::quiet();
    let narrow = world.watching("anna", create("b", "", 0));
    let wide = world.stream("anna");
    world.watch(wide, create("a", "c", 0));
    world.authorize(0);
    world.pass(5_000 * MS);
    assert_eq!(world.wanted.len(), 2);
    world.put("b");
    world.settle();
    assert_eq!(world.wanted.len(), 1);
    assert_eq!(world.core.numbers().counts.merges, 1);
    world.put("b");
    world.settle();
    assert_eq!((world.events(narrow), world.events(wide)), (2, 2));
}

#[test]
fn nested_ranges_end_up_on_one_feed() {
    let mut world = World::quiet();
    for end in b'b'..b'z' {
        let stream = world.stream("anna");
        world.watch(stream, Create { range_end: vec![end].into(), ..create("a", "", 0) });
        world.settle();
    }
    assert_eq!((world.wanted.len(), world.core.numbers().watchers), (1, 24));
}

#[test]
fn a_feed_goes_on_from_the_last_event_and_not_from_a_header() {
    let mut world = World::quiet();
    for _ in 0..8 {
        world.put("a");
    }
    world.apply_all();
    let stream = world.stream("anna");
    world.watch(stream, create("a", "", 2));
    world.authorize(0);
    world.open(0);
    // Revisions 2 to 4, in a response whose header says 9.
    world.cluster.sync(0, &mut fastrand::Rng::with_seed(0));
    world.arrive_all();
    world.lose(0);
    assert_eq!((world.opening[0].start_revision, world.opening[0].resumes), (5, true));
    world.settle();
    assert_eq!(world.events(stream), 8);
    assert_eq!(world.core.numbers().counts.resumes, 1);
}

#[test]
fn a_late_joiner_is_served_from_the_ring() {
    let mut world = World::quiet();
    world.watching("anna", create("a", "c", 0));
    for key in ["a", "b", "b", "a"] {
        world.put(key);
    }
    world.settle();
    let late = world.stream("anna");
    world.watch(late, create("b", "", 2));
    world.authorize(0);
    assert!(world.opening.is_empty(), "the ring has it all");
    let [_, replayed] = &world.unread(late)[..] else { panic!("created and a replay") };
    assert_eq!((replayed.events.len(), replayed.header.unwrap().revision), (2, 4));
}

#[test]
fn what_the_ring_has_forgotten_is_caught_up_with_and_merged() {
    let mut world = World::new(Config { ring_bytes: 400, lag_revisions: 0, ..Config::default() }, 1);
    for _ in 0..5 {
        world.put("a");
    }
    world.settle();
    let first = world.watching("anna", create("a", "", 0));
    for _ in 0..20 {
        world.put("a");
    }
    world.settle();
    let late = world.stream("anna");
    world.watch(late, create("a", "", 2));
    world.authorize(0);
    assert!(world.opening[0].alone, "it must not keep others from their progress");
    assert_eq!((world.opening[0].start_revision, world.core.numbers().catch_ups), (2, 1));
    world.settle();
    assert_eq!((world.events(first), world.events(late)), (20, 25));
    assert_eq!((world.wanted.len(), world.core.numbers().counts.merges), (1, 1));
}

#[test]
fn an_old_start_that_nobody_shares_becomes_a_feed_when_it_has_caught_up() {
    let mut world = World::new(Config { lag_revisions: 0, ..Config::default() }, 1);
    for _ in 0..30 {
        world.put("a");
    }
    world.settle();
    let stream = world.watching("anna", create("a", "", 2));
    assert_eq!(world.events(stream), 30);
    world.watching("anna", create("a", "", 0));
    let numbers = world.core.numbers();
    assert_eq!((world.wanted.len(), numbers.catch_ups, numbers.counts.feeds_opened), (1, 0, 1));
}

#[test]
fn a_slow_reader_waits_alone_and_misses_nothing() {
    let mut world = World::new(Config { stream_bytes: 1000, ..Config::default() }, 1);
    let slow = world.watching("anna", create("a", "", 0));
    let fast = world.watching("anna", create("a", "", 0));
    for _ in 0..200 {
        world.put("a");
        world.apply_all();
        world.arrive_all();
        world.read(fast, 9);
    }
    assert_eq!(world.events(fast), 200);
    let numbers = world.core.numbers();
    assert_eq!((numbers.lagging, numbers.counts.lags), (1, 1));
    assert!(numbers.queued_bytes < 1100, "{numbers:?}");
    assert!(!world.core.wants_requests(slow));
    world.settle();
    assert_eq!(world.events(slow), 200);
    assert_eq!(world.wanted.len(), 1);
}

#[test]
fn a_compaction_cancels_exactly_those_who_lost_something() {
    let mut world = World::new(Config { stream_bytes: 300, ..Config::default() }, 1);
    let kept = world.watching("anna", create("a", "", 0));
    let slow = world.watching("anna", create("a", "", 0));
    let coming = world.watching("anna", create("a", "", 40));
    for _ in 0..20 {
        world.put("a");
        world.apply_all();
        world.arrive_all();
        world.read(kept, 9);
    }
    // What the slow one lacks is in the ring.
    world.cluster.store.compacted = 21;
    world.settle();
    assert_eq!((world.events(kept), world.events(slow)), (20, 20));
    // While the feed is away, what it lacks is compacted.
    world.lose(0);
    for _ in 0..10 {
        world.put("a");
    }
    world.cluster.store.compacted = 25;
    world.apply_all();
    world.settle();
    assert_eq!(world.clients[&kept].cancels, [(0, 25)]);
    assert_eq!(world.clients[&slow].cancels, [(0, 25)]);
    assert_eq!(world.clients[&coming].cancels, []);
    for _ in 0..10 {
        world.put("a");
    }
    world.settle();
    assert_eq!(world.events(coming), 2);
    // A compacted watcher's id is in use until its client cancels it.
    world.watch(kept, Create { watch_id: 7, ..create("a", "", 3) });
    world.settle();
    assert_eq!(world.clients[&kept].cancels, [(0, 25), (7, 25)]);
    world.cancel(kept, 7);
    world.settle();
    assert!(world.clients[&kept].is_answered());
}

#[test]
fn progress_is_asked_for_on_a_stream_of_its_own_and_not_too_often() {
    let mut world = World::quiet();
    let stream = world.watching("anna", create("a", "", 0));
    let other = world.watching("anna", create("a", "", 0));
    world.put("b");
    world.apply_all();
    world.request_progress(stream);
    world.pass(50 * MS);
    assert!(world.opening.is_empty(), "not from an old position");
    world.arrive_all();
    assert!(world.opening[0].alone);
    assert_eq!((world.wanted.len(), world.opening[0].start_revision), (2, 3));
    world.settle();
    assert_eq!((world.clients[&stream].progress, world.clients[&other].progress), (Some(2), None));
    world.put("b");
    world.settle();
    world.requested.clear();
    for _ in 0..100 {
        world.request_progress(stream);
        world.request_progress(other);
        world.pass(5 * MS);
        world.arrive_all();
    }
    assert!((5..=11).contains(&world.requested.len()), "{} in 500 ms", world.requested.len());
    world.settle();
    let present = Some(world.cluster.store.revision());
    assert_eq!((world.clients[&stream].progress, world.clients[&other].progress), (present, present));
}

#[test]
fn a_request_for_progress_costs_an_idle_watcher_nothing() {
    let mut world = World::quiet();
    let stream = world.watching("anna", create("a", "", 0));
    for _ in 0..20 {
        world.put("b");
    }
    world.apply_all();
    // The feed has heard of none of them.
    world.cluster.store.compacted = 20;
    world.request_progress(stream);
    world.pass(50 * MS);
    world.settle();
    assert_eq!((world.clients[&stream].progress, world.clients[&stream].cancels.len()), (Some(21), 0));
}

#[test]
fn a_watch_to_come_keeps_progress_back_as_with_etcd() {
    let mut world = World::quiet();
    let stream = world.watching("anna", create("a", "", 0));
    world.watch(stream, create("b", "", 4));
    world.settle();
    let ask = |world: &mut World| {
        world.request_progress(stream);
        world.settle();
        world.pass(500 * MS);
        world.settle();
        world.clients[&stream].progress
    };
    assert_eq!(ask(&mut world), None);
    for _ in 0..3 {
        world.put("c");
    }
    world.settle();
    assert_eq!(ask(&mut world), Some(4));
    let nobody = world.stream("anna");
    world.request_progress(nobody);
    world.settle();
    assert_eq!(world.clients[&nobody].progress, None);
}

#[test]
fn periodic_progress_comes_as_often_as_from_the_member() {
    let mut world = World::quiet();
    let told = world.watching("anna", Create { progress_notify: true, ..create("a", "", 0) });
    let untold = world.watching("anna", create("a", "", 0));
    let notified = |world: &World| world.unread(told).len();
    world.pass(300_000 * MS);
    assert_eq!(notified(&world), 0);
    world.pass(400_000 * MS);
    assert_eq!(notified(&world), 1);
    for _ in 0..3 {
        world.pass(5_000 * MS);
        world.cluster.notify(0);
        world.arrive_all();
    }
    let before = notified(&world);
    for _ in 0..20 {
        world.pass(1_000 * MS);
    }
    let times = notified(&world) - before;
    assert!((3..=4).contains(&times), "each 5 s, {times} times");
    assert!(world.unread(untold).is_empty());
    let late = world.stream("anna");
    world.watch(late, Create { progress_notify: true, ..create("b", "", 0) });
    world.authorize(0);
    world.open(0);
    world.arrive_all();
    assert!(world.opening.is_empty(), "the interval is known");
}

#[test]
fn a_feed_is_listened_to_as_soon_as_somebody_wants_its_progress() {
    let mut world = World::quiet();
    world.watching("anna", create("a", "", 0));
    assert_eq!(world.wanted.len(), 1);
    let late = world.stream("anna");
    world.watch(late, Create { progress_notify: true, ..create("a", "", 0) });
    world.authorize(0);
    assert_eq!((world.wanted.len(), world.opening[0].start_revision), (2, 1));
    world.open(0);
    world.cluster.sync(1, &mut fastrand::Rng::with_seed(1));
    world.cluster.notify(0);
    assert!(world.cluster.watches[0].queue.is_empty(), "of what is to come nothing is told");
    world.cluster.notify(1);
    world.arrive_all();
    assert_eq!((world.wanted.len(), world.core.numbers().counts.feeds_opened), (1, 2));
    assert_eq!(world.cluster.store.revision(), 1, "nothing was written");
}

#[test]
fn a_feed_that_begins_early_brings_nothing_twice_and_outlives_a_compaction() {
    let mut world = World::quiet();
    for _ in 0..3 {
        world.put("a");
    }
    world.apply_all();
    let stream = world.stream("anna");
    world.watch(stream, Create { progress_notify: true, ..create("a", "", 0) });
    world.authorize(0);
    assert_eq!(world.opening[0].start_revision, 5, "nobody waits for what is told of progress");
    world.open(0);
    world.arrive(0);
    assert_eq!((world.wanted.len(), world.opening[0].start_revision), (2, 4));
    world.open(0);
    world.arrive(1);
    // Before the member has looked for its first revision, that is compacted.
    world.put("a");
    world.apply_all();
    world.cluster.store.compacted = 5;
    world.cluster.sync(1, &mut fastrand::Rng::with_seed(1));
    world.arrive(1);
    assert_eq!((world.wanted.len(), world.opening[0].start_revision), (2, 5));
    world.settle();
    assert_eq!((world.events(stream), world.clients[&stream].cancels.len()), (1, 0));
    assert_eq!(world.wanted.len(), 1);
    world.lose(0);
    assert_eq!(world.opening[0].start_revision, 5, "the event that has come, again");
    world.put("a");
    world.settle();
    assert_eq!(world.events(stream), 2);
}

#[test]
fn an_idle_feed_lingers_and_is_kept_fresh() {
    let mut world = World::quiet();
    let stream = world.watching("anna", create("a", "", 0));
    world.requested.clear();
    world.pass(61_000 * MS);
    assert_eq!(world.requested.len(), 1, "or a compaction would overtake its position");
    world.close_stream(stream);
    world.pass(9_000 * MS);
    assert_eq!(world.wanted.len(), 1);
    let again = world.watching("anna", create("a", "", 0));
    world.pass(11_000 * MS);
    assert_eq!(world.core.numbers().counts.feeds_opened, 1);
    world.close_stream(again);
    world.pass(11_000 * MS);
    assert!(world.wanted.is_empty());
}

#[test]
fn a_restored_cluster_and_an_expired_token_end_streams_for_clients_to_reopen() {
    let mut world = World::quiet();
    let [anna, berta] = ["anna", "berta"].map(|name| world.watching(name, create("a", "", 0)));
    let identity = world.identities[&berta].clone();
    world.core.handle_identity_expired(&identity, world.now);
    world.poll();
    assert_eq!(world.ends, [(berta, EndReason::IdentityExpired)]);
    assert_eq!(world.wanted.len(), 1);
    world.core.handle_restored(world.now);
    world.poll();
    assert_eq!(world.ends[1..], [(anna, EndReason::Restored)]);
    assert!(world.wanted.is_empty());
    // What is told of it later is not for anybody.
    world.arrive_stale();
    assert_eq!(world.core.numbers().feeds, 0);
}

#[test]
fn a_feed_that_a_member_refuses_ends_its_streams() {
    let mut world = World::quiet();
    let stream = world.watching("anna", create("a", "", 0));
    let upstream = *world.wanted.keys().next().unwrap();
    let message = WatchResponse {
        watch_id: -1,
        created: true,
        canceled: true,
        cancel_reason: "rpc error: code = PermissionDenied desc = etcdserver: permission denied".into(),
        ..Default::default()
    };
    let response = crate::proxy::watch::core::Response::read(&message.encode_to_vec().into()).unwrap();
    world.core.handle_response(upstream, response, world.now);
    world.poll();
    let reason = EndReason::UpstreamCanceled(message.cancel_reason);
    assert_eq!(world.ends, [(stream, reason)]);
    assert!(world.wanted.is_empty());
}

#[test]
fn a_create_that_nobody_can_authorize_ends_its_stream() {
    let mut world = World::quiet();
    let stream = world.stream("anna");
    world.watch(stream, create("a", "", 0));
    let (authorize, _) = world.authorizations.remove(0);
    world.core.handle_authorized(authorize.create, Authorization::Failed, 0, world.now);
    world.poll();
    assert_eq!(world.ends, [(stream, EndReason::AuthorizationFailed)]);
    let late = Authorization::Permitted { header: Header::default() };
    world.core.handle_authorized(authorize.create, late, 0, world.now);
    assert!(world.core.poll_output(world.now).is_none());
}

#[test]
fn what_is_asked_about_is_what_the_client_sent() {
    let mut world = World::quiet();
    let stream = world.stream("anna");
    let asked = |world: &mut World, create: Create| {
        world.core.handle_request(stream, Request::Create(create), world.now);
        let Some(Output::Authorize(authorize)) = world.core.poll_output(world.now) else {
            panic!("a question")
        };
        authorize.range.map(|probe| (probe.key, probe.range_end))
    };
    assert_eq!(asked(&mut world, create("", "", 0)), Some(("\0".into(), "".into())));
    assert_eq!(asked(&mut world, create("b", "\0", 0)), Some(("b".into(), "\0".into())));
    assert_eq!(asked(&mut world, create("b", "a", 0)), Some(("b".into(), "a".into())));
    assert_eq!(asked(&mut world, create("b", "c", -1)), None, "refused whoever asks");
}

#[test]
fn a_revision_in_fragments_is_whole_or_not_there() {
    let mut world = World::quiet();
    let stream = world.watching("anna", create("a", "z", 0));
    let keys = ["b", "c", "d", "e"].map(|key| Change { key: key.into(), deletes: false, value: 10 });
    // The cluster cuts where it likes; some of these come in several fragments.
    for _ in 0..20 {
        world.cluster.store.write(keys.to_vec());
        world.apply_all();
        if world.cluster.watches.is_empty() {
            world.open(0);
        }
        world.cluster.sync(0, &mut fastrand::Rng::with_seed(3));
        world.arrive(0);
        world.lose(0);
        for response in world.unread(stream).iter().filter(|response| !response.events.is_empty()) {
            assert_eq!(response.events.len() % 4, 0);
        }
    }
    world.settle();
    assert_eq!(world.events(stream), 80);
}
