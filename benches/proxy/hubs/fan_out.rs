use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Ground, TurnError, end_of, in_time};
use crate::contender::{Contender, Running};
use crate::error::Error;
use crate::load::{Audience, Method, Plan, Pool, wire};
use crate::meter::{Meter, Used};
use crate::report::say;
use crate::results::{Metric, Results};
use crate::workload::{Workload, value};

/// What one contender did in one round.
struct Turn {
    /// All watches together.
    events: u64,
    elapsed: Duration,
    used: Used,
    /// What etcd uses for the same puts with one watch.
    alone: Duration,
}

/// Each round visits every contender. Before and after each, one watch alone tells what the same puts
/// cost etcd at that moment: what is to be found beyond that is less than the machine's drift in a round.
pub(super) async fn run(workload: Workload, ground: &Ground<'_>, results: &mut Results) -> Result<(), Error> {
    let field = ground.start_all(workload).await?;
    let direct = ground.start(Contender::Direct).await?;
    for round in 0..ground.options.rounds() {
        say(&format!("{workload}: round {} of {}", round + 1, ground.options.rounds()));
        let mut turns = BTreeMap::new();
        let prefix = |part: &str, position: usize| format!("bench/{workload}/{round}/{part}/{position}/");
        let alone = async |position: usize| {
            let turn = turn(workload, ground, &direct, 1, &prefix("alone", position)).await?;
            Ok(turn.used.etcd)
        };
        let mut before = in_time(workload, Contender::Direct, alone(0)).await?;
        for position in 0..field.len() {
            let running = &field[(position + round as usize) % field.len()];
            let prefix = prefix("all", position);
            let all = turn(workload, ground, running, WATCHES, &prefix);
            let all = in_time(workload, running.contender, all).await?;
            let after = in_time(workload, Contender::Direct, alone(position + 1)).await?;
            turns.insert(running.contender, Turn { alone: (before + after) / 2, ..all });
            before = after;
        }
        record(workload, results, &turns);
    }
    Ok(())
}

async fn turn(
    workload: Workload,
    ground: &Ground<'_>,
    running: &Running,
    watches: usize,
    prefix: &str,
) -> Result<Turn, TurnError> {
    let puts = if ground.options.quick { PUTS / 10 } else { PUTS };
    let member = ground.etcd.addresses()[0];
    let creates = (0..watches).map(|index| vec![create(workload, prefix, index)]).collect();
    let audience = Audience::open(running.addresses[0], CONNECTIONS, creates).await?;
    let value = value();
    let plan = Plan {
        method: Method::Put,
        connections: CONNECTIONS,
        in_flight_per_connection: 1,
        calls: puts,
        bodies: (0..KEYS).map(|key| wire::put(format!("{prefix}key/{key:04}").as_bytes(), &value)).collect(),
        reply_bytes_min: 1,
    };
    let pool = Pool::open(&[member], &plan).await?;
    let warm_up = (puts / WARM_UP_PART).max(1);
    pool.run(warm_up).await.into_valid(workload, Contender::Direct)?;
    audience.until_seen(warm_up).await?;

    let meter = Meter::start(running, ground.etcd)?;
    let start = Instant::now();
    pool.run(puts).await.into_valid(workload, Contender::Direct)?;
    audience.until_seen(warm_up + puts).await?;
    let elapsed = start.elapsed();
    let used = meter.stop().await?;
    Ok(Turn { events: puts * watches as u64, elapsed, used, alone: used.etcd })
}

fn create(workload: Workload, prefix: &str, index: usize) -> Bytes {
    match workload {
        // In front of the keys that are written, from the nearest on.
        Workload::WatchNested => {
            wire::watch_create(format!("{prefix}{:04}", WATCHES - index).as_bytes(), &end_of(prefix))
        }
        _ => wire::watch_create(prefix.as_bytes(), &end_of(prefix)),
    }
}

fn record(workload: Workload, results: &mut Results, turns: &BTreeMap<Contender, Turn>) {
    for (&contender, turn) in turns {
        let mut add = |metric, figure| results.add(workload, metric, contender, figure);
        let per_event = |seconds: f64| seconds * 1e6 / turn.events as f64;
        if let Some(cpu) = turn.used.proxy {
            add(Metric::ProxyCpuEventUs, per_event(cpu.as_secs_f64()));
        }
        let etcd = turn.used.etcd.as_secs_f64();
        add(Metric::EtcdCpuEventUs, per_event(etcd));
        add(Metric::EtcdCpuAddedUs, per_event(etcd - turn.alone.as_secs_f64()));
        add(Metric::EventsPerSecond, turn.events as f64 / turn.elapsed.as_secs_f64());
    }
}

const WATCHES: usize = 200;
const PUTS: u64 = 2_000;
const CONNECTIONS: usize = 8;
const KEYS: usize = 64;
/// One in so many puts is made again beforehand: pools fill, allocators grow, windows open.
const WARM_UP_PART: u64 = 10;
