use std::net::SocketAddr;

use super::{Ground, TurnError, in_time};
use crate::contender::{Contender, Running};
use crate::error::Error;
use crate::load::{Beats, Method, Plan, Pool, Tally, scrape, wire};
use crate::meter::{Meter, Used};
use crate::report::say;
use crate::results::{Metric, Results};
use crate::workload::Workload;

struct Turn {
    tally: Tally,
    used: Used,
    /// That etcdlet has sent for them.
    renewals: Option<f64>,
}

pub(super) async fn run(ground: &Ground<'_>, results: &mut Results) -> Result<(), Error> {
    grant(ground.etcd.addresses()[0]).await?;
    let field = ground.start_all(Workload::KeepAlive).await?;
    for round in 0..ground.options.rounds() {
        say(&format!("{}: round {} of {}", Workload::KeepAlive, round + 1, ground.options.rounds()));
        for position in 0..field.len() {
            let running = &field[(position + round as usize) % field.len()];
            let turn = in_time(Workload::KeepAlive, running.contender, turn(ground, running)).await?;
            record(results, running.contender, turn);
        }
    }
    Ok(())
}

async fn grant(member: SocketAddr) -> Result<(), Error> {
    let plan = Plan {
        method: Method::LeaseGrant,
        connections: 1,
        in_flight_per_connection: 1,
        calls: 1,
        bodies: vec![wire::lease_grant(LEASE, TTL_SECS)],
        reply_bytes_min: 1,
    };
    let granted = Pool::open(&[member], &plan).await?.run(plan.calls).await;
    granted.into_valid(Workload::KeepAlive, Contender::Direct)?;
    Ok(())
}

async fn turn(ground: &Ground<'_>, running: &Running) -> Result<Turn, TurnError> {
    let each = if ground.options.quick { BEATS / 10 } else { BEATS };
    let mut beats = Beats::open(running.addresses[0], CONNECTIONS, STREAMS, LEASE).await?;
    let warm_up = beats.run((each / WARM_UP_PART).max(1)).await;
    let renewals_before = renewals(running).await?;
    let meter = Meter::start(running, ground.etcd)?;
    let mut tally = beats.run(each).await;
    let used = meter.stop().await?;
    let renewals = renewals_before.zip(renewals(running).await?).map(|(before, after)| after - before);
    tally.take_failures(warm_up);
    let tally = tally.into_valid(Workload::KeepAlive, running.contender)?;
    Ok(Turn { tally, used, renewals })
}

async fn renewals(running: &Running) -> Result<Option<f64>, TurnError> {
    Ok(match running.admin {
        Some(admin) => Some(scrape(admin, "etcdlet_lease_renewals_total").await?),
        None => None,
    })
}

fn record(results: &mut Results, contender: Contender, turn: Turn) {
    let Turn { mut tally, used, renewals } = turn;
    let mut add = |metric, figure| results.add(Workload::KeepAlive, metric, contender, figure);
    let beats = tally.calls as f64;
    if let Some(cpu) = used.proxy {
        add(Metric::ProxyCpuUs, cpu.as_secs_f64() * 1e6 / beats);
    }
    add(Metric::EtcdCpuUs, used.etcd.as_secs_f64() * 1e6 / beats);
    add(Metric::CallsPerSecond, tally.calls_per_second());
    add(Metric::P50Us, tally.percentile_us(0.5));
    add(Metric::P99Us, tally.percentile_us(0.99));
    if let Some(renewals) = renewals {
        add(Metric::RenewalsPart, renewals / beats);
    }
}

const LEASE: u64 = 7_587_001;
/// Longer than any run.
const TTL_SECS: u64 = 7_200;
const STREAMS: usize = 100;
const CONNECTIONS: usize = 10;
const BEATS: u64 = 500;
const WARM_UP_PART: u64 = 10;
