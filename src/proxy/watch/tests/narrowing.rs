//! Feeds that are wider than anybody needs.

use std::time::Duration;

use super::client::Verdict;
use super::cluster::Change;
use super::world::{MS, World};
use crate::proxy::watch::Config;
use crate::proxy::watch::core::{Create, Range, StreamId};

const AFTER: Duration = Duration::from_secs(60);

impl World {
    fn following(&mut self, key: &str, range_end: &str) -> StreamId {
        let stream = self.stream("anna");
        let (key, range_end) = (key.to_owned().into(), range_end.to_owned().into());
        self.create(stream, Create { key, range_end, ..Create::default() }, Verdict::Permitted);
        self.settle();
        stream
    }

    fn happens(&mut self, key: &str) {
        self.cluster.store.write(vec![Change { key: key.into(), deletes: false, value: 10 }]);
        self.settle();
    }

    fn count(&self, stream: StreamId) -> usize {
        self.clients[&stream].watchers.values().map(|seen| seen.events).sum()
    }

    /// What is watched at members, in order.
    fn ranges(&self) -> Vec<Range> {
        let mut ranges: Vec<Range> = self.wanted.values().map(|it| it.2.clone()).collect();
        ranges.sort();
        ranges
    }
}

fn range(key: &str, range_end: &str) -> Range {
    Range::try_new(key.as_bytes(), range_end.as_bytes()).unwrap()
}

#[test]
fn a_wide_feed_gives_way_when_who_needed_it_has_been_gone_for_a_while() {
    let mut world = World::new(Config::default(), 1);
    let narrow = [world.following("a", "b"), world.following("c", "d"), world.following("aa", "")];
    let wide = world.following("\0", "\0");
    assert_eq!(world.ranges(), [range("\0", "\0")]);
    world.close_stream(wide);
    world.pass(AFTER - MS);
    world.settle();
    assert_eq!(world.ranges(), [range("\0", "\0")], "it may come back");
    world.happens("aa");
    world.pass(MS);
    assert_eq!(world.ranges().len(), 3, "the wide one serves until the others are open");
    world.settle();
    assert_eq!(world.ranges(), [range("a", "b"), range("c", "d")]);
    for key in ["aa", "c", "b"] {
        world.happens(key);
    }
    assert_eq!(narrow.map(|stream| world.count(stream)), [2, 1, 2]);
    assert_eq!((world.core.numbers().counts.splits, world.ends.len()), (1, 0));
}

#[test]
fn a_wide_feed_stays_when_somebody_comes_who_needs_it_while_it_gives_way() {
    let mut world = World::new(Config::default(), 1);
    let narrow = world.following("a", "b");
    let wide = world.following("\0", "\0");
    world.close_stream(wide);
    world.pass(AFTER);
    assert_eq!(world.ranges().len(), 2);
    let wide = world.following("\0", "\0");
    assert_eq!(world.ranges(), [range("\0", "\0")]);
    world.happens("a");
    assert_eq!((world.count(narrow), world.count(wide)), (1, 1));
    // As wide as it is needed now.
    world.close_stream(wide);
    let wider = world.following("a", "z");
    world.pass(AFTER);
    world.settle();
    assert_eq!(world.ranges(), [range("a", "z")]);
    world.happens("a");
    assert_eq!((world.count(narrow), world.count(wider)), (2, 1));
}

#[test]
fn a_wide_feed_stays_where_a_crowd_of_narrow_ones_would_take_its_place() {
    let mut world = World::new(Config::default(), 1);
    let crowd: Vec<StreamId> = (0..65).map(|key| world.following(&format!("key/{key}"), "")).collect();
    let wide = world.following("key/", "key0");
    world.close_stream(wide);
    world.pass(AFTER);
    world.settle();
    assert_eq!(world.ranges(), [range("key/", "key0")]);
    world.close_stream(crowd[0]);
    world.pass(AFTER);
    world.settle();
    assert_eq!(world.ranges().len(), 64);
}
