//! A cluster out of space: what frees space must get through, what takes more is refused by etcd itself.

use std::time::Duration;

use etcdlet::proto::etcdserverpb as pb;
use pb::alarm_request::AlarmAction;

use super::{
    PUT, RANGE, STATUS, beside_others, connect, connect_to, get, in_front, put, range, shown, until,
};
use crate::support::etcd::{Cluster, Options};
use crate::support::grpc::{Channel, Status, metadata};

#[tokio::test]
async fn a_cluster_without_space_is_brought_back_through_the_sidecar() {
    let _turn = beside_others().await;
    let quota = format!("--quota-backend-bytes={QUOTA}");
    let cluster = Options::default().flag(quota).start_cluster(3);
    let sidecar = in_front(&cluster).await;
    let channel = connect(&sidecar).await;

    let refused = fill(&channel).await;
    assert_eq!(refused, no_space());
    every_member_refuses(&cluster).await;
    let has_alarm = |it: &shown::ShownMember| it.alarms.iter().any(|alarm| alarm.contains("NOSPACE"));
    shown::until(&sidecar, Duration::from_secs(10), "the alarm is shown", |shown| {
        shown.members.iter().all(|it| has_alarm(it) && it.healthy())
    })
    .await;
    assert_eq!(put(&channel, "small", "value").await.expect_err("there is no space"), no_space());

    // Reads of both kinds, and the answers say how far to compact.
    get(&channel, "large/0", true).await.expect("a serializable get succeeds");
    assert!(delete(&channel, "large/", "large0").await > 5);
    let read = get(&channel, "large/0", false).await.expect("a get succeeds");
    assert!(read.kvs.is_empty(), "{read:?}");
    let revision = read.header.expect("etcd sends one").revision;
    let compact = pb::CompactionRequest { revision, physical: true };
    let _: pb::CompactionResponse =
        channel.call("/etcdserverpb.KV/Compact", &compact).await.expect("a compaction goes through");

    for index in 0..cluster.members.len() {
        defragment(&channel, &cluster, index).await;
    }
    disarm(&channel).await;
    put(&channel, "small", "value").await.expect("there is space again");
    let all = pb::RangeRequest { range_end: "z".into(), ..range("a", false) };
    let left: pb::RangeResponse = channel.call(RANGE, &all).await.expect("a get succeeds");
    assert_eq!(left.kvs.len(), 1);
}

/// Puts until one is refused, and says how.
async fn fill(channel: &Channel) -> Status {
    for key in 0..200 {
        let put = pb::PutRequest {
            key: format!("large/{key}").into(),
            value: vec![key; 200_000].into(),
            ..Default::default()
        };
        if let Err(status) = channel.call::<_, pb::PutResponse>(PUT, &put).await {
            return status;
        }
    }
    panic!("the quota of {QUOTA} bytes is never reached");
}

/// The alarm reaches the others a moment later than the member that raised it.
async fn every_member_refuses(cluster: &Cluster) {
    for member in &cluster.members {
        let direct = connect_to(member).await;
        until(Duration::from_secs(5), "the member has the alarm", async || {
            put(&direct, "small", "value").await.is_err_and(|status| status == no_space())
        })
        .await;
    }
}

/// How many keys it deleted.
async fn delete(channel: &Channel, key: &'static str, range_end: &'static str) -> i64 {
    let request =
        pb::DeleteRangeRequest { key: key.into(), range_end: range_end.into(), ..Default::default() };
    let deleted: pb::DeleteRangeResponse =
        channel.call("/etcdserverpb.KV/DeleteRange", &request).await.expect("a delete goes through");
    deleted.deleted
}

/// Defragments one member by its name: its file shrinks, and no other one.
async fn defragment(channel: &Channel, cluster: &Cluster, index: usize) {
    let before = sizes(cluster).await;
    let name = cluster.members[index].name();
    // Only once it has compacted, which a follower does in its own time, there is something to give back.
    until(Duration::from_secs(10), "the member's file shrinks", async || {
        let request = pb::DefragmentRequest {};
        let path = "/etcdserverpb.Maintenance/Defragment";
        let _: pb::DefragmentResponse = channel
            .call_with(path, metadata(&[("etcdlet-member", name)]), &request)
            .await
            .expect("a defragmentation goes through");
        sizes(cluster).await[index] < before[index] / 4
    })
    .await;
    let after = sizes(cluster).await;
    println!("sizes before and after the defragmentation of {name}: {before:?}, {after:?}");
    for (other, (before, after)) in before.into_iter().zip(after).enumerate() {
        assert!(other == index || before == after, "member {other} was defragmented, {index} was meant");
    }
}

async fn disarm(channel: &Channel) {
    let all = alarms(channel, pb::AlarmRequest::default()).await;
    assert!(!all.is_empty() && all.iter().all(|it| it.alarm() == pb::AlarmType::Nospace), "{all:?}");
    // The alarm stays until somebody says that it is over.
    assert_eq!(put(channel, "small", "value").await.expect_err("the alarm is on"), no_space());
    for pb::AlarmMember { member_id, alarm } in all {
        let action = AlarmAction::Deactivate.into();
        let gone = alarms(channel, pb::AlarmRequest { action, member_id, alarm }).await;
        assert_eq!(gone, [pb::AlarmMember { member_id, alarm }]);
    }
    assert_eq!(alarms(channel, pb::AlarmRequest::default()).await, []);
}

async fn alarms(channel: &Channel, request: pb::AlarmRequest) -> Vec<pb::AlarmMember> {
    let answer: pb::AlarmResponse =
        channel.call("/etcdserverpb.Maintenance/Alarm", &request).await.expect("alarms are answered");
    answer.alarms
}

/// Of the members' files.
async fn sizes(cluster: &Cluster) -> Vec<i64> {
    let mut sizes = Vec::new();
    for member in &cluster.members {
        let direct = connect_to(member).await;
        let status: pb::StatusResponse =
            direct.call(STATUS, &pb::StatusRequest {}).await.expect("a member tells its status");
        sizes.push(status.db_size);
    }
    sizes
}

/// etcd's own words.
fn no_space() -> Status {
    Status { code: Some(8), message: "etcdserver: mvcc: database space exceeded".into() }
}

const QUOTA: usize = 4 << 20;
