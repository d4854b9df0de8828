//! What operators configure below a prefix: watches that share nothing, and feeds that stand.

use super::client::Verdict;
use super::cluster::Change;
use super::world::{MS, World};
use crate::proxy::watch::Config;
use crate::proxy::watch::config::Prefix;
use crate::proxy::watch::core::{Create, FeedState, Identity, Range, Response, Standing, StreamId};

impl World {
    /// Whether the standing feed of anna had to be opened.
    pub fn stand(&mut self, prefix: &str, prev_kv: bool) -> bool {
        let range = Range::of_prefix(prefix.as_bytes());
        let standing = Standing { identity: Identity("anna".into()), range, prev_kv };
        let wants = self.core.wants_standing(&standing);
        if wants {
            let member = self.random.usize(..3);
            let header = self.cluster.header(member);
            self.core.handle_standing(&standing, &header, self.now);
        }
        self.poll();
        wants
    }

    fn separating(prefix: &str) -> Self {
        let prefixes = vec![Prefix { coalesce: false, ..Prefix::of(prefix.as_bytes()) }];
        Self::new(Config { prefixes, ..Config::default() }, 1)
    }

    fn begin(&mut self, key: &'static str, range_end: &'static str, start_revision: i64) -> StreamId {
        let stream = self.stream("anna");
        let create =
            Create { key: key.into(), range_end: range_end.into(), start_revision, ..Create::default() };
        self.create(stream, create, Verdict::Permitted);
        self.settle();
        stream
    }

    fn write(&mut self, key: &str) {
        self.cluster.store.write(vec![Change { key: key.into(), deletes: false, value: 10 }]);
    }

    /// More than may wait for one client, all of it delivered.
    fn flood(&mut self) {
        let value = Config::default().stream_bytes;
        for _ in 0..3 {
            self.cluster.store.write(vec![Change { key: "a".into(), deletes: false, value }]);
        }
        for member in 0..3 {
            while self.cluster.applied[member] < self.cluster.store.revision() {
                self.cluster.apply(member, &mut self.random);
            }
        }
        for at in 0..self.cluster.watches.len() {
            while self.cluster.watches.get(at).is_some_and(|watch| !watch.queue.is_empty()) {
                self.arrive(at);
            }
        }
    }

    fn seen(&self, stream: StreamId) -> usize {
        self.clients[&stream].watchers.values().map(|seen| seen.events).sum()
    }
}

#[test]
fn equal_watches_below_a_prefix_that_shares_nothing_are_two() {
    let mut world = World::separating("a");
    let private = [world.begin("ab", "", 0), world.begin("ab", "", 0)];
    assert_eq!(world.wanted.len(), 2);
    let shared = [world.begin("0", "z", 0), world.begin("a", "z", 0), world.begin("b", "", 0)];
    assert_eq!(world.wanted.len(), 3, "a wider one does not take them over");
    world.write("ab");
    world.settle();
    assert!(private.iter().chain(&shared[..2]).all(|stream| world.seen(*stream) == 1));
    world.close_stream(private[0]);
    assert_eq!(world.wanted.len(), 2, "nobody else would come for it");
}

#[test]
fn a_private_watch_from_the_past_sees_it_and_resumes() {
    let mut world = World::separating("");
    for _ in 0..2000 {
        world.write("a");
    }
    world.settle();
    let stream = world.begin("a", "", 10);
    assert_eq!((world.seen(stream), world.core.numbers().counts.catch_ups_opened), (1992, 0));
    world.lose(0);
    world.write("a");
    world.settle();
    assert_eq!((world.seen(stream), world.core.numbers().ring_bytes), (1993, 0));
    world.request_progress(stream);
    world.pass(60 * MS);
    world.settle();
    assert_eq!(world.clients[&stream].progress, Some(world.cluster.store.revision()));
}

#[test]
fn a_private_watch_that_is_not_read_goes_on_where_it_was() {
    let mut world = World::separating("a");
    let stream = world.begin("a", "", 0);
    world.flood();
    let numbers = world.core.numbers();
    assert_eq!((numbers.lagging, numbers.feeds), (1, 0));
    world.settle();
    assert_eq!((world.seen(stream), world.core.numbers().feeds), (3, 1));
}

