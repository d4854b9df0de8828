//! Calls without a token, and what becomes of them where auth is disabled.

use std::time::Duration;

use etcdlet::proto::{etcdserverpb as pb, health, v3electionpb as election, v3lockpb as lock};
use http::HeaderMap;
use prost::Message;

use super::showing;
use crate::http1::client::Connection;
use crate::support::certs::Certs;
use crate::support::etcd::Options;
use crate::support::grpc::Channel;

/// Where etcd would take the name for a user, the calls carry a token that is nobody's: without auth that must not
/// matter.
#[tokio::test]
async fn without_auth_a_certificate_with_a_name_changes_nothing() {
    let certs = Certs::new();
    let etcd = Options::default().tls(certs.of_etcd()).start();
    let config = certs.client_config(Some(&certs.client(None)), &["h2"]);
    let direct = Channel::connect_tls(&etcd.endpoint(), config).await.unwrap();
    let sidecar = showing(&certs, &certs.client(Some("root")), &etcd.endpoint());
    let through = Channel::connect(&sidecar.url()).await.unwrap();

    for (path, message) in unary_calls() {
        let expected = direct.unary(path, HeaderMap::new(), &message).await;
        let actual = through.unary(path, HeaderMap::new(), &message).await;
        // What the first call changed, the second finds; but no answer speaks of tokens or users.
        assert!(!actual.status().message.contains("token"), "{path}: {actual:?}");
        assert_eq!(actual.status().code, expected.status().code, "{path}: {actual:?}");
    }
    let mut gateway = Connection::open(&sidecar.url()).await;
    let put = gateway.post("/v3/kv/put", r#"{"key": "YQ==", "value": "Yg=="}"#).await;
    assert_eq!(put.status, 200, "{}", put.text());
    for (path, message) in streams() {
        let mut stream = through.stream(path, HeaderMap::new()).await.unwrap();
        stream.send(&message);
        stream.half_close();
        let answer = stream.answer(Duration::from_secs(1)).await;
        assert!(!answer.messages.is_empty(), "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn without_auth_a_whole_session_works_behind_a_certificate_with_a_name() {
    let certs = Certs::new();
    let etcd = Options::default().tls(certs.of_etcd()).start();
    let sidecar = showing(&certs, &certs.client(Some("root")), &etcd.endpoint());
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    let limit = Duration::from_secs(5);

    let mut watch = channel.stream("/etcdserverpb.Watch/Watch", HeaderMap::new()).await.unwrap();
    let create = pb::WatchCreateRequest { key: "key".into(), ..Default::default() };
    watch.send_message(&pb::WatchRequest {
        request_union: Some(pb::watch_request::RequestUnion::CreateRequest(create)),
    });
    assert!(watch.next_message::<pb::WatchResponse>(limit).await.created);
    let put = pb::PutRequest { key: "key".into(), value: "value".into(), ..Default::default() };
    channel.call::<_, pb::PutResponse>("/etcdserverpb.KV/Put", &put).await.unwrap();
    assert_eq!(watch.next_message::<pb::WatchResponse>(limit).await.events.len(), 1);

    let grant = pb::LeaseGrantRequest { ttl: 60, id: 7 };
    channel.call::<_, pb::LeaseGrantResponse>("/etcdserverpb.Lease/LeaseGrant", &grant).await.unwrap();
    let mut keep_alive =
        channel.stream("/etcdserverpb.Lease/LeaseKeepAlive", HeaderMap::new()).await.unwrap();
    for _ in 0..2 {
        keep_alive.send_message(&pb::LeaseKeepAliveRequest { id: 7 });
        assert_eq!(keep_alive.next_message::<pb::LeaseKeepAliveResponse>(limit).await.ttl, 60);
    }

    let request = lock::LockRequest { name: "lock".into(), lease: 7 };
    let locked: lock::LockResponse = channel.call("/v3lockpb.Lock/Lock", &request).await.unwrap();
    let request = lock::UnlockRequest { key: locked.key };
    channel.call::<_, lock::UnlockResponse>("/v3lockpb.Lock/Unlock", &request).await.unwrap();

    let request = election::CampaignRequest { name: "post".into(), lease: 7, value: "me".into() };
    let won: election::CampaignResponse =
        channel.call("/v3electionpb.Election/Campaign", &request).await.unwrap();
    let mut observe = channel.stream("/v3electionpb.Election/Observe", HeaderMap::new()).await.unwrap();
    observe.send_message(&election::LeaderRequest { name: "post".into() });
    observe.half_close();
    assert_eq!(observe.next_message::<election::LeaderResponse>(limit).await.kv.unwrap().value, "me");
    let request = election::ResignRequest { leader: won.leader };
    channel.call::<_, election::ResignResponse>("/v3electionpb.Election/Resign", &request).await.unwrap();

    let mut snapshot = channel.stream("/etcdserverpb.Maintenance/Snapshot", HeaderMap::new()).await.unwrap();
    snapshot.half_close();
    // Half-closed without a message: etcd answers with an error of its own, and so does everybody.
    assert_ne!(snapshot.answer(limit).await.status().code, Some(0));
    let mut snapshot = channel.stream("/etcdserverpb.Maintenance/Snapshot", HeaderMap::new()).await.unwrap();
    snapshot.send(&[]);
    snapshot.half_close();
    let answer = snapshot.answer(limit).await;
    assert_eq!((answer.status().code, answer.messages.len() > 1), (Some(0), true));

    let wrong = pb::AuthenticateRequest { name: "root".into(), password: "root".into() };
    let refused =
        channel.call::<_, pb::AuthenticateResponse>("/etcdserverpb.Auth/Authenticate", &wrong).await;
    let refused = refused.unwrap_err();
    assert_eq!(
        (refused.code, refused.message.as_str()),
        (Some(9), "etcdserver: authentication is not enabled")
    );
}

/// Every unary call of etcd, without harm to auth until the last one.
pub(super) fn unary_calls() -> Vec<(&'static str, Vec<u8>)> {
    let key = || "key".into();
    let range = pb::RangeRequest { key: key(), ..Default::default() };
    let all = pb::RangeRequest { key: "\0".into(), range_end: "\0".into(), ..Default::default() };
    let put = pb::PutRequest { key: key(), value: "value".into(), ..Default::default() };
    let delete = pb::DeleteRangeRequest { key: key(), ..Default::default() };
    let txn = |request| pb::TxnRequest {
        success: vec![pb::RequestOp { request: Some(request) }],
        ..Default::default()
    };
    let leader = Some(election::LeaderKey { name: "post".into(), key: "post/1".into(), rev: 1, lease: 1 });
    let permission = pb::AuthRoleGrantPermissionRequest { name: "none".into(), perm: None };
    [
        ("/etcdserverpb.KV/Range", range.encode_to_vec()),
        ("/etcdserverpb.KV/Range", pb::RangeRequest { serializable: true, ..all.clone() }.encode_to_vec()),
        ("/etcdserverpb.KV/Range", pb::RangeRequest { count_only: true, ..all }.encode_to_vec()),
        ("/etcdserverpb.KV/Put", put.encode_to_vec()),
        ("/etcdserverpb.KV/DeleteRange", delete.encode_to_vec()),
        ("/etcdserverpb.KV/Txn", Vec::new()),
        ("/etcdserverpb.KV/Txn", txn(pb::request_op::Request::RequestPut(put)).encode_to_vec()),
        ("/etcdserverpb.KV/Txn", txn(pb::request_op::Request::RequestRange(range)).encode_to_vec()),
        (
            "/etcdserverpb.KV/Compact",
            pb::CompactionRequest { revision: 999, physical: false }.encode_to_vec(),
        ),
        ("/etcdserverpb.Lease/LeaseGrant", pb::LeaseGrantRequest { ttl: 60, id: 0 }.encode_to_vec()),
        ("/etcdserverpb.Lease/LeaseRevoke", pb::LeaseRevokeRequest { id: 99 }.encode_to_vec()),
        (
            "/etcdserverpb.Lease/LeaseTimeToLive",
            pb::LeaseTimeToLiveRequest { id: 99, keys: true }.encode_to_vec(),
        ),
        ("/etcdserverpb.Lease/LeaseLeases", Vec::new()),
        ("/etcdserverpb.Cluster/MemberList", Vec::new()),
        ("/etcdserverpb.Cluster/MemberList", pb::MemberListRequest { linearizable: true }.encode_to_vec()),
        (
            "/etcdserverpb.Cluster/MemberUpdate",
            pb::MemberUpdateRequest { id: 9, peer_ur_ls: vec!["http://a:1".into()] }.encode_to_vec(),
        ),
        ("/etcdserverpb.Cluster/MemberRemove", pb::MemberRemoveRequest { id: 9 }.encode_to_vec()),
        ("/etcdserverpb.Cluster/MemberPromote", pb::MemberPromoteRequest { id: 9 }.encode_to_vec()),
        ("/etcdserverpb.Maintenance/Alarm", Vec::new()),
        ("/etcdserverpb.Maintenance/Status", Vec::new()),
        ("/etcdserverpb.Maintenance/Defragment", Vec::new()),
        ("/etcdserverpb.Maintenance/Hash", Vec::new()),
        ("/etcdserverpb.Maintenance/HashKV", Vec::new()),
        ("/etcdserverpb.Maintenance/MoveLeader", pb::MoveLeaderRequest { target_id: 9 }.encode_to_vec()),
        (
            "/etcdserverpb.Maintenance/Downgrade",
            pb::DowngradeRequest { action: 0, version: "3.4.0".into() }.encode_to_vec(),
        ),
        ("/etcdserverpb.Auth/AuthStatus", Vec::new()),
        (
            "/etcdserverpb.Auth/Authenticate",
            pb::AuthenticateRequest { name: "alice".into(), password: "wrong".into() }.encode_to_vec(),
        ),
        ("/etcdserverpb.Auth/UserList", Vec::new()),
        ("/etcdserverpb.Auth/UserGet", pb::AuthUserGetRequest { name: "none".into() }.encode_to_vec()),
        ("/etcdserverpb.Auth/UserAdd", pb::AuthUserAddRequest::default().encode_to_vec()),
        ("/etcdserverpb.Auth/UserDelete", pb::AuthUserDeleteRequest { name: "none".into() }.encode_to_vec()),
        (
            "/etcdserverpb.Auth/UserChangePassword",
            pb::AuthUserChangePasswordRequest { name: "none".into(), ..Default::default() }.encode_to_vec(),
        ),
        (
            "/etcdserverpb.Auth/UserGrantRole",
            pb::AuthUserGrantRoleRequest { user: "none".into(), role: "none".into() }.encode_to_vec(),
        ),
        (
            "/etcdserverpb.Auth/UserRevokeRole",
            pb::AuthUserRevokeRoleRequest { name: "none".into(), role: "none".into() }.encode_to_vec(),
        ),
        ("/etcdserverpb.Auth/RoleList", Vec::new()),
        ("/etcdserverpb.Auth/RoleGet", pb::AuthRoleGetRequest { role: "none".into() }.encode_to_vec()),
        ("/etcdserverpb.Auth/RoleAdd", pb::AuthRoleAddRequest::default().encode_to_vec()),
        ("/etcdserverpb.Auth/RoleDelete", pb::AuthRoleDeleteRequest { role: "none".into() }.encode_to_vec()),
        ("/etcdserverpb.Auth/RoleGrantPermission", permission.encode_to_vec()),
        (
            "/etcdserverpb.Auth/RoleRevokePermission",
            pb::AuthRoleRevokePermissionRequest { role: "none".into(), ..Default::default() }.encode_to_vec(),
        ),
        ("/v3lockpb.Lock/Lock", lock::LockRequest { name: "lock".into(), lease: 99 }.encode_to_vec()),
        ("/v3lockpb.Lock/Unlock", lock::UnlockRequest { key: "lock/1".into() }.encode_to_vec()),
        (
            "/v3electionpb.Election/Campaign",
            election::CampaignRequest { name: "post".into(), lease: 99, value: key() }.encode_to_vec(),
        ),
        (
            "/v3electionpb.Election/Proclaim",
            election::ProclaimRequest { leader: leader.clone(), value: key() }.encode_to_vec(),
        ),
        ("/v3electionpb.Election/Leader", election::LeaderRequest { name: "post".into() }.encode_to_vec()),
        ("/v3electionpb.Election/Resign", election::ResignRequest { leader }.encode_to_vec()),
        ("/grpc.health.v1.Health/Check", health::HealthCheckRequest::default().encode_to_vec()),
        ("/etcdserverpb.KV/NoSuchMethod", Vec::new()),
        ("/etcdserverpb.Auth/AuthEnable", Vec::new()),
        ("/etcdserverpb.Auth/AuthDisable", Vec::new()),
    ]
    .into()
}

/// Streams that need a single message.
pub(super) fn streams() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("/etcdserverpb.Maintenance/Snapshot", Vec::new()),
        ("/etcdserverpb.Lease/LeaseKeepAlive", pb::LeaseKeepAliveRequest { id: 99 }.encode_to_vec()),
        ("/grpc.health.v1.Health/Watch", health::HealthCheckRequest::default().encode_to_vec()),
    ]
}
