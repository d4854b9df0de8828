//! Random histories: whatever happens in whatever order, each watcher sees what it would have seen
//! alone.

use super::client::Verdict;
use super::cluster::Change;
use super::world::{MS, World};
use crate::proxy::watch::Config;
use crate::proxy::watch::config::Prefix;
use crate::proxy::watch::core::{Create, Filters, Identity, Open, StreamId};

/// Tells how to reproduce a failure: with `ETCDLET_SEED`.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with ETCDLET_SEED={}", self.0);
        }
    }
}

#[test]
fn each_watcher_sees_what_a_private_watch_would_show() {
    let seeds = match std::env::var("ETCDLET_SEED") {
        Ok(seed) => {
            let seed: u64 = seed.parse().unwrap();
            seed..seed + 1
        }
        Err(_) => 0..12_000,
    };
    let mut totals = [0; 10];
    for seed in seeds.clone() {
        let _told = Seed(seed);
        let seen = history(seed);
        for (total, seen) in totals.iter_mut().zip(seen) {
            *total += seen;
        }
    }
    if seeds.end - seeds.start > 1 {
        eprintln!(
            "events, progress, compactions, lags, catch-ups, merges, splits, resumes, parted, ends: {totals:?}"
        );
        assert!(totals.iter().all(|total| *total > 0), "what is tested happens: {totals:?}");
    }
}

fn config(random: &mut fastrand::Rng) -> Config {
    let mut one_of = |sizes: &[usize]| sizes[random.usize(..sizes.len())];
    let private = Prefix { coalesce: false, ..Prefix::of(b"b") };
    Config {
        ring_bytes: one_of(&[0, 600, 3000, 1 << 20]),
        stream_bytes: one_of(&[100, 500, 1 << 20, 1 << 20]),
        fragment_bytes: one_of(&[90, 200, 1 << 20]),
        replay_bytes: one_of(&[1, 100, 1000]),
        replay_events: one_of(&[1, 10, 1000]),
        lag_revisions: one_of(&[0, 2, 1000]) as i64,
        catch_ups: one_of(&[1, 3, 100]),
        narrow_after: MS * one_of(&[1, 1, 100, 60_000]) as u32,
        prefixes: if one_of(&[0, 0, 1]) > 0 { vec![private] } else { Vec::new() },
        ..Config::default()
    }
}

fn history(seed: u64) -> [u64; 10] {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut world = World::new(config(&mut random), seed ^ 0x5eed);
    let (mut progress, mut compactions, mut events) = (0, 0, 0);
    world.stream("anna");
    world.stream("anna");
    for _ in 0..random.usize(20..300) {
        step(&mut world, &mut random);
    }
    world.settle();
    for client in world.clients.values_mut() {
        assert!(client.is_answered(), "a request was not answered");
        assert!(client.misses(&world.cluster.store).is_none(), "{:?}", client.misses(&world.cluster.store));
        events += client.watchers.values().map(|seen| seen.events as u64).sum::<u64>();
        compactions += client.cancels.len() as u64;
        progress += u64::from(client.progress.is_some());
    }
    // Whoever asks for progress gets it, and it is the present.
    let streams: Vec<StreamId> = world.clients.keys().copied().collect();
    for stream in streams {
        world.clients.get_mut(&stream).unwrap().progress = None;
        for attempt in 0..30 {
            let revision = world.cluster.store.revision();
            let expected = world.clients[&stream].expects_progress(revision);
            if world.clients[&stream].progress == Some(revision) || !expected && attempt >= 3 {
                break;
            }
            if attempt % 10 == 9 {
                // Others on its stream may wait for it.
                let key = b"z".to_vec();
                world.cluster.store.write(vec![Change { key, deletes: false, value: 1 }]);
                world.settle();
            }
            world.request_progress(stream);
            world.pass(60 * MS);
            world.settle();
        }
        // A feed that begins anew for it may find its old position compacted.
        let revision = world.cluster.store.revision();
        let expected = world.clients[&stream].expects_progress(revision);
        let told = world.clients[&stream].progress;
        assert!(
            !expected || told == Some(revision),
            "{stream:?}: told {told:?} of {revision}: {}",
            world.core.describe()
        );
    }
    let numbers = world.core.numbers();
    assert_eq!(numbers.queued_bytes, 0);
    for stream in world.clients.keys().copied().collect::<Vec<_>>() {
        world.close_stream(stream);
    }
    world.pass(20_000 * MS);
    // Only those that stand are left.
    world.core.handle_identity_expired(&Identity("anna".into()), world.now);
    world.poll();
    let empty = world.core.numbers();
    assert_eq!((empty.feeds, empty.watchers, empty.streams, empty.ring_bytes), (0, 0, 0, 0));
    assert!(world.wanted.is_empty() && world.cluster.watches.is_empty());
    [
        events,
        progress,
        compactions,
        numbers.counts.lags,
        numbers.counts.catch_ups_opened,
        numbers.counts.merges,
        numbers.counts.splits,
        numbers.counts.resumes,
        numbers.counts.parted,
        world.ends.len() as u64,
    ]
}

