//! No client of the node sees an older state than another one has seen before.

use std::time::{Duration, Instant};

use bytes::Bytes;
use etcdlet::proto::etcdserverpb as pb;
use http::HeaderMap;
use prost::Message;

use super::pair::{Pair, Question, put, range};
use super::{RANGE, until};
use crate::observability::metric;
use crate::support::grpc::{Answer, Event, metadata};
use crate::support::upstream::{Call, Report};

#[tokio::test]
async fn a_serializable_answer_that_is_too_old_is_asked_of_the_other_member() {
    let pair = Pair::start("", |number, call| answer_by(call, [10, 5, 10], number)).await;
    assert_eq!(revision(&pair.ask(&range(true)).await), 10);
    assert_eq!(metric(&pair.sidecar, "etcdlet_watermark_revision"), 10.0);
    assert_eq!(revision(&pair.ask(&range(true)).await), 10);
    let seen = pair.seen();
    assert_eq!(seen.len(), 3);
    assert_ne!(seen[1].member, seen[2].member);
    assert_eq!((pair.retries("stale"), waits(&pair, "fresh"), waits(&pair, "stale")), (1.0, 1.0, 0.0));
}

/// Whoever was written to has shown its revision as well.
#[tokio::test]
async fn a_write_is_seen_by_the_serializable_reads_behind_it() {
    let pair = Pair::start("", |number, call| answer_by(call, [10, 9, 10], number)).await;
    assert_eq!(pair.ask(&put()).await.status().code, Some(0));
    assert_eq!(revision(&pair.ask(&range(true)).await), 10);
}

#[tokio::test]
async fn an_old_answer_is_better_than_none() {
    let pair = Pair::start("", |number, call| answer_by(call, [10, 5, 6, 5], number)).await;
    assert_eq!(revision(&pair.ask(&range(true)).await), 10);
    let started = Instant::now();
    assert!([5, 6].contains(&revision(&pair.ask(&range(true)).await)));
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(250) && took < Duration::from_millis(1000), "{took:?}");
    assert_eq!((waits(&pair, "fresh"), waits(&pair, "stale")), (0.0, 1.0));
}

/// The best that came while a better one was looked for.
#[tokio::test]
async fn an_error_of_the_other_member_does_not_hide_an_old_answer() {
    let script = |number, call: Call| async move {
        match number {
            0 | 1 => answer_by(call, [10, 5, 5], number).await,
            _ => call.refuse(14, "etcdserver: request timed out"),
        }
    };
    let pair = Pair::start("", script).await;
    assert_eq!(revision(&pair.ask(&range(true)).await), 10);
    let answer = pair.ask(&range(true)).await;
    assert_eq!(answer.status().code, Some(0), "{answer:?}");
    assert_eq!(revision(&answer), 5);
    assert_eq!((waits(&pair, "fresh"), waits(&pair, "stale")), (0.0, 1.0));
}

/// Its revision is what the cluster agreed on.
#[tokio::test]
async fn a_linearizable_answer_is_never_too_old() {
    let pair = Pair::start("", |number, call| answer_by(call, [10, 5, 10], number)).await;
    assert_eq!(revision(&pair.ask(&range(true)).await), 10);
    assert_eq!(revision(&pair.ask(&range(false)).await), 5);
    assert_eq!(pair.seen().len(), 2);
}

/// What even the leader does not show is asked of a majority, which knows.
#[tokio::test]
async fn a_leader_that_has_not_applied_all_is_asked_through_a_majority() {
    let pair = led(|call| revision_by_kind(call, 5, 10)).await;
    assert_eq!(pair.ask(&put()).await.status().code, Some(0));
    let started = Instant::now();
    assert_eq!(revision(&pair.ask(&range(true)).await), 10);
    assert!(started.elapsed() < AT_ONCE, "{:?}", started.elapsed());
    assert_eq!((waits(&pair, "fresh"), waits(&pair, "stale")), (1.0, 0.0));
    assert_eq!(metric(&pair.sidecar, "etcdlet_watermark_revision"), 10.0);
}

/// Clients that only make serializable reads do not wait for what never comes.
#[tokio::test]
async fn a_cluster_that_was_restored_is_believed_as_soon_as_a_majority_says_so() {
    let pair = led(|call| revision_by_kind(call, 5, 5)).await;
    assert_eq!(pair.ask(&put()).await.status().code, Some(0));
    for _ in 0..3 {
        let started = Instant::now();
        assert_eq!(revision(&pair.ask(&range(true)).await), 5);
        assert!(started.elapsed() < AT_ONCE, "{:?}", started.elapsed());
    }
    assert_eq!((waits(&pair, "fresh"), waits(&pair, "stale")), (0.0, 0.0));
    assert_eq!(metric(&pair.sidecar, "etcdlet_restores_total"), 1.0);
    assert_eq!(metric(&pair.sidecar, "etcdlet_watermark_revision"), 5.0);
}

/// The leader is asked on a connection that has to be made first.
#[tokio::test]
async fn a_stale_list_is_asked_of_a_leader_that_is_not_connected_to_yet() {
    let pair = led_each(|member, call| async move {
        let revision = if member == 0 || call.path() != RANGE { 10 } else { 5 };
        answer_by(call, [revision], 0).await;
    })
    .await;
    assert_eq!(pair.ask(&put()).await.status().code, Some(0));
    let list =
        pb::RangeRequest { key: "a".into(), range_end: "b".into(), serializable: true, ..Default::default() };
    for _ in 0..10 {
        let question = Question { name: "a list", path: RANGE, message: list.encode_to_vec() };
        assert_eq!(revision(&pair.ask(&question).await), 10);
    }
    assert_eq!(waits(&pair, "stale"), 0.0);
}

