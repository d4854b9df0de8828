//! Which member answers which call.

mod named;
mod place;

use std::time::Duration;

use etcdlet::proto::etcdserverpb as pb;

use super::{STATUS, alone, beside_others, connect, in_front, put, shown};
use crate::support::etcd::{Cluster, Options, installed_lines};
use crate::support::grpc::Channel;

#[tokio::test]
async fn status_comes_from_one_member() {
    let _turn = beside_others().await;
    let cluster = Cluster::start(3);
    let sidecar = in_front(&cluster).await;
    let mut answered_by = Vec::new();
    for _ in 0..2 {
        let channel = connect(&sidecar).await;
        for _ in 0..10 {
            answered_by.push(status(&channel).await.header.expect("etcd sends one").member_id);
        }
    }
    answered_by.dedup();
    assert_eq!(answered_by.len(), 1, "{answered_by:?}");
}

/// Clients decide by it what they may ask for, and their next call may go to the oldest.
#[tokio::test]
async fn status_never_shows_a_version_newer_than_that_of_the_oldest_member() {
    if !installed_lines().iter().any(|line| line == "3.6") {
        println!("not run: an upgrade to etcd 3.6, which is not installed");
        return;
    }
    let _turn = alone().await;
    let mut cluster = Options::default().version("3.5").start_cluster(3);
    let leader = cluster.leader();
    let before = in_front(&cluster).await;
    for follower in [(leader + 1) % 3, (leader + 2) % 3] {
        cluster.members[follower].restart_as("3.6");
        let (endpoint, new) = (cluster.members[follower].endpoint(), cluster.members[follower].version());
        shown::until(&before, Duration::from_secs(15), "the new version is known", |shown| {
            let member = shown.member(&endpoint);
            member.healthy() && member.version.as_deref() == Some(new)
        })
        .await;
        let after = in_front(&cluster).await;
        for sidecar in [&before, &after] {
            for _ in 0..10 {
                assert_eq!(status(&connect(sidecar).await).await.version, cluster.members[leader].version());
            }
        }
    }
}

#[tokio::test]
async fn move_leader_finds_the_leader() {
    let _turn = beside_others().await;
    let mut cluster = Cluster::start(3);
    let sidecar = in_front(&cluster).await;
    let channel = connect(&sidecar).await;
    let first = cluster.leader();
    for next in [first + 1, first + 2, first + 3].map(|next| next % 3) {
        let target_id = cluster.members[next].id();
        let request = pb::MoveLeaderRequest { target_id };
        let moved =
            channel.call::<_, pb::MoveLeaderResponse>("/etcdserverpb.Maintenance/MoveLeader", &request);
        moved.await.expect("the leader gives way");
        put(&channel, "key", "value").await.expect("a put finds the new leader");
        let took = shown::until(&sidecar, Duration::from_secs(2), "the new leader is known", |shown| {
            shown.leader == Some(target_id)
        });
        println!("known after {:?}", took.await);
    }
}

async fn status(channel: &Channel) -> pb::StatusResponse {
    channel.call(STATUS, &pb::StatusRequest {}).await.expect("Status succeeds")
}
