use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::contender::{Contender, Running};
use crate::error::Error;
use crate::etcd::Etcd;
use crate::hubs::{self, Ground};
use crate::load::{Plan, Pool, Tally};
use crate::memory;
use crate::meter::{Meter, Used};
use crate::options::Options;
use crate::programs::Programs;
use crate::report::say;
use crate::results::{Metric, Results};
use crate::workload::Workload;

/// What one contender did in one round.
#[derive(Debug, Default)]
struct Turn {
    tally: Tally,
    used: Used,
}

/// Starts everything, runs every selected workload, and stops everything.
pub(crate) async fn run(options: &Options, programs: &Programs) -> Result<Results, Error> {
    let scratch = TempDir::with_prefix("etcdlet-bench-")?;
    let data_base = options.data_dir.clone().unwrap_or_else(|| PathBuf::from(scratch.path()));
    let data_base = std::path::absolute(data_base)?;
    let mut results = Results::new(options);
    for members in [1, 3] {
        let workloads: Vec<Workload> =
            options.workloads().into_iter().filter(|workload| workload.members() == members).collect();
        if workloads.is_empty() {
            continue;
        }
        let data = TempDir::with_prefix_in("etcd-data-", &data_base)?;
        let etcd = Etcd::start(members, options, programs, scratch.path(), data.path()).await?;
        run_with(&etcd, &workloads, options, programs, scratch.path(), &mut results).await?;
    }
    Ok(results)
}

/// Runs these workloads, which are all meant for a cluster of this size.
async fn run_with(
    etcd: &Etcd,
    workloads: &[Workload],
    options: &Options,
    programs: &Programs,
    scratch: &Path,
    results: &mut Results,
) -> Result<(), Error> {
    let mut field = Vec::new();
    let of_calls = |workload: &&Workload| workload.plan(options).is_some();
    for contender in options.contenders() {
        if workloads.iter().filter(of_calls).any(|workload| workload.compares(contender)) {
            field.push(contender.start(programs, &etcd.addresses(), scratch).await?);
        }
    }
    for &workload in workloads {
        let Some(plan) = workload.plan(options) else {
            continue;
        };
        for round in 0..options.rounds() {
            say(&format!("{workload}: round {} of {}", round + 1, options.rounds()));
            let turns = round_of(workload, &plan, round, &field, etcd).await?;
            record(results, workload, turns);
        }
    }
    // Idle proxies would still wake up while the memory of fresh ones is read.
    drop(field);
    if workloads.contains(&Workload::Memory) {
        memory::run(options, programs, etcd, scratch, results).await?;
    }
    let ground = Ground { options, programs, etcd, scratch };
    for &workload in workloads {
        hubs::run(workload, &ground, results).await?;
    }
    Ok(())
}

async fn round_of(
    workload: Workload,
    plan: &Plan,
    round: u32,
    field: &[Running],
    etcd: &Etcd,
) -> Result<BTreeMap<Contender, Turn>, Error> {
    let mut turns: BTreeMap<Contender, Turn> = BTreeMap::new();
    for slice in 0..workload.slices() {
        for position in 0..field.len() {
            let running = &field[(position + (round + slice) as usize) % field.len()];
            let turn =
                tokio::time::timeout(TURN_TIMEOUT, turn_of(plan, running, etcd)).await.map_err(|_| {
                    Error::Stuck {
                        workload,
                        contender: running.contender,
                        limit_secs: TURN_TIMEOUT.as_secs(),
                    }
                })??;
            turns.entry(running.contender).or_default().absorb(turn);
        }
    }
    turns
        .into_iter()
        .map(|(contender, turn)| {
            let tally = turn.tally.into_valid(workload, contender)?;
            Ok((contender, Turn { tally, ..turn }))
        })
        .collect()
}

async fn turn_of(plan: &Plan, running: &Running, etcd: &Etcd) -> Result<Turn, Error> {
    let pool = Pool::open(&running.addresses, plan).await?;
    let warm_up = pool.run((plan.calls / WARM_UP_PART).max(1)).await;
    let meter = Meter::start(running, etcd)?;
    let mut tally = pool.run(plan.calls).await;
    let used = meter.stop().await?;
    tally.take_failures(warm_up);
    Ok(Turn { tally, used })
}

impl Turn {
    fn absorb(&mut self, other: Self) {
        let Self { tally, used: Used { proxy, etcd } } = other;
        self.tally.absorb(tally);
        self.used.proxy = self.used.proxy.or(Some(Duration::ZERO)).zip(proxy).map(|(a, b)| a + b);
        self.used.etcd += etcd;
    }
}

fn record(results: &mut Results, workload: Workload, mut turns: BTreeMap<Contender, Turn>) {
    let direct_p50 = turns.get_mut(&Contender::Direct).map(|turn| turn.tally.percentile_us(0.5));
    for (contender, mut turn) in turns {
        let mut add = |metric, figure| results.add(workload, metric, contender, figure);
        let per_call = |cpu: Duration| cpu.as_secs_f64() * 1e6 / turn.tally.calls as f64;
        if let Some(cpu) = turn.used.proxy {
            add(Metric::ProxyCpuUs, per_call(cpu));
        }
        add(Metric::EtcdCpuUs, per_call(turn.used.etcd));
        let p50 = turn.tally.percentile_us(0.5);
        add(Metric::P50Us, p50);
        add(Metric::P99Us, turn.tally.percentile_us(0.99));
        match direct_p50 {
            Some(direct) if workload.is_serial() && contender != Contender::Direct => {
                add(Metric::P50AddedUs, p50 - direct);
            }
            _ => {}
        }
        if !workload.is_serial() {
            add(Metric::CallsPerSecond, turn.tally.calls_per_second());
        }
    }
}

/// One in so many calls is made again beforehand: pools fill, allocators grow, windows open.
const WARM_UP_PART: u64 = 10;
const TURN_TIMEOUT: Duration = Duration::from_secs(120);