/// Nobody is served by the search for a better answer when there is no time left for any.
#[tokio::test]
async fn a_stale_answer_comes_before_the_deadline_when_the_leader_is_silent() {
    let pair = led_each(|member, call| async move {
        if call.path() != RANGE {
            return answer_by(call, [10], 0).await;
        }
        if member == 0 {
            std::future::pending::<()>().await;
        }
        answer_by(call, [5], 0).await;
    })
    .await;
    assert_eq!(pair.ask(&put()).await.status().code, Some(0));
    let Question { path, message, .. } = range(true);
    for _ in 0..5 {
        let answer = pair.channel.unary(path, metadata(&[("grpc-timeout", "120m")]), &message).await;
        // Where the leader was the first to be asked, nobody else was.
        if answer.status().code != Some(4) {
            assert_eq!(revision(&answer), 5);
            return;
        }
    }
    panic!("no call went to the follower first");
}

/// Only what certainly went through a majority says that the cluster was restored.
#[tokio::test]
async fn a_request_that_cannot_be_looked_at_proves_no_restore() {
    let pair = led(|call| async move {
        let revision = if call.path() == RANGE { 5 } else { 10 };
        answer_by(call, [revision], 0).await;
    })
    .await;
    assert_eq!(pair.ask(&put()).await.status().code, Some(0));
    // A field of the wrong kind: some decoders let it pass.
    let malformed = Question { name: "malformed", path: RANGE, message: vec![0x0a, 1, b'a', 0x3a, 0] };
    assert_eq!(revision(&pair.ask(&malformed).await), 5);
    assert_eq!(metric(&pair.sidecar, "etcdlet_watermark_revision"), 10.0);
    assert_eq!(revision(&pair.ask(&range(false)).await), 5);
    assert_eq!(metric(&pair.sidecar, "etcdlet_watermark_revision"), 5.0);
}

/// The members know who leads and agree, but only the other one can be connected to.
#[tokio::test]
async fn a_call_for_a_leader_that_takes_no_connection_goes_through_another_member() {
    let pair = led_each(|member, mut call| async move {
        let mut answering = call.begin().expect("the call is alive");
        answering.send(Bytes::from(vec![0, 0, 0, 0, 1, member as u8]));
        std::future::pending::<()>().await;
    })
    .await;
    pair.members[0].close_new_connections();
    let started = Instant::now();
    let lock = "/v3lockpb.Lock/Lock";
    let mut stream = pair.channel.stream(lock, HeaderMap::new()).await.unwrap();
    stream.send(b"");
    stream.half_close();
    let Event::Message(message) = stream.next(Duration::from_secs(4)).await else {
        panic!("nobody answers: {}", pair.sidecar.log())
    };
    assert_eq!(message.bytes, [1].as_slice());
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}

/// A pair whose first member is known to lead.
async fn led<F>(script: impl Fn(Call) -> F + Clone + Send + Sync + 'static) -> Pair
where
    F: Future<Output = ()> + Send + 'static,
{
    led_each(move |_, call| script(call)).await
}

/// The same; `script` gets the member's place.
async fn led_each<F>(script: impl Fn(usize, Call) -> F + Clone + Send + Sync + 'static) -> Pair
where
    F: Future<Output = ()> + Send + 'static,
{
    let pair = Pair::start_each("", move |member, _, call| script(member, call)).await;
    for (member, member_id) in pair.members.iter().zip(1..) {
        member.report(Report { cluster_id: 1, member_id, term: 3, leader: 1, revision: 1, learner: false });
    }
    // They are asked again now and then; a connection that ends makes it soon.
    pair.members[0].kill_connections();
    until(Duration::from_secs(20), "the leader is known", || {
        let cluster: serde_json::Value =
            serde_json::from_str(&pair.sidecar.admin_get("/cluster").1).expect("/cluster is JSON");
        cluster["leader"].is_string()
    })
    .await;
    pair
}

/// A write has shown 10; a serializable read and a linearizable one show these.
async fn revision_by_kind(mut call: Call, serializable: i64, linearizable: i64) {
    let body = call.body().await;
    let revision = match call.path() {
        RANGE if pb::RangeRequest::decode(&body[5..]).expect("a request").serializable => serializable,
        RANGE => linearizable,
        _ => 10,
    };
    answer_by(call, [revision], 0).await;
}

/// Answers with the revision for the call of this number, or the last one.
async fn answer_by<const COUNT: usize>(call: Call, revisions: [i64; COUNT], number: usize) {
    let revision = revisions[number.min(COUNT - 1)];
    let header = pb::ResponseHeader { cluster_id: 1, member_id: 2, revision, raft_term: 3 };
    call.answer(&pb::RangeResponse { header: Some(header), ..Default::default() }.encode_to_vec()).await;
}

fn revision(answer: &Answer) -> i64 {
    assert_eq!(answer.status().code, Some(0), "{answer:?}");
    let response: pb::RangeResponse = answer.messages[0].decode();
    response.header.expect("an answer has a header").revision
}

/// Well below `watermark-wait`.
const AT_ONCE: Duration = Duration::from_millis(150);

fn waits(pair: &Pair, outcome: &str) -> f64 {
    metric(&pair.sidecar, &format!("etcdlet_watermark_waits_total{{outcome=\"{outcome}\"}}"))
}
