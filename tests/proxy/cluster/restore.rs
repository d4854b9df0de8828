//! The cluster behind the sidecar becomes another one: back to an older snapshot, or member by member. It heals without
//! a restart of the sidecar.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::shown::{self, Shown};
use super::traffic::Traffic;
use super::{alone, connect, get, in_front, put, until};
use crate::support::etcd::{Cluster, Options};
use crate::support::grpc::Channel;

#[tokio::test]
async fn it_heals_after_a_restore_of_the_same_cluster() {
    heals_after_a_restore(None).await;
}

#[tokio::test]
async fn it_heals_after_a_restore_as_a_new_cluster() {
    heals_after_a_restore(Some("another cluster")).await;
}

async fn heals_after_a_restore(token: Option<&str>) {
    let _turn = alone().await;
    let mut cluster = Cluster::start(3);
    let mut sidecar = in_front(&cluster).await;
    let channel = connect(&sidecar).await;
    put(&channel, "kept", "value").await.expect("a put succeeds");
    let snapshot = cluster.save_snapshot();
    // So far that the restored cluster does not get there by the calls below.
    let mut highest = 0;
    for _ in 0..1_000 {
        highest = put(&channel, "lost", "value").await.expect("a put succeeds").header.unwrap().revision;
    }
    let before = Shown::of(&sidecar);
    assert!(before.watermark >= highest, "{before:#?}");
    cluster.restore(&snapshot, token);
    let began = Instant::now();
    let mut last_failure = Duration::ZERO;
    // The first calls may succeed before the sidecar knows what it talks to.
    while began.elapsed() < last_failure + STEADY {
        sleep(Duration::from_millis(100)).await;
        if !all_calls_succeed(&channel).await || !serializable_gets_are_quick(&channel).await {
            last_failure = began.elapsed();
        }
        assert!(last_failure < HEALING_LIMIT, "{:#?} {}", Shown::of(&sidecar), sidecar.log());
    }
    println!("healed {last_failure:?} after the restored cluster was healthy");
    let lost = get(&channel, "lost", true).await.expect("a serializable get succeeds");
    assert!(lost.kvs.is_empty() && lost.header.unwrap().revision < highest, "{lost:?}");
    let after = Shown::of(&sidecar);
    assert!(after.watermark < highest, "{after:#?}");
    assert_eq!(after.cluster_id != before.cluster_id, token.is_some(), "{before:#?} {after:#?}");
    assert!(after.members.iter().all(shown::ShownMember::healthy), "{after:#?}");
    assert_eq!(sidecar.wait(Duration::ZERO), None, "{}", sidecar.log());
}

#[tokio::test]
async fn it_follows_a_cluster_whose_members_are_all_replaced() {
    let _turn = alone().await;
    // Or etcd asks for five seconds of quiet between the steps.
    let mut cluster = Options::default().flag("--strict-reconfig-check=false").start_cluster(3);
    // It is told of the first three, and of no other one.
    let mut sidecar = in_front(&cluster).await;
    let channel = connect(&sidecar).await;
    put(&channel, "kept", "value").await.expect("a put succeeds");
    let traffic = Traffic::start(&sidecar);
    for _ in 0..3 {
        let new = cluster.add();
        let endpoint = cluster.members[new].endpoint();
        let took = shown::until(&sidecar, HEALING_LIMIT, "the new member is known", |shown| {
            shown.members.iter().any(|it| it.endpoint == endpoint && it.healthy())
        });
        println!("{} known after {:?}", cluster.members[new].name(), took.await);
        cluster.remove(0);
    }
    let took = until(HEALING_LIMIT, "calls succeed", async || {
        for _ in 0..10 {
            if !all_calls_succeed(&channel).await {
                return false;
            }
        }
        serializable_gets_are_quick(&channel).await
    });
    println!("healed {:?} after the last of the first three was gone", took.await);
    let report = traffic.stop();
    println!("{report:?}");
    assert!(report.longest_gap < HEALING_LIMIT, "{report:?}");
    assert!(report.answered > 100, "{report:?}");
    shown::until(&sidecar, HEALING_LIMIT, "the new members are healthy", |shown| {
        cluster.members.iter().all(|member| shown.member(&member.endpoint()).healthy())
    })
    .await;
    assert_eq!(sidecar.wait(Duration::ZERO), None, "{}", sidecar.log());
}

/// A put and a get of each kind.
async fn all_calls_succeed(channel: &Channel) -> bool {
    let written = put(channel, "new", "value").await.is_ok();
    let mut right = true;
    for serializable in [false, true] {
        right &= get(channel, "kept", serializable).await.is_ok_and(|it| it.kvs.len() == 1);
    }
    written && right
}

/// None waits for a revision that never comes.
async fn serializable_gets_are_quick(channel: &Channel) -> bool {
    for _ in 0..10 {
        let began = Instant::now();
        if get(channel, "kept", true).await.is_err() || began.elapsed() > QUICK {
            return false;
        }
    }
    true
}

/// How long no call may fail any more: longer than the time between two probes.
const STEADY: Duration = Duration::from_secs(8);
const HEALING_LIMIT: Duration = Duration::from_secs(30);
/// Below the time for which a fresher answer is looked for.
const QUICK: Duration = Duration::from_millis(150);
