//! The whole cluster is down, from the start or later, and comes back.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::{ALONE, Client, has_leader, settles, standing, view, view_becomes};
use crate::support::control::Control;
use crate::support::etcd::Cluster;
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn it_starts_while_the_cluster_is_down_and_serves_when_it_comes() {
    let _alone = ALONE.lock().await;
    let mut cluster = Cluster::start(3);
    cluster.members.iter_mut().for_each(|member| member.kill());
    let sidecar = Sidecar::start(&cluster.endpoints());
    let client = Client::connect(&sidecar.url()).await;
    let refused = client.read().await.expect_err("nobody is there");
    assert_eq!(refused.code, Some(14), "{refused:?}");
    assert!(refused.message.starts_with("etcdlet:"), "{refused:?}");
    // Longer than a fresh outage is watched closely.
    sleep(Duration::from_secs(11)).await;
    assert!(!has_leader(&sidecar));
    let view = view(&sidecar);
    let standings: Vec<&str> = cluster.endpoints().iter().map(|endpoint| standing(&view, endpoint)).collect();
    assert_eq!(standings, ["unreachable"; 3], "{view:#}");
    heals(&mut cluster, &sidecar, &client, Duration::from_secs(3)).await;
}

#[tokio::test]
async fn it_heals_when_all_members_died_and_came_back() {
    let _alone = ALONE.lock().await;
    let mut cluster = Cluster::start(3);
    let sidecar = Sidecar::start(&cluster.endpoints());
    settles(&sidecar, &cluster.endpoints()).await;
    assert!(has_leader(&sidecar));
    let client = Client::connect(&sidecar.url()).await;
    client.call_all(3).await;
    cluster.members.iter_mut().for_each(|member| member.kill());
    let endpoints = cluster.endpoints();
    view_becomes(&sidecar, Duration::from_secs(7), "all are gone", |view| {
        view["leader_state"] != "known" && super::all_are(view, &endpoints, "unreachable")
    })
    .await;
    assert!(!has_leader(&sidecar));
    sleep(Duration::from_secs(3)).await;
    heals(&mut cluster, &sidecar, &client, Duration::from_secs(5)).await;
}

/// Starts all members; the limit counts from the moment at which they can write.
async fn heals(cluster: &mut Cluster, sidecar: &Sidecar, client: &Client, limit: Duration) {
    cluster.members.iter_mut().for_each(|member| member.respawn());
    let began = Instant::now();
    let control = Control::start(cluster.endpoints());
    let (mut served, mut known) = (None, None);
    while (served.is_none() || known.is_none()) && began.elapsed() < Duration::from_secs(20) {
        if served.is_none() && client.put().await.is_ok() {
            served = Some(began.elapsed());
        }
        if known.is_none() && has_leader(sidecar) {
            known = Some(began.elapsed());
        }
        sleep(Duration::from_millis(10)).await;
    }
    let quorum = control.first_success(began);
    println!(
        "quorum after {quorum:.3?}, a write by the sidecar after {served:.3?}, a leader known after {known:.3?}"
    );
    let in_time = |moment: Option<Duration>| moment.is_some_and(|moment| moment < quorum + limit);
    assert!(in_time(served) && in_time(known), "allowed are {limit:?}: {}", sidecar.log());
    settles(sidecar, &cluster.endpoints()).await;
    client.call_all(10).await;
}
