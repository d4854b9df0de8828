//! Feeds that are refused to who opens them for many.

use super::client::Verdict;
use super::cluster::Change;
use super::world::{MS, World};
use crate::proxy::watch::Config;
use crate::proxy::watch::core::{Create, StreamId};

fn watch(world: &mut World, key: &'static str, range_end: &'static str) -> StreamId {
    let stream = world.stream("all");
    let create = Create { key: key.into(), range_end: range_end.into(), ..Create::default() };
    world.create(stream, create, Verdict::Permitted);
    world.authorize(world.authorizations.len() - 1);
    stream
}

fn put(world: &mut World, key: &str) {
    let key = key.as_bytes().to_vec();
    world.cluster.store.write(vec![Change { key, deletes: false, value: 10 }]);
}

fn events(world: &World, stream: StreamId) -> usize {
    world.clients[&stream].watchers.values().map(|seen| seen.events).sum()
}

#[test]
fn who_watches_what_was_refused_goes_on_alone_and_who_only_joined_still_shares() {
    let mut world = World::new(Config::default(), 1);
    let wide = [watch(&mut world, "a", "z"), watch(&mut world, "a", "z")];
    let narrow = watch(&mut world, "b", "");
    assert_eq!(world.opening.len(), 1);
    put(&mut world, "b");
    world.refuse(0);
    world.settle();
    let mut identities: Vec<&[u8]> = world.wanted.values().map(|(identity, ..)| &identity.0[..]).collect();
    identities.sort_unstable();
    assert_eq!(identities, [&b"all"[..], b"own 1", b"own 2"]);
    put(&mut world, "b");
    world.settle();
    for stream in wide.into_iter().chain([narrow]) {
        assert_eq!(events(&world, stream), 2, "{stream:?}");
    }
    assert_eq!(world.core.numbers().counts.parted, 2);
}

#[test]
fn a_feed_that_is_refused_when_it_resumes_loses_nothing() {
    let mut world = World::new(Config::default(), 1);
    let streams = [watch(&mut world, "a", ""), watch(&mut world, "a", "")];
    world.settle();
    put(&mut world, "a");
    world.settle();
    world.lose(0);
    put(&mut world, "a");
    world.refuse(0);
    put(&mut world, "a");
    world.settle();
    assert_eq!(streams.map(|stream| events(&world, stream)), [3, 3]);
    for _ in 0..5 {
        world.request_progress(streams[0]);
        world.pass(60 * MS);
        world.settle();
    }
    let revision = world.cluster.store.revision();
    assert_eq!(world.clients[&streams[0]].progress, Some(revision), "progress is told as before");
}

#[test]
fn nothing_is_left_of_a_stream_that_went_on_alone() {
    let mut world = World::new(Config::default(), 1);
    let stream = watch(&mut world, "a", "");
    world.refuse(0);
    world.settle();
    world.close_stream(stream);
    world.pass(20_000 * MS);
    let numbers = world.core.numbers();
    assert_eq!((numbers.feeds, numbers.watchers, numbers.streams), (0, 0, 0));
    assert!(world.wanted.is_empty());
}
