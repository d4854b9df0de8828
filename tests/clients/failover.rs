//! An application that writes, watches and keeps a lease while members of the cluster go and come back.
//!
//! Whatever happens to them, every watch shows every write once and in order, and the lease lives. A write succeeds, or
//! the client says UNAVAILABLE; then it may have been done or not. No stream breaks, unless the client does it itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::program::{Program, Refusal};
use crate::support::etcd::Cluster;
use crate::watches::assert_goes_on;
use crate::{Client, Stage};

pub(crate) fn members_die(client: &'static Client) {
    suffer(client, |cluster| {
        let leader = cluster.leader();
        for index in [leader, (leader + 1) % 3, (leader + 2) % 3] {
            cluster.members[index].kill();
            // Beyond an election, and until the sidecar looks again at a member that it avoids.
            sleep(Duration::from_secs(6));
            cluster.members[index].restart();
            cluster.wait_healthy();
            sleep(Duration::from_secs(1));
        }
    });
}

pub(crate) fn rolling_restart(client: &'static Client) {
    suffer(client, |cluster| {
        for index in 0..cluster.members.len() {
            cluster.members[index].terminate();
            cluster.members[index].restart();
            cluster.wait_healthy();
            sleep(Duration::from_secs(1));
        }
    });
}

fn suffer(client: &'static Client, faults: fn(&mut Cluster)) {
    // Elections need the machine: one at a time.
    let _alone = ALONE.lock();
    let mut stage = Stage::start();
    let program = Program::open(client, &stage.sidecar.url());
    let from_start = program.watch(json!({"key": "load/", "end": "load0"}));
    let keeping = program.ask("grant", json!({"ttl": TTL, "keep": true}));
    let lease = program.answer(keeping).unwrap()["lease"].clone();
    let mark = program.call("put", json!({"key": "mark", "value": "", "lease": lease}));
    // In which the sidecar learns its cluster.
    sleep(Duration::from_secs(2));

    let stop = AtomicBool::new(false);
    let mut puts = scope(|threads| {
        let writer = threads.spawn(|| write(&program, &stop));
        let stop = StopWhenDropped(&stop);
        faults(&mut stage.cluster);
        sleep(Duration::from_secs(2));
        drop(stop);
        writer.join().expect("the writer does not panic")
    });
    // A watch that begins in the past shows the same.
    let since = mark["revision"].as_i64().expect("a number") + 1;
    let from_past = program.watch(json!({"key": "load/", "end": "load0", "from": since}));
    puts.extend(last_puts(&program));

    report(client, &puts);
    judge_puts(client, &puts);
    for watch in [from_start, from_past] {
        judge_watch(client, &program, watch, &puts, &stage.cluster);
    }
    if client.circuit_breaker.is_none() {
        assert_goes_on(&program, from_start);
        assert_goes_on(&program, keeping);
    }
    judge_lease(&program, keeping, &lease, &mark["revision"]);
    program.finish();
}

/// Also when a fault fails: a scope waits for its threads.
struct StopWhenDropped<'a>(&'a AtomicBool);

impl Drop for StopWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A key of its own for each.
#[derive(Debug)]
struct Put {
    key: String,
    time: Duration,
    /// The revision, when it was done.
    result: Result<i64, Refusal>,
}

fn write(program: &Program, stop: &AtomicBool) -> Vec<Put> {
    let mut puts = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        puts.push(put(program, format!("load/{:06}", puts.len())));
        sleep(Duration::from_millis(20));
    }
    puts
}

fn put(program: &Program, key: String) -> Put {
    let began = Instant::now();
    let result = program.answer(program.ask("put", json!({"key": key, "value": key})));
    let result = result.map(|answer| answer["revision"].as_i64().expect("a number"));
    Put { key, time: began.elapsed(), result }
}

/// Until one succeeds, so that whoever has seen it has seen all. A circuit breaker may need some time.
fn last_puts(program: &Program) -> Vec<Put> {
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut puts = vec![put(program, "load/last-0".into())];
    while puts.last().is_none_or(|put| put.result.is_err()) {
        assert!(Instant::now() < deadline, "writes do not succeed any more: {puts:?}");
        sleep(Duration::from_millis(200));
        puts.push(put(program, format!("load/last-{}", puts.len())));
    }
    puts
}

