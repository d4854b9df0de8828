//! How calls and streams are spread over the members.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;

use super::{Client, SOON, all_are, config, ids, member, settles, streams, view, view_becomes};
use crate::support::etcd::Cluster;
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn after_a_rolling_restart_watches_and_reads_are_spread_again() {
    let mut cluster = Cluster::start(3);
    let sidecar = Sidecar::passing(&cluster.endpoints());
    let client = Client::connect(&sidecar.url()).await;
    settles(&sidecar, &cluster.endpoints()).await;
    for index in 0..3 {
        cluster.members[index].terminate();
        cluster.members[index].restart();
        cluster.wait_healthy();
        let endpoints = cluster.endpoints();
        view_becomes(&sidecar, SOON, "all are in rotation", |view| all_are(view, &endpoints, "healthy"))
            .await;
    }
    settles(&sidecar, &cluster.endpoints()).await;
    // Members that start at the same time on few cores are slow to answer their first probes.
    let quick = |view: &Value, endpoint: &String| {
        let member = member(view, endpoint).expect("it is known");
        member["latency_ms"].as_f64().is_some_and(|latency| latency < ALIKE)
    };
    let endpoints = cluster.endpoints();
    view_becomes(&sidecar, Duration::from_secs(60), "all are as near", |view| {
        endpoints.iter().all(|endpoint| quick(view, endpoint))
    })
    .await;
    let (leader, ids) = (cluster.leader(), ids(&cluster).await);

    let mut watches = Vec::new();
    for _ in 0..WATCHES {
        watches.push(client.watch().await);
    }
    let open: Vec<f64> = cluster.endpoints().iter().map(|endpoint| streams(&sidecar, endpoint)).collect();
    let served = shares(&client, &ids).await;
    println!("member {leader} leads; streams {open:?}, serializable reads {served:?} of {READS}");
    let view = view(&sidecar);
    let endpoint = cluster.members[leader].endpoint();
    assert_eq!(member(&view, &endpoint).unwrap()["leader"], true, "{endpoint}: {view:#}\n{}", sidecar.log());
    let latencies: Vec<&Value> =
        cluster.endpoints().iter().map(|endpoint| &member(&view, endpoint).unwrap()["latency_ms"]).collect();
    println!("latencies {latencies:?} ms");
    assert!(open.iter().sum::<f64>() > WATCHES as f64 - 0.5, "{open:?}");
    for follower in [(leader + 1) % 3, (leader + 2) % 3] {
        assert!(open[follower] > WATCHES as f64 / 4.0, "member {leader} leads: {open:?}");
        assert!(served[follower] > READS / 20, "member {leader} leads: {served:?}");
    }
    assert!(open[leader] < WATCHES as f64 / 3.0, "the leader, {leader}, has enough to do: {open:?}");
}

#[tokio::test]
async fn a_member_with_a_large_weight_gets_nearly_all_serializable_reads() {
    let mut cluster = Cluster::start(3);
    let (leader, ids) = (cluster.leader(), ids(&cluster).await);
    let favourite = (leader + 2) % 3;
    let weights = format!("weights: {{'{}': 100}}", cluster.members[favourite].addr());
    let sidecar = Sidecar::with_config(&config(&cluster.endpoints(), &weights));
    settles(&sidecar, &cluster.endpoints()).await;
    let client = Client::connect(&sidecar.url()).await;
    let served = shares(&client, &ids).await;
    println!("member {leader} leads, {favourite} has the weight: {served:?} of {READS}");
    assert!(served[favourite] >= READS * 19 / 20, "member {favourite} is to be preferred: {served:?}");
    // When it is gone, the others do.
    cluster.members[favourite].kill();
    let endpoint = cluster.members[favourite].endpoint();
    for _ in 0..READS {
        client.read().await.expect("a read does not depend on one member");
    }
    view_becomes(&sidecar, Duration::from_secs(1), "it is out", |view| {
        super::standing(view, &endpoint) == "unreachable"
    })
    .await;
}

/// How many of so many serializable reads each member answers, one read at a time.
async fn shares(client: &Client, ids: &[u64]) -> Vec<usize> {
    let mut answers: HashMap<u64, usize> = HashMap::new();
    for _ in 0..READS {
        *answers.entry(client.read().await.expect("a read succeeds")).or_default() += 1;
    }
    ids.iter().map(|id| answers.get(id).copied().unwrap_or_default()).collect()
}

const WATCHES: usize = 30;
/// Milliseconds; members that are nearer than this are not told apart.
const ALIKE: f64 = 2.0;
const READS: usize = 200;
