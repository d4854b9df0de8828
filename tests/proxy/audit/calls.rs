//! Calls with one request: each gives its line.

use std::time::Duration;

use etcdlet::proto::{authpb, etcdserverpb as pb, v3electionpb, v3lockpb};
use http::HeaderMap;
use prost::Message;
use serde_json::{Value, json};

use super::{Log, audited, stop};
use crate::support::etcd::Etcd;
use crate::support::grpc::{Channel, metadata};

const PUT: &str = "/etcdserverpb.KV/Put";
const RANGE: &str = "/etcdserverpb.KV/Range";
const TXN: &str = "/etcdserverpb.KV/Txn";

fn put(key: &str) -> pb::PutRequest {
    pb::PutRequest { key: key.to_owned().into(), value: "value".into(), ..Default::default() }
}

fn range(key: &str) -> pb::RangeRequest {
    pb::RangeRequest { key: key.to_owned().into(), ..Default::default() }
}

fn txn(key: &str) -> pb::TxnRequest {
    use pb::request_op::Request;
    let compare = pb::Compare { key: key.to_owned().into(), target: 1, ..Default::default() };
    let op = |request| vec![pb::RequestOp { request: Some(request) }];
    pb::TxnRequest {
        compare: vec![compare],
        success: op(Request::RequestPut(put(key))),
        failure: op(Request::RequestRange(range(key))),
    }
}

