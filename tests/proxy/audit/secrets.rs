//! What must be in no line, whatever happens to a call.

use etcdlet::proto::{etcdserverpb as pb, v3electionpb};
use http::HeaderMap;
use prost::Message;
use serde_json::json;

use super::{audited, stop};
use crate::http1::client::Connection;
use crate::support::etcd::Etcd;
use crate::support::grpc::{Channel, frame, metadata};

const SECRET: &str = "sesame-secret";
/// The same in base64, wherever it begins in a text.
const ENCODED: [&str; 3] = ["c2VzYW1l", "Nlc2FtZ", "zZXNhbW"];

fn requests() -> Vec<(&'static str, Vec<u8>)> {
    use pb::request_op::Request;
    let put = pb::PutRequest { key: "k".into(), value: SECRET.into(), ..Default::default() };
    let compare = pb::Compare {
        key: "k".into(),
        target: 3,
        target_union: Some(pb::compare::TargetUnion::Value(SECRET.into())),
        ..Default::default()
    };
    let operation = pb::RequestOp { request: Some(Request::RequestPut(put.clone())) };
    let inside = pb::TxnRequest { success: vec![operation.clone()], ..Default::default() };
    let nested = pb::RequestOp { request: Some(Request::RequestTxn(inside)) };
    let txn = pb::TxnRequest {
        compare: vec![compare],
        success: vec![operation, nested.clone()],
        failure: vec![nested],
    };
    let range = pb::RangeRequest { key: "k".into(), ..Default::default() };
    let user = pb::AuthUserAddRequest {
        name: "u".into(),
        password: SECRET.into(),
        hashed_password: SECRET.into(),
        ..Default::default()
    };
    let change = pb::AuthUserChangePasswordRequest {
        name: "u".into(),
        password: SECRET.into(),
        hashed_password: SECRET.into(),
    };
    let sign_in = pb::AuthenticateRequest { name: "u".into(), password: SECRET.into() };
    let campaign = v3electionpb::CampaignRequest { name: "e".into(), value: SECRET.into(), lease: 0 };
    let leader = v3electionpb::LeaderKey { key: "e/1".into(), ..Default::default() };
    let proclaim = v3electionpb::ProclaimRequest { leader: Some(leader), value: SECRET.into() };
    vec![
        ("/etcdserverpb.KV/Put", put.encode_to_vec()),
        ("/etcdserverpb.KV/Txn", txn.encode_to_vec()),
        ("/etcdserverpb.KV/Range", range.encode_to_vec()),
        ("/etcdserverpb.Maintenance/Snapshot", Vec::new()),
        ("/etcdserverpb.Auth/UserAdd", user.encode_to_vec()),
        ("/etcdserverpb.Auth/UserChangePassword", change.encode_to_vec()),
        ("/etcdserverpb.Auth/Authenticate", sign_in.encode_to_vec()),
        ("/v3electionpb.Election/Campaign", campaign.encode_to_vec()),
        ("/v3electionpb.Election/Proclaim", proclaim.encode_to_vec()),
        ("/etcdserverpb.KV/Future", SECRET.into()),
        ("/etcdserverpb.KV/Put", SECRET.into()),
    ]
}

/// Lines with the secret in them.
fn telling(text: &str) -> Vec<&str> {
    let tells = |line: &&str| [SECRET].iter().chain(&ENCODED).any(|secret| line.contains(secret));
    text.lines().filter(tells).collect()
}

fn in_json() -> [(&'static str, String); 6] {
    [
        ("/v3/kv/put", json!({"key": "aw==", "value": "c2VzYW1lLXNlY3JldA=="}).to_string()),
        ("/v3/kv/put", json!({"key": "aw==", "value": SECRET}).to_string()),
        ("/v3/kv/range?value=sesame-secret", json!({"key": "aw=="}).to_string()),
        ("/v3/auth/user/changepw", json!({"name": "u", "password": SECRET}).to_string()),
        ("/v3/auth/authenticate", json!({"name": "u", "password": SECRET}).to_string()),
        ("/v3/kv/put", SECRET.to_owned()),
    ]
}

#[tokio::test]
async fn neither_values_nor_passwords_nor_tokens_are_told() {
    let mut etcd = Etcd::start();
    let (mut sidecar, log) = audited(
        &etcd.endpoints(),
        "all",
        "log: {level: debug}\nhold: {timeout: 50ms}\nretry: {read-limit: 50ms}",
    );
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    let token = metadata(&[("token", SECRET), ("authorization", SECRET), ("x-other", SECRET)]);
    let mut watch = channel.stream("/etcdserverpb.Watch/Watch", token.clone()).await.unwrap();
    let create = pb::WatchCreateRequest { key: "k".into(), prev_kv: true, ..Default::default() };
    let request = pb::watch_request::RequestUnion::CreateRequest(create);
    watch.send_message(&pb::WatchRequest { request_union: Some(request) });
    let _created: pb::WatchResponse = watch.next_message(super::SOON).await;
    for alive in [true, false] {
        if !alive {
            etcd.kill();
        }
        for (path, request) in requests() {
            channel.unary(path, token.clone(), &request).await;
            // The same, broken off.
            let mut broken = channel.stream(path, token.clone()).await.unwrap();
            let whole = frame(0, &request);
            broken.send_raw(whole.slice(..whole.len() - 3));
            broken.half_close();
            broken.answer(super::SOON).await;
        }
        for (path, request) in in_json() {
            Connection::open(&sidecar.url()).await.post(path, &request).await;
        }
    }
    drop(watch);
    log.wait(&json!({"op": "watch"})).await;
    assert_eq!(telling(&log.text()), [] as [&str; 0]);
    let lines = log.lines();
    for op in
        ["put", "txn", "range", "snapshot", "user-add", "user-change-password", "authenticate", "campaign"]
    {
        let told = lines.iter().filter(|line| line["op"] == op).count();
        assert!(told >= 4, "{op}: {lines:#?}");
    }
    // A key is told, so this would have found what stands at the place of one.
    for key in [SECRET.to_owned(), format!("\0{SECRET}"), format!("\0\0{SECRET}"), format!("\0\0\0{SECRET}")]
    {
        let put = pb::PutRequest { key: key.into(), ..Default::default() };
        channel.unary("/etcdserverpb.KV/Put", HeaderMap::new(), &put.encode_to_vec()).await;
    }
    drop(channel);
    stop(&mut sidecar).await;
    assert_eq!(telling(&log.text()).len(), 4);
    assert_eq!(telling(&sidecar.log()), [] as [&str; 0]);
}