fn step(world: &mut World, random: &mut fastrand::Rng) {
    let stream = |world: &World, random: &mut fastrand::Rng| {
        let at = random.usize(..world.clients.len().max(1));
        world.clients.keys().nth(at).copied()
    };
    let watch = random.usize(..world.cluster.watches.len().max(1));
    match random.u8(..100) {
        0..22 => write(world, random),
        22..34 => {
            let member = random.usize(..3);
            world.cluster.apply(member, random);
        }
        34..40 => world.cluster.sync(watch, random),
        40..58 => world.arrive(watch),
        58..64 => {
            if !world.opening.is_empty() {
                world.open(random.usize(..world.opening.len()));
            }
        }
        64..70 => {
            if !world.authorizations.is_empty() {
                world.authorize(random.usize(..world.authorizations.len()));
            }
        }
        70..78 => {
            if let Some(stream) = stream(world, random)
                && world.core.wants_requests(stream)
            {
                let create = create(world, random);
                let refused = Verdict::Refused(
                    "rpc error: code = PermissionDenied desc = etcdserver: permission denied",
                );
                world.create(stream, create, if random.u8(..20) == 0 { refused } else { Verdict::Permitted });
            }
        }
        78..86 => {
            if let Some(stream) = stream(world, random) {
                world.read(stream, random.usize(..6));
            }
        }
        86..88 => {
            if world.clients.len() < 5 {
                world.stream(["anna", "anna", "berta"][random.usize(..3)]);
            }
        }
        88 => {
            if let Some(stream) = stream(world, random) {
                world.cancel(stream, random.i64(..3));
            }
        }
        89 => {
            if let Some(stream) = stream(world, random) {
                world.request_progress(stream);
            }
        }
        90..92 => world.lose(watch),
        92 => world.cluster.notify(watch),
        93 => rare(world, random, stream),
        94..96 => world.arrive_stale(),
        _ => {
            let longest = if random.u8(..9) == 0 { 700_000 } else { 200 };
            world.pass(MS * random.u32(..longest));
        }
    }
}

fn rare(
    world: &mut World,
    random: &mut fastrand::Rng,
    stream: impl Fn(&World, &mut fastrand::Rng) -> Option<StreamId>,
) {
    match random.u8(..10) {
        8.. => {
            // Alone there is nobody else to try.
            let shared = |it: &Open| !it.identity.0.starts_with(b"own");
            if let Some(at) = world.opening.iter().position(shared) {
                world.refuse(at);
            }
        }
        6..8 => {
            let prefix = ["", "a", "c"][random.usize(..3)];
            world.stand(prefix, random.u8(..5) == 0);
        }
        0..4 => {
            let (from, to) = (world.cluster.store.compacted.max(1), world.cluster.store.revision());
            // A member that has not applied it yet compacts when it has.
            world.cluster.store.compacted = random.i64(from..=to);
        }
        4 => {
            if let Some(stream) = stream(world, random) {
                world.close_stream(stream);
            }
        }
        _ => {
            if let Some(stream) = stream(world, random) {
                let identity = world.identities[&stream].clone();
                world.core.handle_identity_expired(&identity, world.now);
                world.poll();
            }
        }
    }
}

fn write(world: &mut World, random: &mut fastrand::Rng) {
    let changes = (0..random.usize(1..4)).map(|_| Change {
        key: vec![b'a' + random.u8(..4); random.usize(1..3)],
        deletes: random.u8(..3) == 0,
        value: random.usize(..60),
    });
    world.cluster.store.write(changes.collect());
    if random.bool() {
        // Its writer has seen it.
        world.watermark = world.cluster.store.revision();
    }
}

fn create(world: &World, random: &mut fastrand::Rng) -> Create {
    let revision = world.cluster.store.revision();
    let key = match random.u8(..10) {
        0 => vec![],
        _ => vec![b'a' + random.u8(..4); random.usize(1..3)],
    };
    let range_end = match random.u8(..10) {
        0..4 => vec![],
        4 => vec![0],
        _ => vec![b'a' + random.u8(..5); random.usize(1..3)],
    };
    Create {
        key: key.into(),
        range_end: range_end.into(),
        start_revision: match random.u8(..20) {
            0..10 => 0,
            10..17 => random.i64(1..=revision),
            17 => revision + 1,
            18 => revision + random.i64(1..9),
            _ => -1,
        },
        progress_notify: random.u8(..3) == 0,
        filters: Filters { no_put: random.u8(..8) == 0, no_delete: random.u8(..8) == 0 },
        prev_kv: random.u8(..5) == 0,
        watch_id: if random.u8(..4) == 0 { random.i64(..4) } else { 0 },
        fragment: random.bool(),
    }
}
