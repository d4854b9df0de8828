//! The lines of whole calls, made and answered here.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::Frame;
use prost::Message as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::{Audit, Calls, Config};
use crate::proto::etcdserverpb as pb;
use crate::telemetry::access::{self, Target};
use crate::telemetry::metrics::Metrics;
use crate::types::call::{Body, Broken, Call, Reply, Wire, is_grpc};
use crate::types::client::Client;
use crate::types::method::Rpc;
use crate::types::status::{Code, Status};

const PUT: &str = "/etcdserverpb.KV/Put";
const GRPC: (&str, &str) = ("content-type", "application/grpc");
const WEBSOCKET: [(&str, &str); 2] = [("connection", "Upgrade"), ("upgrade", "websocket")];

fn call(method: &str, path: &str, headers: &[(&str, &str)], pieces: Vec<Vec<u8>>) -> Call {
    let mut request = http::Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (head, ()) = request.body(()).unwrap().into_parts();
    let (wire, rpc) = match is_grpc(&head.headers) {
        true => (Wire::H2, Rpc::of(path)),
        false => (Wire::H1, Rpc::of_http(&head)),
    };
    let body = match pieces.is_empty() {
        true => Body::Empty,
        false => {
            let frames = pieces.into_iter().map(|piece| Ok::<_, Broken>(Frame::data(Bytes::from(piece))));
            Body::stream(http_body_util::StreamBody::new(futures_util::stream::iter(frames)))
        }
    };
    Call { rpc, wire, head: Box::new(head), deadline: None, client: Client::own(), body }
}

fn put(key: &str) -> Vec<u8> {
    framed(&pb::PutRequest { key: key.to_owned().into(), ..Default::default() }.encode_to_vec())
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&[0], &(message.len() as u32).to_be_bytes()[..], message].concat()
}

fn ok() -> Reply {
    Reply::trailers_only(&Status::new(Code::Ok, ""))
}

fn http(status: StatusCode, body: &str) -> Reply {
    let mut reply = Reply::grpc(Body::Full(Bytes::copy_from_slice(body.as_bytes())));
    reply.head.status = status;
    reply
}

/// A log in a directory of its own.
fn opened(calls: Calls, request_bytes_max: usize) -> (Audit, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let sink = access::Config { target: Target::File(directory.path().join("audit")), buffer_bytes: 1 << 20 };
    let config = Config { calls, keys_max: 10, key_bytes_max: 100, request_bytes_max, tokens_max: 10, sink };
    let (_views, view) = tokio::sync::watch::channel(Arc::default());
    (Audit::open(&config, view, &Metrics::new()).unwrap(), directory)
}

