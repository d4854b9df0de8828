//! A stream that is passed through to a member ends with that member: soon, and in a way that clients retry.

use std::time::{Duration, Instant};

use etcdlet::proto::etcdserverpb as pb;
use futures_util::future::join_all;
use http::HeaderMap;
use tokio::time::sleep;

use super::{ALONE, WARM_UP};
use crate::http1::client::{Connection, post};
use crate::support::etcd::{Cluster, Etcd};
use crate::support::grpc::{Answer, Channel, End, Event, Stream};
use crate::support::load::Load;
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn watches_on_a_killed_member_end_unavailable_within_a_second_under_load() {
    watches_end_unavailable("kill -9 under load", Etcd::kill, true, Duration::from_secs(1)).await;
}

#[tokio::test]
async fn idle_watches_on_a_killed_member_end_unavailable_within_seven_seconds() {
    watches_end_unavailable("kill -9 when idle", Etcd::kill, false, Duration::from_secs(7)).await;
}

#[tokio::test]
async fn watches_on_a_frozen_member_end_unavailable_within_a_second_under_load() {
    watches_end_unavailable("SIGSTOP under load", Etcd::freeze, true, Duration::from_secs(1)).await;
}

#[tokio::test]
async fn idle_watches_on_a_frozen_member_end_unavailable_within_seven_seconds() {
    watches_end_unavailable("SIGSTOP when idle", Etcd::freeze, false, Duration::from_secs(7)).await;
}

/// The JSON gateway's calls do not wait for the member to wake up either.
#[tokio::test]
async fn calls_of_http_1_on_a_frozen_leader_end_soon_after_the_election() {
    let _alone = ALONE.lock().await;
    let mut cluster = Cluster::start(3);
    let sidecar = Sidecar::start(&cluster.endpoints());
    let load = Load::start(&sidecar.url());
    sleep(WARM_UP).await;
    let leader = cluster.leader();
    let mut watches = Vec::new();
    for _ in 0..WATCHES {
        let mut watch = Connection::open(&sidecar.url()).await;
        watch.send(&post("/v3/watch", r#"{"create_request": {"key": "d2F0Y2hlZA=="}}"#)).await;
        assert_eq!(watch.head().await.status, 200);
        let created: serde_json::Value =
            serde_json::from_slice(&watch.chunk().await.expect("a chunk")).expect("JSON");
        let member =
            created["result"]["header"]["member_id"].as_str().expect("an id").parse().expect("a number");
        watches.push((watch, cluster.place_of(member).expect("the watch is on one of the members")));
    }
    let began = Instant::now();
    cluster.members[leader].freeze();
    let mut put = Connection::open(&sidecar.url()).await;
    let answer = put.post("/v3/kv/put", r#"{"key": "aHR0cA==", "value": "MQ=="}"#).await;
    println!("the put ended after {:.3?}: {} {}", began.elapsed(), answer.status, answer.text());
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(began.elapsed() < ELECTED, "{:?}", began.elapsed());
    for (watch, place) in &mut watches {
        let ended =
            watch.is_closed_within(if *place == leader { ELECTED } else { Duration::from_millis(10) });
        assert_eq!(ended.await, *place == leader, "a watch on {place}; {leader} is frozen");
    }
    println!("all watches on it ended after {:.3?}", began.elapsed());
    println!("{}", load.stop());
}

async fn watches_end_unavailable(what: &str, fault: fn(&mut Etcd), loaded: bool, limit: Duration) {
    let _alone = ALONE.lock().await;
    let mut cluster = Cluster::start(3);
    let sidecar = Sidecar::passing(&cluster.endpoints());
    let load = loaded.then(|| Load::start(&sidecar.url()));
    sleep(WARM_UP).await;
    let leader = cluster.leader();
    let mut watches = Vec::new();
    for _ in 0..WATCHES {
        watches.push(Watch::open(&sidecar.url()).await);
    }
    let victim = watches[0].member;
    let place = cluster.place_of(victim).expect("the watch is on one of the members");
    sleep(WARM_UP).await;

    let began = Instant::now();
    fault(&mut cluster.members[place]);
    let (ending, going_on): (Vec<Watch>, Vec<Watch>) =
        watches.into_iter().partition(|watch| watch.member == victim);
    let who = if place == leader { "the leader" } else { "a follower" };
    println!("{what}: {} of {WATCHES} watches are on {who}, which fails", ending.len());
    let ends = join_all(ending.into_iter().map(|watch| watch.end(began, limit + PATIENCE))).await;
    let mut broken = Vec::new();
    for (after, answer) in &ends {
        let status = answer.status();
        println!("{what}: ended after {:.3} s: {status:?}", after.as_secs_f64());
        if *after > limit || status.code != Some(14) {
            broken.push(format!("after {after:?}: {status:?}, {:?}", answer.end));
        }
    }
    for mut watch in going_on {
        match watch.stream.next(Duration::from_millis(10)).await {
            Event::Silence => {}
            other => broken.push(format!("a watch on another member did not go on: {other:?}")),
        }
    }
    if let Some(load) = load {
        println!("{}", load.stop());
    }
    assert!(broken.is_empty(), "{what}: allowed are {limit:?} and UNAVAILABLE: {broken:#?}");
}

struct Watch {
    stream: Stream,
    /// The id of the member that serves it.
    member: u64,
}

impl Watch {
    /// On a connection of its own.
    async fn open(url: &str) -> Self {
        let channel = Channel::connect(url).await.expect("the sidecar accepts");
        let mut stream =
            channel.stream("/etcdserverpb.Watch/Watch", HeaderMap::new()).await.expect("a stream opens");
        let create = pb::WatchCreateRequest { key: "watched".into(), ..Default::default() };
        let union = pb::watch_request::RequestUnion::CreateRequest(create);
        stream.send_message(&pb::WatchRequest { request_union: Some(union) });
        let response: pb::WatchResponse = stream.next_message(Duration::from_secs(5)).await;
        assert!(response.created, "{response:?}");
        Self { stream, member: response.header.expect("every answer has a header").member_id }
    }

    /// How it ends, and how long after `began`.
    async fn end(self, began: Instant, limit: Duration) -> (Duration, Answer) {
        let answer = self.stream.answer(limit).await;
        assert!(answer.end == End::Silence || answer.messages.is_empty(), "nobody writes: {answer:?}");
        (began.elapsed(), answer)
    }
}

const WATCHES: usize = 6;
/// The longest election timeout of etcd, and what it takes to hear of it.
const ELECTED: Duration = Duration::from_secs(4);
/// How long a watch is waited for beyond its limit, to tell how late it ended.
const PATIENCE: Duration = Duration::from_secs(5);
