//! What an idle sidecar costs the cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{alone, in_front, started_by_method};
use crate::bad_input::length;
use crate::support::etcd::{Cluster, Etcd};

#[tokio::test]
async fn an_idle_sidecar_asks_each_member_at_most_once_in_five_seconds() {
    let _turn = alone().await;
    let mut cluster = Cluster::start(3);
    let _sidecar = in_front(&cluster).await;
    // What it asks to get to know the cluster is over.
    sleep(Duration::from_secs(2)).await;
    // An election, which a busy machine can cause, is a reason to ask more.
    for attempt in 1..=ATTEMPTS {
        let leader = cluster.leader();
        if probes_are_few(&cluster).await {
            return;
        }
        assert!(
            attempt < ATTEMPTS || leader != cluster.leader(),
            "an idle sidecar asks more than once in five seconds"
        );
        println!("attempt {attempt} of {ATTEMPTS} failed");
    }
}

/// Counts for a while what the members are asked.
async fn probes_are_few(cluster: &Cluster) -> bool {
    let span = if length() > 1 { Duration::from_secs(30) } else { Duration::from_secs(12) };
    let (began, before) = (Instant::now(), counts(cluster));
    sleep(span).await;
    let (after, seconds) = (counts(cluster), began.elapsed().as_secs_f64());
    let (mut few, mut all) = (true, 0);
    for (name, after) in after {
        let calls = |method: &str| after.get(method).unwrap_or(&0) - before[&name].get(method).unwrap_or(&0);
        let asked: u64 =
            after.keys().filter(|method| *method != MEMBER_LIST).map(|method| calls(method)).sum();
        println!("{name} in {seconds:.1} s: {asked} probes, {} MemberList", calls(MEMBER_LIST));
        few &= asked as f64 <= seconds / 5.0 + 1.0;
        all += asked + calls(MEMBER_LIST);
    }
    let rate = all as f64 / seconds;
    println!(
        "{rate:.2} calls a second; 1,000 idle sidecars make {:.0}, meant are at most 600",
        rate * 1000.0
    );
    few
}

/// How often which method was called, of each member by its name.
fn counts(cluster: &Cluster) -> BTreeMap<String, BTreeMap<String, u64>> {
    let of = |member: &Etcd| (member.name().to_owned(), started_by_method(member).into_iter().collect());
    cluster.members.iter().map(of).collect()
}

const ATTEMPTS: usize = 2;
const MEMBER_LIST: &str = "MemberList";
