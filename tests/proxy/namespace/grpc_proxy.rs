//! Beside `etcd grpc-proxy start --namespace`: the same keys in the store, the same answers, where that one is right.
//! Its locks and elections leave the namespace, and one cannot watch there what etcd's client would not ask for.

use etcdlet::proto::etcdserverpb as pb;
use pb::request_op::Request;

use super::{DELETE, GRANT, RANGE, TIME_TO_LIVE, TXN, connect, events, keys, put, watch};
use crate::support::etcd::{Etcd, GrpcProxy};
use crate::support::grpc::Channel;
use crate::support::sidecar::Sidecar;

fn get(key: &'static [u8], end: &'static [u8]) -> pb::RangeRequest {
    pb::RangeRequest { key: key.into(), range_end: end.into(), ..Default::default() }
}

/// What somebody sees who does everything that both can, without what tells two clusters apart.
async fn seen(channel: &Channel) -> Vec<String> {
    let mut seen = Vec::new();
    let mut everything = watch(channel, b"\0", b"\0").await;
    for key in ["a", "b", "c/1", "c/2", "\u{ff}"] {
        let mut done = put(channel, key, "1").await;
        done.header = None;
        seen.push(format!("{done:?}"));
    }
    seen.push(format!("{:?}", events(&mut everything, 5).await));
    for (key, end) in [(&b"\0"[..], &b"\0"[..]), (b"c/", b"c0"), (b"b", b""), (b"b", b"\0"), (b"z", b"a")] {
        let answer: pb::RangeResponse = channel.call(RANGE, &get(key, end)).await.unwrap();
        seen.push(format!("{:?} {} {:?}", answer.count, answer.more, answer.kvs));
    }
    let compare = pb::Compare {
        key: "c/".into(),
        range_end: "c0".into(),
        target: pb::compare::CompareTarget::Version as i32,
        target_union: Some(pb::compare::TargetUnion::Version(1)),
        ..Default::default()
    };
    let delete = pb::DeleteRangeRequest { key: "c/".into(), range_end: "c0".into(), prev_kv: true };
    let ops = [Request::RequestDeleteRange(delete), Request::RequestRange(get(b"a", b"\0"))];
    let nested = pb::TxnRequest {
        success: ops.map(|request| pb::RequestOp { request: Some(request) }).into(),
        ..Default::default()
    };
    let nested = pb::RequestOp { request: Some(Request::RequestTxn(nested)) };
    let txn = pb::TxnRequest { compare: vec![compare], success: vec![nested], ..Default::default() };
    let answer: pb::TxnResponse = channel.call(TXN, &txn).await.unwrap();
    seen.push(format!("{}", answer.succeeded));
    for response in answer.responses {
        seen.push(format!("{response:?}").replace(char::is_numeric, "N"));
    }
    seen.push(format!("{:?}", events(&mut everything, 2).await));
    let lease: pb::LeaseGrantResponse =
        channel.call(GRANT, &pb::LeaseGrantRequest { ttl: 600, id: 77 }).await.unwrap();
    let leased = pb::PutRequest { key: "leased".into(), lease: lease.id, ..Default::default() };
    let _put: pb::PutResponse = channel.call(super::PUT, &leased).await.unwrap();
    let asked = pb::LeaseTimeToLiveRequest { id: lease.id, keys: true };
    let told: pb::LeaseTimeToLiveResponse = channel.call(TIME_TO_LIVE, &asked).await.unwrap();
    seen.push(format!("{:?}", told.keys));
    for request in [
        pb::DeleteRangeRequest::default(),
        pb::DeleteRangeRequest { range_end: "\0".into(), ..Default::default() },
    ] {
        let refused = channel.call::<_, pb::DeleteRangeResponse>(DELETE, &request).await.unwrap_err();
        // The code is lost there.
        seen.push(refused.message);
    }
    seen
}

#[tokio::test]
async fn it_is_the_namespace_of_etcds_own_proxy() {
    let (one, other) = (Etcd::start(), Etcd::start());
    let sidecar = Sidecar::with_args(&["--endpoints", &one.endpoint(), "--namespace", "/team/"]);
    let proxy = GrpcProxy::with_args(&other, &["--namespace=/team/"]);
    let (ours, theirs) = (connect(&sidecar.url()).await, connect(&proxy.url()).await);
    let (ours, theirs) = tokio::join!(seen(&ours), seen(&theirs));
    assert_eq!(ours, theirs);
    let (one, other) = (connect(&one.endpoint()).await, connect(&other.endpoint()).await);
    let (stored, expected) = (keys(&one, b"\0", b"\0").await, keys(&other, b"\0", b"\0").await);
    assert_eq!(stored, expected);
    assert_eq!(stored, ["/team/a", "/team/b", "/team/leased", "/team/\u{ff}"]);
}
