//! Watches, keep-alives and long answers, shared and passed through.

use etcdlet::proto::etcdserverpb as pb;
use http::HeaderMap;
use pb::watch_request::RequestUnion;
use prost::Message;
use serde_json::json;

use super::{Log, SOON, audited};
use crate::support::etcd::Etcd;
use crate::support::grpc::{Channel, End, Event, Stream};
use crate::support::sidecar::Sidecar;

const SHARED: &str = "";
const PASSED: &str = "watch: {coalesce: false}\nlease: {coalesce: false}";

async fn put(channel: &Channel, key: &'static str) -> i64 {
    let request = pb::PutRequest { key: key.into(), ..Default::default() };
    let response: pb::PutResponse = channel.call("/etcdserverpb.KV/Put", &request).await.unwrap();
    response.header.unwrap().revision
}

async fn start(etcd: &Etcd, more: &str) -> (Sidecar, Log, Channel) {
    let (sidecar, log) = audited(&etcd.endpoints(), "all", more);
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    (sidecar, log, channel)
}

fn send(stream: &mut Stream, request: RequestUnion) {
    stream.send_message(&pb::WatchRequest { request_union: Some(request) });
}

#[tokio::test]
async fn every_watch_has_a_line_when_it_is_created_and_its_stream_one_at_the_end() {
    for more in [SHARED, PASSED] {
        let etcd = Etcd::start();
        let (_sidecar, log, channel) = start(&etcd, more).await;
        let first = put(&channel, "/w/a").await;
        let mut watch = channel.stream("/etcdserverpb.Watch/Watch", HeaderMap::new()).await.unwrap();
        let create = pb::WatchCreateRequest {
            key: "/w/".into(),
            range_end: "/w0".into(),
            start_revision: first,
            ..Default::default()
        };
        send(&mut watch, RequestUnion::CreateRequest(create));
        let created: pb::WatchResponse = watch.next_message(SOON).await;
        assert!(created.created);
        let line = log.wait(&json!({"op": "watch-create", "key": "/w/", "range_end": "/w0"})).await;
        let revision = created.header.unwrap().revision;
        let expected = json!({"code": "OK", "watch_id": 0, "start_revision": first, "revision": revision});
        assert!(super::has(&line, &expected), "{line}");
        let events: pb::WatchResponse = watch.next_message(SOON).await;
        assert_eq!(events.events.len(), 1);
        send(&mut watch, RequestUnion::CancelRequest(pb::WatchCancelRequest { watch_id: 0 }));
        let canceled: pb::WatchResponse = watch.next_message(SOON).await;
        assert!(canceled.canceled);
        drop(watch);
        let line = log.wait(&json!({"op": "watch", "code": "Canceled"})).await;
        let expected = json!({"creates": 1, "cancels": 1, "messages_in": 2, "messages_out": 3});
        assert!(super::has(&line, &expected), "{line}");
        assert_eq!(line["member"], etcd.endpoint(), "{line}");
    }
}

#[tokio::test]
async fn a_watch_that_is_refused_says_why() {
    for more in [SHARED, PASSED] {
        let etcd = Etcd::start();
        etcd.run_etcdctl(&["user", "add", "root:root"]);
        etcd.run_etcdctl(&["user", "grant-role", "root", "root"]);
        etcd.run_etcdctl(&["auth", "enable"]);
        let (_sidecar, log, channel) = start(&etcd, more).await;
        let mut watch = channel.stream("/etcdserverpb.Watch/Watch", HeaderMap::new()).await.unwrap();
        let create = pb::WatchCreateRequest { key: "k".into(), ..Default::default() };
        send(&mut watch, RequestUnion::CreateRequest(create));
        let refused: pb::WatchResponse = watch.next_message(SOON).await;
        let line = log.wait(&json!({"op": "watch-create", "key": "k"})).await;
        assert_eq!(line["error"], refused.cancel_reason, "{line}");
        let code = refused.cancel_reason.split(' ').nth(4);
        assert_eq!(line["code"].as_str(), code, "{line}");
    }
}

#[tokio::test]
async fn a_keep_alive_stream_has_one_line_with_its_leases() {
    for more in [SHARED, PASSED] {
        let etcd = Etcd::start();
        let (_sidecar, log, channel) = start(&etcd, more).await;
        for id in [0xabc, 0xdef] {
            let request = pb::LeaseGrantRequest { id, ttl: 600 };
            let _: pb::LeaseGrantResponse =
                channel.call("/etcdserverpb.Lease/LeaseGrant", &request).await.unwrap();
        }
        let mut stream =
            channel.stream("/etcdserverpb.Lease/LeaseKeepAlive", HeaderMap::new()).await.unwrap();
        for id in [0xabc, 0xdef, 0xabc] {
            stream.send_message(&pb::LeaseKeepAliveRequest { id });
            let _: pb::LeaseKeepAliveResponse = stream.next_message(SOON).await;
        }
        stream.half_close();
        assert!(matches!(stream.next(SOON).await, Event::End(End::Trailers(_))));
        let line = log.wait(&json!({"op": "lease-keep-alive"})).await;
        let expected = json!({"leases": ["abc", "def"], "messages_in": 3, "messages_out": 3, "code": "OK"});
        assert!(super::has(&line, &expected), "{line}");
    }
}

#[tokio::test]
async fn a_snapshot_has_a_line_with_its_length() {
    let etcd = Etcd::start();
    let (_sidecar, log, channel) = start(&etcd, SHARED).await;
    let answer = channel.unary("/etcdserverpb.Maintenance/Snapshot", HeaderMap::new(), &[]).await;
    let length: usize = answer.messages.iter().map(|message| 5 + message.bytes.len()).sum();
    let line = log.wait(&json!({"op": "snapshot"})).await;
    assert_eq!(
        (line["bytes_out"].as_u64(), line["code"].as_str()),
        (Some(length as u64), Some("OK")),
        "{line}"
    );
}

#[tokio::test]
async fn a_transaction_of_many_keys_names_as_many_as_it_may() {
    let etcd = Etcd::start();
    let (_sidecar, log, channel) = start(&etcd, SHARED).await;
    let put = |key: usize| {
        let put = pb::PutRequest { key: key.to_string().into(), ..Default::default() };
        pb::RequestOp { request: Some(pb::request_op::Request::RequestPut(put)) }
    };
    let request = pb::TxnRequest { success: (0..100).map(put).collect(), ..Default::default() };
    channel.unary("/etcdserverpb.KV/Txn", HeaderMap::new(), &request.encode_to_vec()).await;
    let line = log.wait(&json!({"op": "txn", "code": "OK", "ops_left_out": 68})).await;
    assert_eq!(line["ops"].as_array().unwrap().len(), 32, "{line}");
}
