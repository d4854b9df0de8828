//! Behind a client certificate with the Common Name `root`, and auth enabled: nobody becomes root by it.

use std::time::Duration;

use etcdlet::proto::authpb::{Permission, permission};
use etcdlet::proto::etcdserverpb as pb;
use http::HeaderMap;
use prost::Message;

use super::anonymous::{streams, unary_calls};
use super::showing;
use crate::http1::client::Connection;
use crate::support::certs::Certs;
use crate::support::etcd::{Etcd, Options};
use crate::support::grpc::{Channel, Event, Status, metadata};
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn a_certificate_of_root_is_root_where_no_etcdlet_stands_between() {
    let cluster = Cluster::start().await;
    let config = cluster.certs.client_config(Some(&cluster.certs.client(Some("root"))), &["h2"]);
    let as_root = Channel::connect_tls(&cluster.etcd.endpoint(), config).await.unwrap();
    put(&as_root, HeaderMap::new(), "anywhere").await.expect("or the other tests here prove nothing");
    let refused = put(&cluster.through, HeaderMap::new(), "anywhere").await.unwrap_err();
    assert_eq!(refused, Status { code: Some(3), message: "etcdserver: user name is empty".into() });
}

#[tokio::test]
async fn unary_calls_without_a_token_are_answered_as_by_a_member_that_asks_for_no_certificate() {
    let (cluster, nobody) = (Cluster::start().await, Nobody::start().await);
    let mut differ = Vec::new();
    for (path, message) in unary_calls() {
        let shape = async |channel: &Channel| {
            let answer = channel.unary(path, HeaderMap::new(), &message).await;
            // Behind TLS etcd's answers are never trailers-only, so that this cannot be compared here.
            (answer.http, answer.status(), answer.messages.len())
        };
        let (expected, actual) = (shape(&nobody.channel).await, shape(&cluster.through).await);
        if actual != expected {
            differ.push(format!("{path}\n  nobody  {expected:?}\n  through {actual:?}"));
        }
    }
    assert!(differ.is_empty(), "{} calls differ:\n{}", differ.len(), differ.join("\n"));
}

#[tokio::test]
async fn streams_without_a_token_end_as_by_a_member_that_asks_for_no_certificate() {
    let (cluster, nobody) = (Cluster::start().await, Nobody::start().await);
    let mut differ = Vec::new();
    for (path, message) in streams() {
        let shape = async |channel: &Channel| {
            let mut stream = channel.stream(path, HeaderMap::new()).await.unwrap();
            stream.send(&message);
            stream.half_close();
            let answer = stream.answer(Duration::from_millis(500)).await;
            (answer.http, answer.status(), !answer.messages.is_empty())
        };
        let (expected, actual) = (shape(&nobody.channel).await, shape(&cluster.through).await);
        if actual != expected {
            differ.push(format!("{path}\n  nobody  {expected:?}\n  through {actual:?}"));
        }
    }
    assert!(differ.is_empty(), "{} streams differ:\n{}", differ.len(), differ.join("\n"));
}

/// For a certificate without a name a member that demands certificates takes the user '' and says 'permission denied'
/// where a member that asks for none says 'user name is empty'; some calls it even allows. Nobody gains by etcdlet.
#[tokio::test]
async fn what_a_certificate_without_a_name_may_not_do_nobody_may_do_through_etcdlet() {
    let cluster = Cluster::start().await;
    for (path, message) in unary_calls() {
        let direct = cluster.direct.unary(path, HeaderMap::new(), &message).await.status();
        let through = cluster.through.unary(path, HeaderMap::new(), &message).await.status();
        assert!(direct.code == Some(0) || through.code != Some(0), "{path}: {direct:?} but {through:?}");
    }
    // The table ends with an attempt to disable auth.
    put(&cluster.through, HeaderMap::new(), "key").await.expect_err("auth is still enabled");
}

