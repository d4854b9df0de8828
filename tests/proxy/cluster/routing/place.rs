//! The leader gets what only it can answer, followers get what they can, and a learner gets nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use etcdlet::proto::etcdserverpb as pb;
use http::HeaderMap;

use crate::cluster::{
    LEASE_GRANT, LEASE_LEASES, LEASE_REVOKE, RANGE, alone, asked_for_clients, connect, get, put, range,
    shown, started,
};
use crate::lifecycle::watch;
use crate::support::etcd::{Cluster, Options};
use crate::support::grpc::{Channel, PATIENCE, Stream, metadata};
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn every_call_goes_where_it_belongs() {
    let _turn = alone().await;
    let mut cluster = Options::default().flag("--strict-reconfig-check=false").start_cluster(3);
    let learner = cluster.add_learner();
    let sidecar = Sidecar::passing(&cluster.endpoints());
    let endpoint = cluster.members[learner].endpoint();
    shown::until(&sidecar, Duration::from_secs(10), "the members are known", |shown| {
        let healthy = shown.members.iter().filter(|it| it.healthy()).count();
        healthy == 3 && shown.leader.is_some() && shown.member(&endpoint).learner
    })
    .await;
    let (leader, counts) = while_nobody_is_elected(&mut cluster, &sidecar).await;
    println!("member {leader} leads, {learner} is a learner: {counts:#?}");
    for (method, counts) in counts {
        let all: u64 = counts.iter().sum();
        let at_leader = counts[leader];
        assert!(all >= calls(method), "{method}: {counts:?}");
        assert_eq!(counts[learner], 0, "{method}: the learner was asked");
        match method {
            "Range" => assert!(at_leader * 2 > all, "linearizable gets go around the leader: {counts:?}"),
            "Range, serializable" => assert!(at_leader * 10 <= all * 2, "the leader is spared: {counts:?}"),
            "Watch" => assert!(at_leader * 10 <= all * 2, "watches are at the leader: {counts:?}"),
            "Snapshot" => assert_eq!(at_leader, 0, "the leader makes a snapshot: {counts:?}"),
            _ => assert_eq!(at_leader, all, "{method} is the leader's: {counts:?}"),
        }
    }
    assert_eq!(asked_for_clients(&cluster.members[learner]), [], "the learner was asked");
}

#[tokio::test]
async fn a_learner_that_is_named_answers() {
    let _turn = alone().await;
    let mut cluster = Options::default().flag("--strict-reconfig-check=false").start_cluster(3);
    let learner = cluster.add_learner();
    let sidecar = Sidecar::start(&cluster.endpoints());
    let endpoint = cluster.members[learner].endpoint();
    shown::until(&sidecar, Duration::from_secs(10), "the learner is known", |shown| {
        let member = shown.member(&endpoint);
        member.out("learner") && member.name.as_deref() == Some(cluster.members[learner].name())
    })
    .await;
    let channel = connect(&sidecar).await;
    let named = metadata(&[("etcdlet-member", cluster.members[learner].name())]);
    let read: pb::RangeResponse = channel.call_with(RANGE, named, &range("key", true)).await.unwrap();
    assert_eq!(read.header.unwrap().member_id, cluster.members[learner].id());
}

/// How often each is called.
fn calls(what: &str) -> u64 {
    match what {
        "Alarm" => 10,
        "LeaseGrant" | "LeaseLeases" | "Watch" => 40,
        "Snapshot" => 3,
        _ => 300,
    }
}

type Counts = BTreeMap<&'static str, Vec<u64>>;

/// The leader, and for every method how often each member was asked.
async fn while_nobody_is_elected(cluster: &mut Cluster, sidecar: &Sidecar) -> (usize, Counts) {
    for _ in 0..3 {
        let leader = cluster.leader();
        let counts = count_all(cluster, sidecar).await;
        if cluster.leader() == leader {
            return (leader, counts);
        }
    }
    panic!("the cluster elects one leader after the other");
}

async fn count_all(cluster: &Cluster, sidecar: &Sidecar) -> Counts {
    let mut counts = Counts::new();
    let channel = &connect(sidecar).await;
    let work = repeat("Put", async || drop(put(channel, "key", "value").await.unwrap()));
    counts.insert("Put", counted(cluster, "Put", work).await);
    let work = repeat("Range", async || drop(get(channel, "key", false).await.unwrap()));
    counts.insert("Range", counted(cluster, "Range", work).await);
    let work = repeat("Range, serializable", async || drop(get(channel, "key", true).await.unwrap()));
    counts.insert("Range, serializable", counted(cluster, "Range", work).await);
    let work = repeat("LeaseLeases", async || leases(channel).await);
    counts.insert("LeaseLeases", counted(cluster, "LeaseLeases", work).await);
    let work = repeat("LeaseGrant", async || grant_and_revoke(channel).await);
    counts.insert("LeaseGrant", counted(cluster, "LeaseGrant", work).await);
    let work = repeat("Alarm", async || alarms(channel).await);
    counts.insert("Alarm", counted(cluster, "Alarm", work).await);
    let work = repeat("Snapshot", async || snapshot(channel).await);
    counts.insert("Snapshot", counted(cluster, "Snapshot", work).await);
    counts.insert("Watch", counted(cluster, "Watch", watches(sidecar)).await);
    counts
}

/// How many calls of `method` each member got by `work`.
async fn counted(cluster: &Cluster, method: &str, work: impl Future) -> Vec<u64> {
    let counts = || cluster.members.iter().map(|member| started(member, method)).collect::<Vec<_>>();
    let before = counts();
    // What it gives lives until all is counted: streams that stay open are among the calls.
    let _open = work.await;
    counts().into_iter().zip(before).map(|(after, before)| after - before).collect()
}

async fn repeat(method: &str, call: impl AsyncFn()) {
    for _ in 0..calls(method) {
        call().await;
    }
}

async fn leases(channel: &Channel) {
    let _: pb::LeaseLeasesResponse = channel.call(LEASE_LEASES, &pb::LeaseLeasesRequest {}).await.unwrap();
}

async fn grant_and_revoke(channel: &Channel) {
    let grant = pb::LeaseGrantRequest { ttl: 60, id: 0 };
    let granted: pb::LeaseGrantResponse = channel.call(LEASE_GRANT, &grant).await.unwrap();
    let revoke = pb::LeaseRevokeRequest { id: granted.id };
    let _: pb::LeaseRevokeResponse = channel.call(LEASE_REVOKE, &revoke).await.unwrap();
}

async fn alarms(channel: &Channel) {
    let request = pb::AlarmRequest::default();
    let none: pb::AlarmResponse = channel.call("/etcdserverpb.Maintenance/Alarm", &request).await.unwrap();
    assert_eq!(none.alarms, []);
}

async fn snapshot(channel: &Channel) {
    let mut stream =
        channel.stream("/etcdserverpb.Maintenance/Snapshot", HeaderMap::new()).await.expect("a stream opens");
    stream.send(b"");
    stream.half_close();
    let answer = stream.answer(PATIENCE).await;
    assert_eq!(answer.status().code, Some(0));
    assert!(answer.messages.len() > 1);
}

/// Over several connections, as many clients have them.
async fn watches(sidecar: &Sidecar) -> Vec<(Channel, Stream)> {
    let mut open = Vec::new();
    for _ in 0..calls("Watch") {
        let channel = connect(sidecar).await;
        let stream = watch(&channel, "key").await;
        open.push((channel, stream));
    }
    open
}
