//! `GET /cluster` on the admin port: the members as the sidecar sees them, and why it avoids one.

use std::time::Duration;

use etcdlet::proto::etcdserverpb as pb;
use tokio::time::{Instant, sleep};

use super::shown::{self, Shown};
use super::traffic::Traffic;
use super::{
    STATUS, alone, asked_for_clients, beside_others, connect, connect_to, get, in_front, put, until,
};
use crate::support::etcd::{Cluster, Etcd};
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn the_members_are_shown_as_they_describe_themselves() {
    let _turn = beside_others().await;
    let mut cluster = Cluster::start(3);
    let sidecar = in_front(&cluster).await;
    let channel = connect(&sidecar).await;
    let revision = put(&channel, "key", "value").await.expect("a put succeeds").header.unwrap().revision;
    // Every member has said something since the election.
    shown::until(&sidecar, Duration::from_secs(10), "the members have one term", |shown| {
        shown.members.iter().all(|it| it.term == Some(shown.term))
    })
    .await;
    let shown = Shown::of(&sidecar);
    let leader = cluster.leader();
    assert_eq!(shown.members.len(), 3, "{shown:#?}");
    assert!(shown.watermark >= revision, "{shown:#?}");
    for (index, etcd) in cluster.members.iter_mut().enumerate() {
        let id = etcd.id();
        let status: pb::StatusResponse =
            connect_to(etcd).await.call(STATUS, &pb::StatusRequest {}).await.unwrap();
        let header = status.header.unwrap();
        assert_eq!(shown.cluster_id, Some(header.cluster_id));
        assert_eq!((shown.leader, shown.term), (Some(status.leader), status.raft_term));
        let member = shown.member(&etcd.endpoint());
        assert_eq!((member.id, member.name.as_deref()), (Some(id), Some(etcd.name())), "{member:#?}");
        assert_eq!((member.state.as_str(), &member.reason), ("healthy", &None), "{member:#?}");
        assert_eq!((member.leader, member.learner), (index == leader, false), "{member:#?}");
        assert_eq!(member.version.as_deref(), Some(etcd.version()));
        assert!(member.applied_index.is_some_and(|it| it <= status.raft_applied_index), "{member:#?}");
        assert!(member.latency_ms.is_some_and(|it| it > 0.0 && it < 5_000.0), "{member:#?}");
        assert_eq!(member.alarms, [""; 0]);
        assert!(matches!(member.source.as_str(), "static" | "members"), "{member:#?}");
    }
}

#[tokio::test]
async fn a_follower_that_is_killed_is_out_within_two_seconds_and_back_after_its_return() {
    let _turn = alone().await;
    let mut cluster = Cluster::start(3);
    let sidecar = in_front(&cluster).await;
    let follower = (cluster.leader() + 1) % 3;
    let endpoint = cluster.members[follower].endpoint();
    // After the first rounds nobody is asked until the next idle probe: the loss itself has to be seen.
    sleep(Duration::from_secs(1)).await;
    cluster.members[follower].kill();
    let took = shown::until(&sidecar, Duration::from_secs(2), "it is unreachable", |shown| {
        shown.member(&endpoint).out("unreachable")
    });
    println!("out after {:?}", took.await);
    let shown = Shown::of(&sidecar);
    assert_eq!(shown.members.iter().filter(|it| it.healthy()).count(), 2, "{shown:#?}");
    // Nobody's call goes there.
    let channel = connect(&sidecar).await;
    for _ in 0..100 {
        put(&channel, "key", "value").await.expect("a put succeeds");
        get(&channel, "key", true).await.expect("a serializable get succeeds");
    }
    cluster.members[follower].restart();
    let back = shown::until(&sidecar, Duration::from_secs(10), "it is back", |shown| {
        shown.member(&endpoint).healthy()
    });
    println!("back {:?} after it was healthy", back.await);
}

#[tokio::test]
async fn a_member_that_freezes_under_load_is_out_for_its_silence_and_back_when_it_thaws() {
    let _turn = alone().await;
    let mut cluster = Cluster::start(3);
    let sidecar = in_front(&cluster).await;
    let follower = (cluster.leader() + 1) % 3;
    let endpoint = cluster.members[follower].endpoint();
    let traffic = Traffic::start(&sidecar);
    sleep(Duration::from_millis(500)).await;
    cluster.members[follower].freeze();
    let took = shown::until(&sidecar, Duration::from_secs(5), "it is silent", |shown| {
        shown.member(&endpoint).out("silent")
    });
    println!("silent after {:?}", took.await);
    sleep(Duration::from_secs(1)).await;
    cluster.members[follower].thaw();
    let back = shown::until(&sidecar, Duration::from_secs(10), "it is back", |shown| {
        shown.member(&endpoint).healthy()
    });
    println!("back after {:?}", back.await);
    let report = traffic.stop();
    println!("{report:?}");
    assert!(report.answered > 100, "{report:?}");
}

#[tokio::test]
async fn a_member_of_a_foreign_cluster_gets_no_calls() {
    let _turn = beside_others().await;
    let (cluster, foreign) = (Cluster::start(3), Etcd::start());
    let endpoints = [cluster.endpoints(), foreign.endpoints()].concat();
    let sidecar = Sidecar::start(&endpoints);
    shown::until(&sidecar, Duration::from_secs(10), "the foreign one is recognised", |shown| {
        shown.member(&foreign.endpoint()).out("foreign cluster")
            && shown.members.iter().filter(|it| it.healthy()).count() == 3
    })
    .await;
    let channel = connect(&sidecar).await;
    for round in 0..100 {
        put(&channel, "key", &round.to_string()).await.expect("a put succeeds");
        for serializable in [false, true] {
            let read = get(&channel, "key", serializable).await.expect("a get succeeds");
            assert_eq!(read.kvs[0].value, round.to_string());
        }
        let _: pb::StatusResponse =
            channel.call(STATUS, &pb::StatusRequest {}).await.expect("Status succeeds");
    }
    // Also when nobody else is left: another cluster's data are worse than none.
    let mut cluster = cluster;
    cluster.members.iter_mut().for_each(Etcd::kill);
    let down = Instant::now();
    until(Duration::from_secs(5), "the sidecar sees that they are gone", async || {
        get(&channel, "key", true).await.is_err()
    })
    .await;
    while down.elapsed() < Duration::from_secs(3) {
        assert!(get(&channel, "key", true).await.is_err());
        assert!(put(&channel, "key", "value").await.is_err());
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(asked_for_clients(&foreign), []);
}