#[tokio::test]
async fn a_watch_without_a_token_is_cancelled_as_nobodys_and_sees_nothing_of_roots() {
    let (cluster, nobody) = (Cluster::start().await, Nobody::start().await);
    let root = cluster.token("root").await;
    let mut reasons = Vec::new();
    for channel in [&nobody.channel, &cluster.through] {
        let mut watch = channel.stream("/etcdserverpb.Watch/Watch", HeaderMap::new()).await.unwrap();
        watch.send_message(&watch_all());
        let refused: pb::WatchResponse = watch.next_message(Duration::from_secs(5)).await;
        assert!(refused.created && refused.canceled && refused.events.is_empty(), "{refused:?}");
        reasons.push(refused.cancel_reason);
        put(&cluster.direct, root.clone(), "secret").await.unwrap();
        let next = watch.next(Duration::from_millis(300)).await;
        assert!(matches!(next, Event::Silence), "{next:?}");
    }
    assert_eq!(reasons[1], reasons[0]);
}

#[tokio::test]
async fn a_call_with_a_token_is_its_users() {
    let cluster = Cluster::start().await;
    let denied = Status { code: Some(7), message: "etcdserver: permission denied".into() };
    let (alice, root) = (cluster.token("alice").await, cluster.token("root").await);
    let in_authorization = metadata(&[("authorization", alice["token"].to_str().unwrap())]);
    for alice in [alice, in_authorization] {
        put(&cluster.through, alice.clone(), "alice/1").await.unwrap();
        assert_eq!(put(&cluster.through, alice.clone(), "bob/1").await.unwrap_err(), denied);
        let users = cluster.through.call_with::<_, pb::AuthUserListResponse>(
            USERS,
            alice.clone(),
            &pb::AuthUserListRequest {},
        );
        assert_eq!(users.await.unwrap_err(), denied);
        let mut watch = cluster.through.stream("/etcdserverpb.Watch/Watch", alice.clone()).await.unwrap();
        watch.send_message(&watch_all());
        let refused: pb::WatchResponse = watch.next_message(Duration::from_secs(5)).await;
        assert!(refused.canceled && refused.cancel_reason.contains("permission denied"), "{refused:?}");
    }
    put(&cluster.through, root.clone(), "bob/1").await.unwrap();
    let users =
        cluster.through.call_with::<_, pb::AuthUserListResponse>(USERS, root, &pb::AuthUserListRequest {});
    assert_eq!(users.await.unwrap().users, ["alice", "root"]);
}

#[tokio::test]
async fn a_token_that_no_member_knows_is_refused_as_that() {
    let cluster = Cluster::start().await;
    for wrong in [metadata(&[("token", "nonsense.7")]), metadata(&[("authorization", "nonsense.7")])] {
        let direct = put(&cluster.direct, wrong.clone(), "key").await.unwrap_err();
        assert_eq!(direct, Status { code: Some(16), message: "etcdserver: invalid auth token".into() });
        assert_eq!(put(&cluster.through, wrong, "key").await.unwrap_err(), direct);
    }
}

/// While auth is enabled, etcd's gateway refuses every connection whose certificate has a name, with a token or
/// without: behind such a certificate there is no gateway, and nobody is root by it.
#[tokio::test]
async fn the_json_gateway_is_refused_as_etcd_refuses_it_to_a_certificate_with_a_name() {
    let cluster = Cluster::start().await;
    let named = cluster.certs.client_config(Some(&cluster.certs.client(Some("root"))), &["http/1.1"]);
    let mut direct = Connection::open_tls(&cluster.etcd.endpoint(), named).await.unwrap();
    let mut through = Connection::open(&cluster.sidecar.url()).await;
    let token = cluster.token("root").await["token"].to_str().unwrap().to_owned();
    for authorization in ["", &format!("Authorization: {token}\r\n")] {
        for path in ["/v3/kv/put", "/v3/kv/range", "/v3/auth/user/list", "/v3/auth/disable"] {
            let json = r#"{"key": "YQ=="}"#;
            let head = format!("POST {path} HTTP/1.1\r\nHost: etcd\r\n{authorization}");
            let request = format!("{head}Content-Length: {}\r\n\r\n{json}", json.len());
            let mut answers = Vec::new();
            for connection in [&mut direct, &mut through] {
                connection.send(request.as_bytes()).await;
                let answer = connection.response("POST").await;
                answers.push((answer.status, answer.text()));
            }
            assert_eq!(answers[1], answers[0], "{path}");
            assert!(answers[1].0 == 400 && answers[1].1.starts_with("CommonName of client"), "{answers:?}");
        }
    }
    assert_eq!(through.get("/version").await.status, 200);
}

