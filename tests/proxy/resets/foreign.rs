//! Members of another cluster, which answer like any other: their word must not be taken for our cluster's.

use std::time::{Duration, Instant};

use bytes::Bytes;
use etcdlet::proto::etcdserverpb as pb;
use http::HeaderMap;
use prost::Message;

use super::pair::{Pair, Question, put, range};
use super::until;
use crate::observability::metric;
use crate::support::grpc::{Answer, Channel, Status};
use crate::support::sidecar::Sidecar;
use crate::support::upstream::{Call, Report, Upstream};

/// The member has become another one's since its last probe.
#[tokio::test]
async fn a_read_that_a_foreign_member_answers_is_asked_of_another_one() {
    for read in [range(false), range(true)] {
        let script = |number, call| answer_of(if number == 0 { OTHER } else { OURS }, call);
        let pair = of_one_cluster(script).await;
        let answer = pair.ask(&read).await;
        assert_eq!(header(&answer).cluster_id, OURS.cluster_id, "{}", read.name);
        pair.assert_alternating(2, read.name);
        assert_eq!((pair.retries("foreign"), foreign_answers(&pair)), (1.0, 1.0), "{}", read.name);
        assert_eq!(watermark(&pair), 5.0, "{}", read.name);
    }
}

#[tokio::test]
async fn a_read_that_only_foreign_members_answer_fails() {
    let pair = of_one_cluster(|_, call| answer_of(OTHER, call)).await;
    let Status { code, message } = pair.ask(&range(false)).await.status();
    assert_eq!(
        (code, message.as_str()),
        (Some(14), "etcdlet: the member that answered is of another cluster, 9")
    );
    assert_eq!(watermark(&pair), 0.0);
}

/// What happened there is not undone by an error.
#[tokio::test]
async fn a_write_that_a_foreign_member_took_is_told_and_proves_nothing() {
    let pair = of_one_cluster(|_, call| answer_of(OTHER, call)).await;
    assert_eq!(header(&pair.ask(&put()).await).cluster_id, OTHER.cluster_id);
    assert_eq!((pair.seen().len(), watermark(&pair)), (1, 0.0));
}

#[tokio::test]
async fn a_watch_that_a_foreign_member_answers_ends_unavailable_before_its_first_word() {
    let script = |_, mut call: Call| async move {
        let mut answering = call.begin().expect("the call is alive");
        let created = pb::WatchResponse { header: Some(OTHER), created: true, ..Default::default() };
        answering.send(frame(&created.encode_to_vec()));
        std::future::pending::<()>().await;
    };
    let pair = of_one_cluster(script).await;
    let watch = pair.channel.stream(super::WATCH, HeaderMap::new()).await.expect("a stream opens");
    let answer = watch.answer(Duration::from_secs(5)).await;
    assert_eq!(answer.status().code, Some(14), "{answer:?}");
    assert!(answer.messages.is_empty(), "{answer:?}");
    assert_eq!(watermark(&pair), 0.0);
}

/// Whose cluster is named by hand, no endpoint gets a call before it has said that it belongs to it.
#[tokio::test]
async fn with_a_cluster_by_hand_an_endpoint_has_to_prove_itself_first() {
    let upstream = Upstream::start(|call| answer_of(OURS, call));
    upstream.ignore_probes();
    let (sidecar, channel) = in_front_of_cluster(&upstream, "5").await;
    let Question { path, message, .. } = put();
    let asking = tokio::spawn(async move { channel.unary(path, HeaderMap::new(), &message).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(upstream.calls(), 0, "nobody knows whose it is");
    assert!(!asking.is_finished(), "nothing speaks against it yet");
    upstream.report(report(OURS, 1));
    let answer = asking.await.unwrap();
    assert_eq!(answer.status().code, Some(0), "{answer:?}: {}", sidecar.log());
}

#[tokio::test]
async fn with_a_cluster_by_hand_a_foreign_endpoint_gets_no_call() {
    let upstream = Upstream::start(|call| answer_of(OTHER, call));
    upstream.report(report(OTHER, 1));
    let (_sidecar, channel) = in_front_of_cluster(&upstream, "5").await;
    let started = Instant::now();
    for question in [put(), range(true), range(false)] {
        let status = channel.unary(question.path, HeaderMap::new(), &question.message).await.status();
        assert_eq!(status.code, Some(14), "{}", question.name);
        let expected = format!("{}: foreign cluster: its cluster is 9", upstream.url());
        assert!(status.message.ends_with(&expected), "{}: {status:?}", question.name);
    }
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert_eq!(upstream.calls(), 0);
}

async fn in_front_of_cluster(upstream: &Upstream, id: &str) -> (Sidecar, Channel) {
    let sidecar = Sidecar::with_config(&format!(
        "
listen: [{{url: 'http://{{listen}}'}}]
upstream: {{endpoints: ['{}'], cluster-id: '{id}'}}
admin: {{url: 'http://{{admin}}'}}
watch: {{coalesce: false}}
",
        upstream.url()
    ));
    let channel = Channel::connect(&sidecar.url()).await.expect("etcdlet accepts");
    (sidecar, channel)
}

/// Both say that they are of our cluster, and the sidecar knows it.
async fn of_one_cluster<F>(script: impl Fn(usize, Call) -> F + Clone + Send + Sync + 'static) -> Pair
where
    F: Future<Output = ()> + Send + 'static,
{
    let pair = Pair::start("retry: {read-limit: 300ms}", script).await;
    for (member, number) in pair.members.iter().zip(1..) {
        member.report(report(OURS, number));
    }
    // They are asked again now and then; a connection that ends makes it soon.
    pair.members[0].kill_connections();
    let known = "\"cluster_id\":\"5\"";
    until(Duration::from_secs(20), "the cluster is known", || {
        pair.sidecar.admin_get("/cluster").1.replace(' ', "").matches(known).count() > 0
    })
    .await;
    pair
}

/// The first one leads.
fn report(of: pb::ResponseHeader, member_id: u64) -> Report {
    let pb::ResponseHeader { cluster_id, revision, raft_term: term, .. } = of;
    Report { cluster_id, member_id, term, leader: 1, revision, learner: false }
}

fn frame(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).expect("it is short").to_be_bytes();
    [&[0], &length[..], message].concat().into()
}

async fn answer_of(header: pb::ResponseHeader, call: Call) {
    call.answer(&pb::RangeResponse { header: Some(header), ..Default::default() }.encode_to_vec()).await;
}

fn header(answer: &Answer) -> pb::ResponseHeader {
    assert_eq!(answer.status().code, Some(0), "{answer:?}");
    answer.messages[0].decode::<pb::RangeResponse>().header.expect("an answer has a header")
}

fn watermark(pair: &Pair) -> f64 {
    metric(&pair.sidecar, "etcdlet_watermark_revision")
}

fn foreign_answers(pair: &Pair) -> f64 {
    metric(&pair.sidecar, "etcdlet_upstream_failures_total{reason=\"foreign\"}")
}

const OURS: pb::ResponseHeader =
    pb::ResponseHeader { cluster_id: 5, member_id: 1, revision: 5, raft_term: 2 };
const OTHER: pb::ResponseHeader =
    pb::ResponseHeader { cluster_id: 9, member_id: 7, revision: 100, raft_term: 2 };