fn closed((audit, directory): (Audit, TempDir)) -> Vec<Value> {
    audit.close(Duration::from_secs(10));
    let text = std::fs::read_to_string(directory.path().join("audit")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The lines of calls with these answers, each read to its end.
async fn told(calls: Calls, made: Vec<(Call, Reply)>) -> Vec<Value> {
    let log = opened(calls, 64 << 20);
    for (mut call, reply) in made {
        let Some(open) = log.0.begin(&mut call) else { continue };
        call.body.collect().await.unwrap();
        drop(open.settle(reply).body.collect().await);
    }
    closed(log)
}

fn has(line: &Value, expected: &Value) {
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(line.get(name).unwrap_or(&Value::Null), value, "{name}: {line}");
    }
}

#[tokio::test]
async fn a_call_is_left_as_it_is_where_nothing_is_told() {
    for (calls, path) in [(Calls::Off, PUT), (Calls::Writes, "/etcdserverpb.KV/Range")] {
        assert_eq!(
            told(calls, vec![(call("POST", path, &[GRPC], vec![put("a")]), ok())]).await,
            [] as [Value; 0]
        );
    }
}

#[tokio::test]
async fn a_websocket_is_told_as_what_may_be_written_on_it() {
    let switched = || http(StatusCode::SWITCHING_PROTOCOLS, "");
    let upgrade = |path| (call("GET", path, &WEBSOCKET, Vec::new()), switched());
    let made = ["/v3/kv/put", "/v3/watch", "/v3/auth/enable", "/v3/tomorrow"].map(upgrade);
    let lines = told(Calls::Writes, made.into()).await;
    assert_eq!(lines.len(), 3, "{lines:#?}");
    let [put, enable, unknown] = &lines[..] else { unreachable!() };
    has(put, &json!({"op": "put", "code": "OK", "http_status": 101, "incomplete": true, "error": null}));
    has(enable, &json!({"op": "auth-enable", "code": "OK", "http_status": 101, "incomplete": true}));
    has(unknown, &json!({"op": "http", "path": "/v3/tomorrow", "http_status": 101, "incomplete": true}));
}

#[tokio::test]
async fn asking_a_path_of_the_gateway_for_something_else_is_not_its_call() {
    let not_found = || http(StatusCode::NOT_FOUND, "");
    let made =
        ["GET", "OPTIONS", "DELETE"].map(|method| (call(method, "/v3/kv/put", &[], Vec::new()), not_found()));
    let lines = told(Calls::Writes, made.into()).await;
    assert_eq!(lines.len(), 1, "{lines:#?}");
    has(&lines[0], &json!({"op": "http", "path": "/v3/kv/put", "http_status": 404}));
}

#[tokio::test]
async fn a_path_is_told_by_what_go_decodes_it_to() {
    let done = || http(StatusCode::OK, "{}");
    let json = || vec![br#"{"key": "YQ=="}"#.to_vec()];
    let lines = told(
        Calls::Writes,
        vec![
            (call("POST", "/etcdserverpb.KV/P%75t", &[GRPC], vec![put("a")]), ok()),
            (call("POST", "/v3/kv/p%75t", &[], json()), done()),
            (call("POST", "/%763/kv/put", &[], json()), done()),
            (call("POST", "/etcdserverpb.KV/R%61nge", &[GRPC], vec![put("a")]), ok()),
        ],
    )
    .await;
    assert_eq!(lines.len(), 3, "{lines:#?}");
    for line in &lines {
        has(line, &json!({"op": "put", "key": "a", "code": "OK", "incomplete": null}));
    }
    has(&lines[0], &json!({"path": "/etcdserverpb.KV/P%75t"}));
}

#[tokio::test]
async fn what_is_not_read_is_told_as_incomplete() {
    let done = || http(StatusCode::OK, "{}");
    let lines = told(
        Calls::All,
        vec![
            (call("POST", "/etcdserverpb.KV/Tomorrow", &[GRPC], vec![put("a")]), ok()),
            (call("POST", "/v3/kv/put:", &[], vec![b"{}".to_vec()]), done()),
            (call("PUT", "/v2/keys/a", &[], vec![b"value=1".to_vec()]), done()),
            (call("GET", "/version", &[], Vec::new()), done()),
        ],
    )
    .await;
    let said: Vec<_> = lines.iter().map(|line| (line["op"].as_str().unwrap(), &line["incomplete"])).collect();
    let (yes, no) = (&Value::Bool(true), &Value::Null);
    assert_eq!(said, [("unknown", yes), ("http", yes), ("http", yes), ("http", no)]);
}

#[tokio::test]
async fn of_several_messages_where_one_belongs_the_first_is_told() {
    let two = call("POST", PUT, &[GRPC], vec![[put("real"), put("decoy")].concat()]);
    has(&told(Calls::Writes, vec![(two, ok())]).await[0], &json!({"key": "real", "incomplete": true}));
}

#[tokio::test]
async fn a_token_is_the_one_that_etcd_looks_at() {
    use base64::Engine as _;
    let claims = |user| json!({"username": user}).to_string();
    let token =
        |user| format!("e30.{}.c2ln", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(claims(user)));
    let (alice, bob) = (token("alice"), token("bob"));
    let json = || vec![b"{}".to_vec()];
    let done = || http(StatusCode::OK, "{}");
    let lines = told(
        Calls::Writes,
        vec![
            (call("POST", PUT, &[GRPC, ("token", &alice), ("authorization", &bob)], vec![put("a")]), ok()),
            (call("POST", PUT, &[GRPC, ("authorization", &bob)], vec![put("a")]), ok()),
            (call("POST", "/v3/kv/put", &[("token", &alice), ("authorization", &bob)], json()), done()),
            (
                call(
                    "POST",
                    "/v3/kv/put",
                    &[("grpc-metadata-token", &alice), ("authorization", &bob)],
                    json(),
                ),
                done(),
            ),
            (call("POST", "/v3/kv/put", &[("token", &alice)], json()), done()),
            (call("POST", "/v3/kv/put", &[("grpc-metadata-authorization", &bob)], json()), done()),
            // This one anybody may call with a token that is nobody's.
            (call("POST", "/v3/auth/authenticate", &[("authorization", &bob)], json()), done()),
        ],
    )
    .await;
    let users: Vec<Option<&str>> = lines.iter().map(|line| line["user"].as_str()).collect();
    assert_eq!(users, [Some("alice"), Some("bob"), Some("bob"), Some("alice"), None, Some("bob"), None]);
    assert_eq!(lines[0]["token_hash"], lines[3]["token_hash"]);
    assert_eq!(lines[5]["token_hash"], lines[6]["token_hash"]);
}

#[tokio::test]
async fn a_name_that_etcd_may_not_have_read_is_nobody_s() {
    let request = |name: &str, rest: &[u8]| {
        let message = [&[1 << 3 | 2, name.len() as u8], name.as_bytes(), rest].concat();
        call("POST", "/etcdserverpb.Auth/Authenticate", &[GRPC], vec![framed(&message)])
    };
    let issued = |token: &str| {
        let header = Some(pb::ResponseHeader { member_id: 1, ..Default::default() });
        let answer = pb::AuthenticateResponse { header, token: token.to_owned() };
        Reply::grpc(Body::Full(framed(&answer.encode_to_vec()).into()))
    };
    // etcd skips the group, and signs in the name that comes behind it.
    let group = [15 << 3 | 3, 15 << 3 | 4, 1 << 3 | 2, 3, b'b', b'o', b'b'];
    let using = |token| call("POST", PUT, &[GRPC, ("token", token)], vec![put("k")]);
    let lines = told(
        Calls::Writes,
        vec![
            (request("root", &group), issued("a.1")),
            (using("a.1"), ok()),
            (request("alice", &[]), issued("a.2")),
            (using("a.2"), ok()),
        ],
    )
    .await;
    has(&lines[0], &json!({"op": "authenticate", "incomplete": true}));
    has(&lines[1], &json!({"user": null, "token_hash": lines[0]["issued_token_hash"]}));
    has(&lines[3], &json!({"user": "alice", "token_hash": lines[2]["issued_token_hash"]}));
}

#[tokio::test]
async fn a_call_with_another_content_type_beside_grpc_s_is_told() {
    let types = [("content-type", "text/plain"), GRPC];
    let made = ["GET", "POST"].map(|method| (call(method, PUT, &types, vec![put("a")]), ok()));
    let lines = told(Calls::Writes, made.into()).await;
    assert_eq!(lines.len(), 2, "{lines:#?}");
    for line in &lines {
        has(line, &json!({"op": "put", "key": "a", "code": "OK", "incomplete": null}));
    }
}

#[tokio::test]
async fn the_key_of_a_long_request_in_json_is_told() {
    let header = r#"{"header":{"cluster_id":"1","member_id":"10","revision":"7","raft_term":"2"}}"#;
    let put = |length: usize| {
        let request = json!({"value": "YWFh".repeat(length / 4), "key": "L2E="}).to_string();
        let pieces = request.as_bytes().chunks(10_000).map(<[u8]>::to_vec).collect();
        (call("POST", "/v3/kv/put", &[], pieces), http(StatusCode::OK, header))
    };
    let made = [2 << 20, 4 << 20].map(put);
    let lines = told(Calls::Writes, made.into()).await;
    has(&lines[0], &json!({"op": "put", "key": "/a", "revision": 7, "member": "a", "incomplete": null}));
    has(&lines[1], &json!({"op": "put", "key": null, "revision": 7, "incomplete": true}));
}

/// Its call may last for days.
#[tokio::test]
async fn a_request_in_json_takes_of_the_budget_until_it_is_there() {
    let log = opened(Calls::All, 10_000);
    let watch = |length: usize| {
        let body = format!(r#"{{"create_request": {{"key": "YQ=="}}}}{}"#, " ".repeat(length));
        call("POST", "/v3/watch", &[], body.as_bytes().chunks(1000).map(<[u8]>::to_vec).collect())
    };
    let mut calls = Vec::new();
    for length in [5000, 5000, 5000, 20_000, 5000] {
        let mut call = watch(length);
        let open = log.0.begin(&mut call);
        call.body.collect().await.unwrap();
        calls.push(open);
    }
    drop(calls);
    let lines = closed(log);
    let said: Vec<&Value> = lines.iter().map(|line| &line["incomplete"]).collect();
    assert_eq!(said, [&Value::Null, &Value::Null, &Value::Null, &Value::Bool(true), &Value::Null]);
    assert!(lines.iter().all(|line| line["key"] == "a"), "{lines:#?}");
}

#[tokio::test]
async fn of_several_objects_in_json_the_first_is_told() {
    let put = |body: &str| {
        (call("POST", "/v3/kv/put", &[], vec![body.as_bytes().to_vec()]), http(StatusCode::OK, "{}"))
    };
    let parts = "0,".repeat(100_000);
    let lines = told(
        Calls::Writes,
        vec![
            put("{\"key\": \"YQ==\"} \r\n"),
            put(r#"{"key": "YQ=="} x"#),
            put(r#"{"key": "YQ=="}{"key": "Yg=="}"#),
            put(&format!(r#"{{"key": "YQ==", "x": [{parts}0]}}"#)),
        ],
    )
    .await;
    has(&lines[0], &json!({"op": "put", "key": "a", "incomplete": null}));
    for line in &lines[1..3] {
        has(line, &json!({"op": "put", "key": "a", "incomplete": true}));
    }
    has(&lines[3], &json!({"op": "put", "key": null, "incomplete": true}));
}

#[tokio::test]
async fn an_error_of_the_gateway_has_etcd_s_code() {
    let missing = r#"{"code":5,"message":"etcdserver: requested lease not found","details":[]}"#;
    let revoke = call("POST", "/v3/lease/revoke", &[], vec![br#"{"ID": "10"}"#.to_vec()]);
    let lines = told(Calls::Writes, vec![(revoke, http(StatusCode::NOT_FOUND, missing))]).await;
    let expected = json!({
        "op": "lease-revoke",
        "lease": "a",
        "code": "NotFound",
        "http_status": 404,
        "error": "etcdserver: requested lease not found",
    });
    has(&lines[0], &expected);
}