/// A member that demands certificates, with auth enabled and the users `root` and `alice`, who may use `alice/`.
struct Cluster {
    sidecar: Sidecar,
    /// Behind the sidecar, whose certificate is root's.
    through: Channel,
    /// With a certificate without a Common Name.
    direct: Channel,
    etcd: Etcd,
    certs: Certs,
}

impl Cluster {
    async fn start() -> Self {
        let certs = Certs::new();
        let etcd = Options::default().tls(certs.of_etcd()).start();
        let config = certs.client_config(Some(&certs.client(None)), &["h2"]);
        let direct = Channel::connect_tls(&etcd.endpoint(), config).await.expect("etcd accepts");
        enable_auth(&direct).await;
        let sidecar = showing(&certs, &certs.client(Some("root")), &etcd.endpoint());
        let through = Channel::connect(&sidecar.url()).await.expect("etcdlet accepts");
        Self { sidecar, through, direct, etcd, certs }
    }

    /// Metadata of a call of this user, who authenticated through the sidecar.
    async fn token(&self, user: &str) -> HeaderMap {
        let request = pb::AuthenticateRequest { name: user.into(), password: user.into() };
        let answer: pb::AuthenticateResponse =
            self.through.call("/etcdserverpb.Auth/Authenticate", &request).await.expect("the user exists");
        metadata(&[("token", &answer.token)])
    }
}

/// What a client is that has neither a token nor a certificate.
struct Nobody {
    channel: Channel,
    _etcd: Etcd,
}

impl Nobody {
    async fn start() -> Self {
        let etcd = Etcd::start();
        let channel = Channel::connect(&etcd.endpoint()).await.expect("etcd accepts");
        enable_auth(&channel).await;
        Self { channel, _etcd: etcd }
    }
}

pub(super) async fn enable_auth(channel: &Channel) {
    let key = |text: &'static str| text.as_bytes().into();
    let permission = Permission {
        perm_type: permission::Type::Readwrite.into(),
        key: key("alice/"),
        range_end: key("alice0"),
    };
    let mut setup: Vec<(&str, Vec<u8>)> = Vec::new();
    for user in ["root", "alice"] {
        let role = pb::AuthRoleAddRequest { name: user.into() };
        let password = user.into();
        let account = pb::AuthUserAddRequest { name: user.into(), password, ..Default::default() };
        let grant = pb::AuthUserGrantRoleRequest { user: user.into(), role: user.into() };
        setup.push(("RoleAdd", role.encode_to_vec()));
        setup.push(("UserAdd", account.encode_to_vec()));
        setup.push(("UserGrantRole", grant.encode_to_vec()));
    }
    let grant = pb::AuthRoleGrantPermissionRequest { name: "alice".into(), perm: Some(permission) };
    setup.push(("RoleGrantPermission", grant.encode_to_vec()));
    setup.push(("AuthEnable", Vec::new()));
    for (method, message) in setup {
        let answer = channel.unary(&format!("/etcdserverpb.Auth/{method}"), HeaderMap::new(), &message).await;
        assert_eq!(answer.status().code, Some(0), "{method}: {answer:?}");
    }
}

pub(super) async fn put(
    channel: &Channel,
    metadata: HeaderMap,
    key: &'static str,
) -> Result<pb::PutResponse, Status> {
    let request = pb::PutRequest { key: key.into(), ..Default::default() };
    channel.call_with("/etcdserverpb.KV/Put", metadata, &request).await
}

pub(super) fn watch_all() -> pb::WatchRequest {
    let all = pb::WatchCreateRequest { key: "\0".into(), range_end: "\0".into(), ..Default::default() };
    pb::WatchRequest { request_union: Some(pb::watch_request::RequestUnion::CreateRequest(all)) }
}

const USERS: &str = "/etcdserverpb.Auth/UserList";
