//! No watcher leaves a watch that lives for one whose start may have been compacted.

use std::time::Duration;

use prost::Message;

use super::client::Verdict;
use super::cluster::Change;
use super::world::{MS, World};
use crate::proto::etcdserverpb::WatchResponse;
use crate::proxy::watch::Config;
use crate::proxy::watch::core::{Create, StreamId};

impl World {
    fn opened(&mut self, key: &'static str, range_end: &'static str, start_revision: i64) -> StreamId {
        let stream = self.stream("anna");
        let create =
            Create { key: key.into(), range_end: range_end.into(), start_revision, ..Create::default() };
        self.create(stream, create, Verdict::Permitted);
        stream
    }

    fn put_all(&mut self, key: &str, times: usize) {
        for _ in 0..times {
            self.cluster.store.write(vec![Change { key: key.into(), deletes: false, value: 10 }]);
        }
        for member in 0..3 {
            while self.cluster.applied[member] < self.cluster.store.revision() {
                self.cluster.apply(member, &mut self.random);
            }
        }
    }

    /// A member that never tells progress.
    fn arrive_but_progress(&mut self, at: usize) {
        while let Some(watch) = self.cluster.watches.get_mut(at) {
            let Some(message) = watch.queue.front() else { return };
            let response = WatchResponse::decode(&message[..]).unwrap();
            if response.created || response.canceled || !response.events.is_empty() {
                self.arrive(at);
            } else {
                watch.queue.pop_front();
            }
        }
    }

    fn shown(&self, stream: StreamId) -> usize {
        self.clients[&stream].watchers.values().map(|seen| seen.events).sum()
    }
}

/// A watcher of a key that nobody writes, and a compaction beyond all that it knows.
fn behind_a_compaction() -> (World, StreamId) {
    let mut world = World::new(Config::default(), 1);
    let idle = world.opened("a", "b", 0);
    world.settle();
    world.put_all("z", 40);
    world.cluster.store.compacted = world.cluster.store.revision() - 5;
    (world, idle)
}

#[test]
fn the_bad_start_of_one_ends_nobody_elses_watch() {
    let (mut world, idle) = behind_a_compaction();
    let late = world.opened("\0", "\0", 2);
    world.settle();
    assert_eq!(world.clients[&late].cancels.len(), 1, "its start was compacted");
    world.put_all("a", 1);
    world.settle();
    assert_eq!((world.clients[&idle].cancels.len(), world.shown(idle)), (0, 1));
}

#[test]
fn a_wide_feed_that_knows_too_little_to_be_split_stays() {
    let mut world = World::new(Config::default(), 1);
    let narrow = [world.opened("a", "b", 0), world.opened("c", "d", 0)];
    world.settle();
    let wide = world.opened("a", "x", 0);
    world.settle();
    world.close_stream(wide);
    world.put_all("z", 40);
    world.cluster.store.compacted = world.cluster.store.revision() - 5;
    // Its request for progress is on its way when its time comes.
    world.pass(Duration::from_secs(60));
    while !world.opening.is_empty() {
        world.open(0);
    }
    for watch in (0..world.cluster.watches.len()).rev() {
        world.arrive(watch);
    }
    world.settle();
    world.put_all("a", 1);
    world.put_all("c", 1);
    world.settle();
    assert_eq!(narrow.map(|stream| (world.clients[&stream].cancels.len(), world.shown(stream))), [(0, 1); 2]);
}

#[test]
fn a_watch_whose_member_is_not_well_moves_without_a_gap() {
    let mut world = World::new(Config::default(), 1);
    let stream = world.opened("a", "b", 0);
    world.settle();
    world.put_all("a", 1);
    world.settle();
    let sick = world.cluster.watches[0].upstream;
    for _ in 0..2 {
        world.core.handle_unwell(sick, world.now);
    }
    world.poll();
    assert_eq!(world.wanted.len(), 2, "one more of the same");
    world.put_all("a", 1);
    world.settle();
    assert_eq!((world.wanted.len(), world.shown(stream)), (1, 2));
    assert!(world.cluster.watches[0].upstream != sick);
}

#[test]
fn a_watch_whose_member_is_not_well_stays_where_another_could_not_begin() {
    let (mut world, idle) = behind_a_compaction();
    let sick = world.cluster.watches[0].upstream;
    world.core.handle_unwell(sick, world.now);
    world.poll();
    // The other one gets its answers while the sick member is silent.
    world.open(0);
    for _ in 0..4 {
        let other = world.cluster.watches.iter().position(|watch| watch.upstream != sick);
        if let Some(other) = other {
            world.cluster.sync(other, &mut world.random);
            world.arrive(other);
        }
        world.pass(MS);
    }
    assert!(world.wanted.contains_key(&sick));
    world.put_all("a", 1);
    world.settle();
    assert_eq!((world.clients[&idle].cancels.len(), world.shown(idle)), (0, 1));
}

/// A member that answers no request for progress leaves a catch-up that has nothing more to bring.
#[test]
fn catch_ups_that_have_nothing_to_bring_keep_nobody_waiting() {
    let mut world = World::new(Config { catch_ups: 1, lag_revisions: 0, ..Config::default() }, 1);
    world.put_all("z", 10);
    let first = world.opened("a", "", 2);
    let second = world.opened("b", "", 2);
    while !world.authorizations.is_empty() {
        world.authorize(0);
    }
    let step = |world: &mut World| {
        while !world.opening.is_empty() {
            world.open(0);
        }
        for watch in (0..world.cluster.watches.len()).rev() {
            world.cluster.sync(watch, &mut fastrand::Rng::with_seed(1));
            // All but progress.
            world.arrive_but_progress(watch);
        }
        world.pass(200 * MS);
    };
    for _ in 0..100 {
        step(&mut world);
    }
    world.put_all("b", 1);
    world.put_all("a", 1);
    for _ in 0..10 {
        step(&mut world);
    }
    world.read(first, usize::MAX);
    world.read(second, usize::MAX);
    assert_eq!((world.shown(first), world.shown(second)), (1, 1));
}