#[test]
fn a_watch_is_behind_while_its_client_does_not_read_and_not_because_its_keys_do_not_change() {
    let mut world = World::separating("x");
    let [slow, idle] = [world.begin("a", "", 0), world.begin("b", "", 0)];
    world.pass(100 * MS);
    let revision = world.cluster.store.revision();
    world.flood();
    let since = world.now;
    for _ in 0..50 {
        world.write("b");
    }
    world.pass(7_000 * MS);
    let numbers = world.core.numbers();
    assert_eq!((numbers.lagging, numbers.behind_since), (1, Some(since)));
    assert!((1..=3).contains(&numbers.lag_revisions), "{numbers:?} after {revision}");
    // It reads a little and is full again: that is no beginning.
    world.read(slow, 1);
    world.pass(1_000 * MS);
    assert_eq!(world.core.numbers().behind_since, Some(since));
    world.settle();
    let numbers = world.core.numbers();
    assert_eq!((numbers.lag_revisions, numbers.behind_since), (0, None));
    assert_eq!((world.seen(slow), world.seen(idle)), (3, 50));
}

#[test]
fn a_watch_is_behind_while_no_member_has_its_feed() {
    let mut world = World::separating("x");
    world.begin("a", "", 0);
    assert_eq!(world.core.numbers().behind_since, None);
    let since = world.now;
    world.lose(0);
    world.pass(1_000 * MS);
    let upstream = *world.wanted.keys().next().unwrap();
    world.opening.clear();
    world.wanted.clear();
    world.core.handle_lost(upstream, world.now);
    world.poll();
    assert_eq!(world.core.numbers().behind_since, Some(since), "the second loss is no beginning");
    world.settle();
    assert_eq!(world.core.numbers().behind_since, None);
}

#[test]
fn what_one_watch_would_not_have_been_sent_is_saved() {
    let mut world = World::separating("x");
    world.begin("a", "", 0);
    world.write("a");
    world.settle();
    let alone = world.core.numbers();
    let [_, late] = [world.begin("a", "", 0), world.begin("a", "", 2)];
    assert_eq!(world.seen(late), 1);
    let late = world.core.numbers();
    assert!(late.counts.bytes_saved >= alone.counts.bytes_saved + alone.counts.bytes_in, "{late:?}");
    world.write("a");
    world.settle();
    let three = world.core.numbers();
    assert_eq!(three.counts.bytes_in - late.counts.bytes_in, late.counts.bytes_in);
    assert!(three.counts.bytes_saved >= late.counts.bytes_saved + 2 * alone.counts.bytes_in, "{three:?}");
}

#[test]
fn a_standing_feed_needs_nobody_and_serves_who_comes_late() {
    let mut world = World::separating("x");
    assert!(world.stand("a", false));
    assert!(!world.stand("a", false));
    world.settle();
    for _ in 0..5 {
        world.write("ab");
    }
    world.settle();
    world.requested.clear();
    world.pass(3_600_000 * MS);
    assert_eq!((world.wanted.len(), world.core.numbers().counts.feeds_opened), (1, 1));
    assert_eq!(world.requested.len(), 1, "its position stays fresh");
    let stream = world.begin("ab", "", 2);
    assert_eq!((world.seen(stream), world.core.numbers().counts.feeds_opened), (5, 1));
    world.close_stream(stream);
    world.pass(60_000 * MS);
    assert_eq!(world.wanted.len(), 1);
}

#[test]
fn a_standing_feed_goes_on_at_another_member_with_what_it_remembers() {
    let mut world = World::separating("x");
    world.stand("a", false);
    world.settle();
    world.write("a");
    world.settle();
    world.lose(0);
    world.write("a");
    world.settle();
    assert_eq!(world.wanted.len(), 1);
    let stream = world.begin("a", "", 2);
    assert_eq!((world.seen(stream), world.core.numbers().counts.feeds_opened), (2, 1));
}

#[test]
fn a_standing_feed_that_ends_is_to_be_opened_again() {
    let mut world = World::separating("x");
    world.stand("a", true);
    world.settle();
    world.core.handle_restored(world.now);
    world.poll();
    assert!(world.wanted.is_empty());
    assert!(world.stand("a", true));
    world.core.handle_identity_expired(&Identity("anna".into()), world.now);
    world.poll();
    assert!(world.stand("a", true));
    let upstream = *world.wanted.keys().next().unwrap();
    let refused = crate::proto::etcdserverpb::WatchResponse {
        watch_id: -1,
        created: true,
        canceled: true,
        ..Default::default()
    };
    let refused = Response::read(&prost::Message::encode_to_vec(&refused).into()).unwrap();
    world.core.handle_response(upstream, refused, world.now);
    assert_eq!(world.core.numbers().feeds, 0, "the driver decides when");
}

