use std::time::{Duration, Instant};

use super::{Ground, TurnError, end_of, in_time};
use crate::contender::{Contender, Running};
use crate::error::Error;
use crate::load::{Audience, Method, Plan, Pool, scrape, wire};
use crate::report::say;
use crate::results::{Metric, Results};
use crate::usage::Memory;
use crate::workload::{Workload, value};

struct Turn {
    created: Duration,
    upstream: f64,
    resident_mib: Option<f64>,
}

/// A fresh process in every round: one that has served load keeps what it allocated.
pub(super) async fn run(ground: &Ground<'_>, results: &mut Results) -> Result<(), Error> {
    for round in 0..ground.options.rounds() {
        say(&format!("{}: round {} of {}", Workload::WatchMany, round + 1, ground.options.rounds()));
        for contender in ground.contenders(Workload::WatchMany) {
            let nobody = until_nobody_watches(ground);
            in_time(Workload::WatchMany, contender, nobody).await?;
            let running = ground.start(contender).await?;
            let prefix = format!("bench/{}/{round}/{contender}/", Workload::WatchMany);
            let turn = in_time(Workload::WatchMany, contender, turn(ground, &running, &prefix)).await?;
            let mut add = |metric, figure| results.add(Workload::WatchMany, metric, contender, figure);
            add(Metric::CreatedSecs, turn.created.as_secs_f64());
            add(Metric::UpstreamWatches, turn.upstream);
            if let Some(resident) = turn.resident_mib {
                add(Metric::WatchesResidentMib, resident);
            }
        }
    }
    Ok(())
}

async fn turn(ground: &Ground<'_>, running: &Running, prefix: &str) -> Result<Turn, TurnError> {
    let member = ground.etcd.addresses()[0];
    let prefixes: Vec<String> = (0..PREFIXES).map(|index| format!("{prefix}{index:03}/")).collect();
    let creates: Vec<_> =
        prefixes.iter().map(|prefix| wire::watch_create(prefix.as_bytes(), &end_of(prefix))).collect();
    let start = Instant::now();
    let audience = Audience::open(running.addresses[0], CONNECTIONS, vec![creates; CONNECTIONS]).await?;
    let created = start.elapsed();
    // What is shared only later has had its chance.
    tokio::time::sleep(SETTLE).await;
    let upstream = scrape(member, WATCHERS).await?;
    let resident_mib = match &running.process {
        Some(process) => Some(Memory::read(process)?.resident_mib),
        None => None,
    };
    // Each watch is a real one.
    let value = value();
    let plan = Plan {
        method: Method::Put,
        connections: 1,
        in_flight_per_connection: 1,
        calls: PREFIXES as u64,
        bodies: prefixes.iter().map(|prefix| wire::put(format!("{prefix}key").as_bytes(), &value)).collect(),
        reply_bytes_min: 1,
    };
    let puts = Pool::open(&[member], &plan).await?.run(plan.calls).await;
    puts.into_valid(Workload::WatchMany, Contender::Direct)?;
    audience.until_seen(plan.calls).await?;
    Ok(Turn { created, upstream, resident_mib })
}

/// Watches of those that have just gone would count for those to come.
async fn until_nobody_watches(ground: &Ground<'_>) -> Result<(), TurnError> {
    while scrape(ground.etcd.addresses()[0], WATCHERS).await? > 0.0 {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

const CONNECTIONS: usize = 100;
const PREFIXES: usize = 100;
const WATCHERS: &str = "etcd_debugging_mvcc_watcher_total";
const SETTLE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);