#[tokio::test]
async fn a_line_says_who_did_what_to_which_key_and_how_it_ended() {
    let etcd = Etcd::start();
    let (sidecar, log) = audited(&etcd.endpoints(), "all", "");
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    let agent = metadata(&[("user-agent", "test/1 \"quoted\"")]);
    let response: pb::PutResponse = channel.call_with(PUT, agent, &put("/a")).await.unwrap();
    let line = log.wait(&json!({"op": "put"})).await;
    let expected = json!({
        "path": PUT,
        "key": "/a",
        "user_agent": "test/1 \"quoted\"",
        "code": "OK",
        "revision": response.header.unwrap().revision,
        "member": etcd.endpoint(),
        "bytes_in": 5 + put("/a").encoded_len(),
    });
    assert!(super::has(&line, &expected), "{line}\n{expected}");
    assert!(line["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
    let time = line["time"].as_str().unwrap();
    assert!(time.len() == "2026-03-01T10:00:00.125Z".len() && time.ends_with('Z'), "{time}");
    assert!(line["duration_ms"].as_f64().unwrap() > 0.0 && line["bytes_out"].as_u64().unwrap() > 5, "{line}");
    for absent in ["user", "token_hash", "common_name", "error", "incomplete", "http_status"] {
        assert!(line.get(absent).is_none(), "{absent}: {line}");
    }
}

#[tokio::test]
async fn every_kind_of_call_has_its_line() {
    let etcd = Etcd::start();
    let (sidecar, log) = audited(&etcd.endpoints(), "all", "");
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    for (path, request, expected) in kinds() {
        let answer = channel.unary(path, HeaderMap::new(), &request).await;
        let mut expected = expected;
        expected["path"] = json!(path);
        let line = log.wait(&expected).await;
        let code = answer.status().code.unwrap();
        assert_eq!(line["code"] == "OK", code == 0, "{line}");
        assert_eq!(line["error"].as_str().unwrap_or_default(), answer.status().message, "{line}");
    }
}

fn kinds() -> Vec<(&'static str, Vec<u8>, Value)> {
    fn one(path: &'static str, request: &impl Message, expected: Value) -> (&'static str, Vec<u8>, Value) {
        (path, request.encode_to_vec(), expected)
    }
    let grant = pb::LeaseGrantRequest { id: 0xabc, ttl: 600 };
    let bound = pb::PutRequest { lease: 0xabc, ..put("leased") };
    let delete = pb::DeleteRangeRequest { key: "a".into(), range_end: "b".into(), ..Default::default() };
    let permission = authpb::Permission { perm_type: 1, key: "p".into(), range_end: "q".into() };
    let grant_permission = pb::AuthRoleGrantPermissionRequest { name: "r".into(), perm: Some(permission) };
    let (revoke, rest) =
        (pb::LeaseRevokeRequest { id: 0xabc }, pb::LeaseTimeToLiveRequest { id: 0xabc, keys: true });
    let compare = json!({"op": "compare", "key": "t"});
    let ops = json!([
        compare,
        {"op": "put", "branch": "success", "key": "t"},
        {"op": "range", "branch": "failure", "key": "t"},
    ]);
    vec![
        one(
            "/etcdserverpb.Lease/LeaseGrant",
            &grant,
            json!({"op": "lease-grant", "lease": "abc", "ttl": 600, "granted": "abc"}),
        ),
        one(PUT, &bound, json!({"op": "put", "key": "leased", "lease": "abc"})),
        one(RANGE, &range("leased"), json!({"op": "range", "key": "leased", "code": "OK"})),
        one(TXN, &txn("t"), json!({"op": "txn", "ops": ops, "succeeded": true})),
        one(TXN, &txn("t"), json!({"op": "txn", "ops": ops, "succeeded": false})),
        one(PUT, &put("a1"), json!({"key": "a1"})),
        one(
            "/etcdserverpb.KV/DeleteRange",
            &delete,
            json!({"op": "delete", "key": "a", "range_end": "b", "deleted": 1}),
        ),
        one(
            "/etcdserverpb.KV/Compact",
            &pb::CompactionRequest { revision: 2, physical: false },
            json!({"op": "compact", "compact_revision": 2}),
        ),
        one(
            "/etcdserverpb.Lease/LeaseTimeToLive",
            &rest,
            json!({"op": "lease-time-to-live", "lease": "abc"}),
        ),
        one("/etcdserverpb.Lease/LeaseLeases", &pb::LeaseLeasesRequest {}, json!({"op": "lease-list"})),
        one("/etcdserverpb.Lease/LeaseRevoke", &revoke, json!({"op": "lease-revoke", "lease": "abc"})),
        one("/etcdserverpb.Lease/LeaseRevoke", &revoke, json!({"code": "NotFound", "lease": "abc"})),
        one(
            "/etcdserverpb.Cluster/MemberList",
            &pb::MemberListRequest::default(),
            json!({"op": "member-list"}),
        ),
        one(
            "/etcdserverpb.Cluster/MemberRemove",
            &pb::MemberRemoveRequest { id: 7 },
            json!({"op": "member-remove", "target_member": "7"}),
        ),
        one("/etcdserverpb.Maintenance/Alarm", &pb::AlarmRequest::default(), json!({"op": "alarm"})),
        one("/etcdserverpb.Maintenance/Status", &pb::StatusRequest {}, json!({"op": "status"})),
        one("/etcdserverpb.Maintenance/HashKV", &pb::HashKvRequest::default(), json!({"op": "hash-kv"})),
        one("/etcdserverpb.Maintenance/Defragment", &pb::DefragmentRequest {}, json!({"op": "defragment"})),
        one(
            "/etcdserverpb.Auth/RoleAdd",
            &pb::AuthRoleAddRequest { name: "r".into() },
            json!({"op": "role-add", "target_role": "r"}),
        ),
        one(
            "/etcdserverpb.Auth/RoleGrantPermission",
            &grant_permission,
            json!({"op": "role-grant-permission", "target_role": "r", "permission": "WRITE", "key": "p", "range_end": "q"}),
        ),
        one(
            "/etcdserverpb.Auth/UserAdd",
            &pb::AuthUserAddRequest { name: "u".into(), password: "p".into(), ..Default::default() },
            json!({"op": "user-add", "target_user": "u"}),
        ),
        one(
            "/etcdserverpb.Auth/UserGrantRole",
            &pb::AuthUserGrantRoleRequest { user: "u".into(), role: "r".into() },
            json!({"op": "user-grant-role", "target_user": "u", "target_role": "r"}),
        ),
        one(
            "/etcdserverpb.Auth/Authenticate",
            &pb::AuthenticateRequest { name: "u".into(), password: "p".into() },
            json!({"op": "authenticate", "target_user": "u", "code": "FailedPrecondition"}),
        ),
        one(
            "/v3lockpb.Lock/Lock",
            &v3lockpb::LockRequest { name: "mutex".into(), lease: 0 },
            json!({"op": "lock", "key": "mutex"}),
        ),
        one(
            "/v3electionpb.Election/Campaign",
            &v3electionpb::CampaignRequest { name: "e".into(), value: "v".into(), lease: 0 },
            json!({"op": "campaign", "key": "e"}),
        ),
        one(
            "/v3electionpb.Election/Leader",
            &v3electionpb::LeaderRequest { name: "e".into() },
            json!({"op": "leader", "key": "e"}),
        ),
        one("/grpc.health.v1.Health/Check", &pb::StatusRequest {}, json!({"op": "health"})),
        ("/etcdserverpb.KV/Future", b"\n\x01k".to_vec(), json!({"op": "unknown", "code": "Unimplemented"})),
        (PUT, b"\n\x05cut".to_vec(), json!({"op": "put", "incomplete": true})),
    ]
}

#[tokio::test]
async fn calls_that_get_no_answer_have_their_lines_too() {
    let (sidecar, log) = audited(
        &["http://127.0.0.1:1".to_owned()],
        "all",
        "hold: {timeout: 50ms}\nretry: {read-limit: 50ms}",
    );
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    for (path, request, key) in
        [(PUT, put("/lost").encode_to_vec(), "/lost"), (RANGE, range("/unread").encode_to_vec(), "/unread")]
    {
        let answer = channel.unary(path, HeaderMap::new(), &request).await;
        let line = log.wait(&json!({"key": key})).await;
        assert_eq!(line["code"], "Unavailable", "{line}");
        assert_eq!(line["error"].as_str(), Some(answer.status().message.as_str()));
        assert!(line.get("member").is_none(), "{line}");
    }
    let named = metadata(&[("etcdlet-member", "nobody")]);
    channel.unary(RANGE, named, &range("/named").encode_to_vec()).await;
    // Refused before it was read.
    log.wait(&json!({"op": "range", "incomplete": true, "code": "NotFound"})).await;
}

#[tokio::test]
async fn a_call_that_its_client_gives_up_is_told() {
    let etcd = Etcd::start();
    let (sidecar, log) = audited(&etcd.endpoints(), "writes", "");
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    let request = v3lockpb::LockRequest { name: "mutex".into(), lease: 0 };
    let held: v3lockpb::LockResponse = channel.call("/v3lockpb.Lock/Lock", &request).await.unwrap();
    log.wait(&json!({"op": "lock", "code": "OK"})).await;
    let mut waiting = channel.stream("/v3lockpb.Lock/Lock", HeaderMap::new()).await.unwrap();
    waiting.send_message(&request);
    waiting.half_close();
    assert!(waiting.headers(Duration::from_millis(200)).await.is_none(), "{held:?}");
    drop(waiting);
    let line = log.wait(&json!({"op": "lock", "code": "Canceled"})).await;
    assert_eq!(line["key"], "mutex");
    assert!(line["duration_ms"].as_f64().unwrap() > 100.0, "{line}");
}

#[tokio::test]
async fn a_request_in_pieces_or_with_its_key_behind_its_value_tells_its_key() {
    let etcd = Etcd::start();
    let (sidecar, log) = audited(&etcd.endpoints(), "writes", "");
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    let value = vec![b'x'; 700 << 10];
    // Field 2, then field 1.
    let mut request = pb::PutRequest { value: value.clone().into(), ..Default::default() }.encode_to_vec();
    request.extend(put("/behind").encode_to_vec());
    channel.unary(PUT, HeaderMap::new(), &request).await;
    let line = log.wait(&json!({"key": "/behind", "code": "OK"})).await;
    assert!(line.get("incomplete").is_none(), "{line}");
    // More than is kept of a request, and than etcd takes.
    let request = pb::PutRequest { value: vec![b'x'; 3 << 20].into(), ..put("/long") }.encode_to_vec();
    channel.unary(PUT, HeaderMap::new(), &request).await;
    let line = log.wait(&json!({"key": "/long", "incomplete": true})).await;
    assert_ne!(line["code"], "OK", "{line}");
}

#[tokio::test]
async fn only_writes_are_told_where_that_is_wanted() {
    let etcd = Etcd::start();
    let (mut sidecar, log) = audited(&etcd.endpoints(), "writes", "");
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    let read_only = pb::TxnRequest { success: txn("t").failure, ..txn("t") };
    for (path, request) in [
        (RANGE, range("a").encode_to_vec()),
        (TXN, read_only.encode_to_vec()),
        ("/etcdserverpb.Maintenance/Alarm", Vec::new()),
        ("/etcdserverpb.Maintenance/Status", Vec::new()),
        ("/etcdserverpb.Cluster/MemberList", Vec::new()),
        (PUT, put("a").encode_to_vec()),
        (TXN, txn("t").encode_to_vec()),
    ] {
        channel.unary(path, HeaderMap::new(), &request).await;
    }
    crate::http1::client::Connection::open(&sidecar.url()).await.get("/health").await;
    stop(&mut sidecar).await;
    let ops: Vec<Value> = log.lines().iter().map(|line| line["op"].clone()).collect();
    assert_eq!(ops, ["put", "txn"]);
}

#[tokio::test]
async fn etcdctl_is_told_as_any_client() {
    let etcd = Etcd::start();
    let (sidecar, log) = audited(&etcd.endpoints(), "all", "");
    let etcdctl = |arguments: &[&str]| {
        let endpoints = format!("--endpoints={}", sidecar.url());
        let output = etcd.etcdctl().arg(endpoints).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    etcdctl(&["put", "/ctl/a", "value"]);
    etcdctl(&["get", "--prefix", "/ctl/"]);
    etcdctl(&["del", "--from-key", "/ctl/"]);
    let line = log.wait(&json!({"op": "put", "key": "/ctl/a", "code": "OK"})).await;
    assert!(line["user_agent"].as_str().unwrap().contains("grpc-go"), "{line}");
    log.wait(&json!({"op": "range", "key": "/ctl/", "range_end": "/ctl0"})).await;
    log.wait(&json!({"op": "delete", "key": "/ctl/", "range_end_base64": "AA==", "deleted": 1})).await;
}

#[tokio::test]
async fn keys_are_told_as_the_cluster_stores_them() {
    let etcd = Etcd::start();
    let (sidecar, log) = audited(&etcd.endpoints(), "all", "namespace: ns/");
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    let response: pb::PutResponse = channel.call(PUT, &put("a")).await.unwrap();
    let revision = response.header.unwrap().revision;
    let line = log.wait(&json!({"op": "put", "key": "ns/a", "code": "OK", "revision": revision})).await;
    assert_eq!(line["member"], etcd.endpoint(), "{line}");
    let all = pb::RangeRequest { range_end: "\0".into(), ..range("\0") };
    channel.unary(RANGE, HeaderMap::new(), &all.encode_to_vec()).await;
    log.wait(&json!({"op": "range", "key_base64": "bnMvAA==", "range_end": "ns0"})).await;
    assert_eq!(etcd.run_etcdctl(&["get", "ns/a", "--print-value-only"]), "value\n");
}

#[tokio::test]
async fn nothing_is_told_by_default() {
    let etcd = Etcd::start();
    let log = Log { directory: tempfile::tempdir().unwrap() };
    let sidecar = super::told_in(&log.path(), &etcd.endpoints(), "off", "");
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    channel.unary(PUT, HeaderMap::new(), &put("a").encode_to_vec()).await;
    assert!(!log.path().exists());
    assert!(!sidecar.metrics().contains("etcdlet_audit"));
}
