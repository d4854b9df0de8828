use bytes::Bytes;

use crate::cluster::Cluster;
use crate::limits::{
    ALLOCATIONS_BATCHED, ALLOCATIONS_ONE_BY_ONE, ENTRIES_BATCHED, ENTRIES_ONE_BY_ONE, Figure, Limit,
};
use crate::meter::Meter;

/// From proposals to the leader until all of three nodes have applied them.
pub(crate) fn measure() -> Vec<Figure> {
    let singles = measure_batches(1, &ENTRIES_ONE_BY_ONE, &ALLOCATIONS_ONE_BY_ONE);
    let batches = measure_batches(BATCH, &ENTRIES_BATCHED, &ALLOCATIONS_BATCHED);
    singles.into_iter().chain(batches).collect()
}

fn measure_batches(batch: usize, speed: &'static Limit, allocations: &'static Limit) -> [Figure; 2] {
    let payloads = payloads(batch);
    let rounds: Vec<Round> = (0..ROUNDS).map(|_| Round::run(&payloads)).collect();
    let fastest = rounds.iter().map(|round| round.entries_per_second).fold(0.0, f64::max);
    let most = rounds.iter().map(|round| round.allocations_per_message).fold(0.0, f64::max);
    [Figure { limit: speed, value: fastest }, Figure { limit: allocations, value: most }]
}

struct Round {
    entries_per_second: f64,
    allocations_per_message: f64,
}

impl Round {
    fn run(payloads: &[Bytes]) -> Self {
        let mut cluster = Cluster::new(NODES, ELECTION_TICKS);
        // Queues and logs grow to the size that they need.
        propose(&mut cluster, payloads, ENTRIES / 10);
        let (applied, delivered) = (cluster.applied, cluster.delivered);
        let meter = Meter::start();
        let entries = propose(&mut cluster, payloads, ENTRIES);
        let used = meter.stop();
        assert_eq!(cluster.applied - applied, NODES * entries, "each node applies each entry");
        Self {
            entries_per_second: entries as f64 / used.cpu.as_secs_f64(),
            allocations_per_message: used.allocations as f64 / (cluster.delivered - delivered) as f64,
        }
    }
}

/// Whole batches, at least so many entries; gives how many there were.
fn propose(cluster: &mut Cluster, payloads: &[Bytes], entries_min: u64) -> u64 {
    let batch = payloads.len() as u64;
    let mut entries = 0;
    while entries < entries_min {
        cluster.nodes[0].propose(payloads.to_vec()).expect("the leader takes proposals");
        cluster.settle();
        entries += batch;
        // A log that only grows would show what the machine's memory costs.
        if entries / KEPT != (entries - batch) / KEPT {
            cluster.compact();
        }
    }
    entries
}

/// Parts of one frame, as they come from a connection.
fn payloads(count: usize) -> Vec<Bytes> {
    let mut frame = Bytes::from(vec![7; count * PAYLOAD_BYTES]);
    (0..count).map(|_| frame.split_to(PAYLOAD_BYTES)).collect()
}

const NODES: u64 = 3;
const ELECTION_TICKS: u32 = 10;
const BATCH: usize = 64;
const PAYLOAD_BYTES: usize = 256;
const ENTRIES: u64 = 200_000;
/// Entries after which the log is compacted.
const KEPT: u64 = 10_000;
const ROUNDS: usize = 5;