#[test]
fn a_standing_feed_outlives_a_compaction_that_overtakes_it() {
    let mut world = World::separating("x");
    world.stand("a", false);
    for _ in 0..10 {
        world.write("a");
    }
    world.cluster.store.compacted = 8;
    world.settle();
    assert_eq!((world.wanted.len(), world.core.numbers().counts.feeds_opened), (1, 1));
    let stream = world.begin("a", "", 9);
    assert_eq!((world.seen(stream), world.core.numbers().counts.feeds_opened), (3, 1));
}

#[test]
fn a_wider_feed_stands_in_as_long_as_it_is_there() {
    let mut world = World::separating("x");
    world.stand("a", false);
    world.settle();
    let wide = world.begin("", "\0", 0);
    assert_eq!(world.wanted.len(), 1);
    assert!(!world.stand("a", false));
    world.close_stream(wide);
    world.pass(11_000 * MS);
    assert!(world.wanted.is_empty());
    assert!(world.stand("a", false));
}

#[test]
fn a_feed_of_the_same_range_becomes_the_standing_one() {
    let mut world = World::separating("x");
    let stream = world.begin("a", "b", 0);
    assert!(!world.stand("a", false));
    assert!(world.stand("a", true), "another class");
    world.close_stream(stream);
    world.pass(60_000 * MS);
    assert_eq!(world.wanted.len(), 2);
}

#[test]
fn the_table_tells_of_each_feed_what_it_is_and_does() {
    let mut world = World::separating("x");
    assert!(world.core.table(10).rows.is_empty());
    world.stand("c", true);
    for (key, end) in [("b", ""), ("a", "b"), ("a", "b"), ("x", "")] {
        world.begin(key, end, 0);
    }
    world.write("a");
    world.write("c");
    world.settle();
    let late = world.begin("a", "", 2);
    assert_eq!(world.seen(late), 1);
    let table = world.core.table(10);
    assert_eq!((table.numbers, table.truncated), (world.core.numbers(), 0));
    let rows = table.rows.iter().map(|row| {
        let flags = [row.prev_kv, row.private, row.standing];
        let (key, _) = row.range.wire();
        (key, row.watchers, flags, row.state, [row.events_in, row.events_out])
    });
    let created = FeedState::Created;
    let expected = [
        ("a".into(), 3, [false, false, false], created, [1, 3]),
        ("b".into(), 1, [false, false, false], created, [0, 0]),
        ("x".into(), 1, [false, true, false], created, [0, 0]),
        ("c".into(), 0, [true, false, true], created, [1, 0]),
    ];
    assert_eq!(rows.collect::<Vec<_>>(), expected);
    assert!(table.rows[0].ring_bytes > 0 && table.rows[0].position > 2 && table.rows[0].ring_floor == 2);
    let short = world.core.table(1);
    assert_eq!((short.rows.len(), short.rows[0].watchers, short.truncated), (1, 3, 3));
    assert_eq!((world.core.table(0).rows.len(), world.core.table(0).truncated), (0, 4));
}

#[test]
fn the_table_tells_whose_watchers_are_behind_and_what_is_not_open() {
    let mut world = World::separating("x");
    let slow = world.begin("a", "", 0);
    world.begin("a", "b", 0);
    world.flood();
    let row = world.core.table(10).rows.remove(0);
    assert_eq!((row.watchers, row.lagging), (0, 2), "both are full");
    world.settle();
    let row = world.core.table(10).rows.remove(0);
    assert_eq!((row.watchers, row.lagging, world.seen(slow)), (2, 0, 3));
    world.lose(0);
    assert_eq!(world.core.table(10).rows[0].state, FeedState::Opening);
    for _ in 0..2000 {
        world.write("b");
    }
    world.settle();
    let stream = world.stream("berta");
    let early = Create { key: "b".into(), start_revision: 2, ..Create::default() };
    world.create(stream, early, Verdict::Permitted);
    world.authorize(0);
    assert!(world.core.table(10).rows.iter().any(|row| row.state == FeedState::CatchUp));
}