fn report(client: &Client, puts: &[Put]) {
    let longest = puts.iter().map(|put| put.time).max().expect("there is the last one");
    let mut failures: BTreeMap<(Option<i64>, &str), usize> = BTreeMap::new();
    for refusal in puts.iter().filter_map(|put| put.result.as_ref().err()) {
        *failures.entry((refusal.code, refusal.message.as_str())).or_default() += 1;
    }
    println!("{}: {} puts, the longest took {longest:.3?}, failed: {failures:?}", client.name, puts.len());
}

fn judge_puts(client: &Client, puts: &[Put]) {
    let is_allowed = |refusal: &Refusal| {
        let own = client.circuit_breaker.is_some_and(|words| refusal.message.contains(words));
        own || refusal.code == Some(UNAVAILABLE)
    };
    let failed = puts.iter().filter_map(|put| put.result.as_ref().err());
    let wrong: Vec<&Refusal> = failed.filter(|refusal| !is_allowed(refusal)).collect();
    assert!(wrong.is_empty(), "{}: puts failed otherwise than allowed: {wrong:?}", client.name);
    // The sidecar holds them while there is no leader: only those fail which are on their way to a member that dies.
    let failed = puts.iter().filter(|put| put.result.is_err()).count();
    if client.circuit_breaker.is_none() {
        assert!(failed <= FAILED_MAX, "{}: {failed} of {} puts failed", client.name, puts.len());
    }
}

fn judge_watch(client: &Client, program: &Program, watch: u64, puts: &[Put], cluster: &Cluster) {
    let last = puts.last().expect("there is one").result.as_ref().expect("it has succeeded");
    let events = events_until(program, watch, *last);
    let revisions: Vec<i64> =
        events.iter().map(|event| event["modified"].as_i64().expect("a number")).collect();
    let unordered = revisions.windows(2).find(|pair| pair[0] >= pair[1]);
    assert_eq!(unordered, None, "{}: shown twice, or in disorder", client.name);

    let shown: BTreeMap<i64, &str> = revisions
        .iter()
        .copied()
        .zip(events.iter().map(|event| event["key"].as_str().expect("text")))
        .collect();
    for put in puts {
        if let Ok(revision) = put.result {
            assert_eq!(shown.get(&revision), Some(&put.key.as_str()), "{}: not shown", client.name);
        }
    }
    // Also those which nobody knew to have been done.
    let keys = cluster.members[0].run_etcdctl(&["get", "--prefix", "load/", "--keys-only"]);
    let stored: BTreeSet<&str> = keys.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(shown.values().copied().collect::<BTreeSet<_>>(), stored, "{}", client.name);
    if client.circuit_breaker.is_none() {
        let twice = events.iter().find(|event| event["version"] != 1);
        assert_eq!(twice, None, "{}: done twice, though the client asked once", client.name);
    }
}

/// What a watch has shown when it has shown this revision.
fn events_until(program: &Program, watch: u64, revision: i64) -> Vec<Value> {
    loop {
        let events = program.news_so_far(watch, "event");
        if events.iter().any(|event| event["modified"] == revision) {
            return events;
        }
        program.news(watch, "event", events.len() + 1);
    }
}

fn judge_lease(program: &Program, keeping: u64, lease: &Value, revision: &Value) {
    // It is kept on after the faults too.
    let heard = program.news_so_far(keeping, "alive").len();
    program.news(keeping, "alive", heard + 1);
    let state = program.call("time_to_live", json!({"lease": lease}));
    assert!(state["ttl"].as_i64().is_some_and(|left| left >= TTL / 2), "{state}");
    assert_eq!(state["keys"], json!(["mark"]));
    let mark = program.call("get", json!({"key": "mark"}));
    assert_eq!(mark["kvs"][0]["modified"], *revision, "its key was never gone");
}

static ALONE: Mutex<()> = Mutex::new(());
const UNAVAILABLE: i64 = 14;
/// One for each member, and one for each election, in which a member may lose the proposal it was given.
const FAILED_MAX: usize = 6;
/// Beyond an election, so that it outlives one without a keep-alive.
const TTL: i64 = 10;
