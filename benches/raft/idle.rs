use crate::cluster::Cluster;
use crate::limits::{Figure, HEARTBEATS, Limit, TICK};
use crate::meter::Meter;

/// What a cluster costs that nobody uses.
pub(crate) fn measure() -> Vec<Figure> {
    vec![best(&TICK, follower_ticks), best(&HEARTBEATS, heartbeat_rounds)]
}

/// Nanoseconds of each of so many repetitions.
fn best(limit: &'static Limit, run: fn(&mut Cluster)) -> Figure {
    let round = |_| {
        let mut cluster = Cluster::new(NODES, ELECTION_TICKS);
        let meter = Meter::start();
        run(&mut cluster);
        meter.stop().cpu.as_nanos() as f64 / REPETITIONS as f64
    };
    Figure { limit, value: (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min) }
}

/// With the question whether anything is to be done, as a driver asks it.
fn follower_ticks(cluster: &mut Cluster) {
    let follower = &mut cluster.nodes[1];
    for _ in 0..REPETITIONS {
        follower.tick();
        assert!(!follower.has_output(), "a follower is patient for longer");
    }
}

/// The leader's tick, its messages, and the answers of all others.
fn heartbeat_rounds(cluster: &mut Cluster) {
    let delivered = cluster.delivered;
    for _ in 0..REPETITIONS {
        cluster.nodes[0].tick();
        cluster.settle();
    }
    assert_eq!(cluster.delivered - delivered, 2 * (NODES - 1) * REPETITIONS, "all are asked and answer");
}

const NODES: u64 = 7;
const REPETITIONS: u64 = 100_000;
/// So many that no follower starts an election meanwhile.
const ELECTION_TICKS: u32 = 1_000_000;
const ROUNDS: usize = 5;
