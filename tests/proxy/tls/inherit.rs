//! Nobody inherits the name in etcdlet's own certificate, on whatever listener and however he authenticates there.

use std::time::Duration;

use etcdlet::proto::etcdserverpb as pb;
use http::HeaderMap;

use super::identity::{enable_auth, put, watch_all};
use super::upstream_tls;
use crate::http1::client::{Connection, post};
use crate::support::certs::{Certs, Pair};
use crate::support::etcd::{Etcd, Options};
use crate::support::grpc::{Channel, Status, metadata};
use crate::support::ports::free_port;
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn calls_without_a_token_are_nobodys_on_every_listener() {
    let scene = Scene::start().await;
    for way in scene.ways() {
        let channel = scene.grpc(&way).await;
        let refused = put(&channel, HeaderMap::new(), "secret").await.unwrap_err();
        assert_eq!(
            refused,
            Status { code: Some(3), message: "etcdserver: user name is empty".into() },
            "{way:?}"
        );
        let mut watch = channel.stream("/etcdserverpb.Watch/Watch", HeaderMap::new()).await.unwrap();
        watch.send_message(&watch_all());
        let refused: pb::WatchResponse = watch.next_message(Duration::from_secs(5)).await;
        assert!(refused.canceled && refused.events.is_empty(), "{way:?}: {refused:?}");
        let users = channel.call::<_, pb::AuthUserListResponse>(USERS, &pb::AuthUserListRequest {}).await;
        users.expect_err("only root may list the users");

        let mut gateway = scene.http1(&way).await;
        for path in ["/v3/kv/put", "/v3/kv/range", "/v3/auth/user/list", "/v3/auth/disable"] {
            gateway.send(&post(path, r#"{"key": "YQ=="}"#)).await;
            let answer = gateway.response("POST").await;
            assert_eq!(answer.status, 400, "{way:?} {path}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn calls_with_a_token_are_its_users_on_every_listener() {
    let scene = Scene::start().await;
    for way in scene.ways() {
        let channel = scene.grpc(&way).await;
        let request = pb::AuthenticateRequest { name: "alice".into(), password: "alice".into() };
        let answer: pb::AuthenticateResponse =
            channel.call("/etcdserverpb.Auth/Authenticate", &request).await.expect("the user exists");
        let alice = metadata(&[("token", &answer.token)]);
        put(&channel, alice.clone(), "alice/1").await.unwrap();
        let denied = put(&channel, alice, "bob/1").await.unwrap_err();
        assert_eq!(
            denied,
            Status { code: Some(7), message: "etcdserver: permission denied".into() },
            "{way:?}"
        );
    }
}

/// A way to etcdlet.
#[derive(Debug)]
struct Way {
    url: String,
    /// Shown to etcdlet.
    shows: Option<Pair>,
}

/// A member that demands certificates, with auth enabled, behind an etcdlet whose certificate is root's.
struct Scene {
    certs: Certs,
    sidecar: Sidecar,
    tls_port: u16,
    mutual_port: u16,
    _etcd: Etcd,
}

impl Scene {
    async fn start() -> Self {
        let certs = Certs::new();
        let etcd = Options::default().tls(certs.of_etcd()).start();
        let config = certs.client_config(Some(&certs.client(None)), &["h2"]);
        let direct = Channel::connect_tls(&etcd.endpoint(), config).await.expect("etcd accepts");
        enable_auth(&direct).await;
        let Pair { cert, key } = certs.server();
        let pair = format!("cert-file: '{}', key-file: '{}'", cert.display(), key.display());
        let (tls_port, mutual_port) = (free_port(), free_port());
        let sidecar = Sidecar::with_config(&format!(
            "
listen:
  - {{url: 'http://{{listen}}'}}
  - {{url: 'https://127.0.0.1:{tls_port}', tls: {{{pair}}}}}
  - {{url: 'https://127.0.0.1:{mutual_port}', tls: {{{pair}, trusted-ca-file: '{}'}}}}
upstream: {{endpoints: ['{}'], tls: {}}}
admin: {{url: 'http://{{admin}}'}}
",
            certs.ca().display(),
            etcd.endpoint(),
            upstream_tls(&certs, &certs.client(Some("root")))
        ));
        Self { certs, sidecar, tls_port, mutual_port, _etcd: etcd }
    }

    fn ways(&self) -> [Way; 4] {
        let at = |port| format!("https://127.0.0.1:{port}");
        let showing = |name| Way { url: at(self.mutual_port), shows: Some(self.certs.client(name)) };
        [
            Way { url: self.sidecar.url(), shows: None },
            Way { url: at(self.tls_port), shows: None },
            showing(None),
            // Whom etcdlet knows as root is not root for etcd.
            showing(Some("root")),
        ]
    }

    async fn grpc(&self, way: &Way) -> Channel {
        if way.url.starts_with("http:") {
            return Channel::connect(&way.url).await.expect("etcdlet accepts");
        }
        let config = self.certs.client_config(way.shows.as_ref(), &["h2"]);
        Channel::connect_tls(&way.url, config).await.expect("etcdlet accepts")
    }

    async fn http1(&self, way: &Way) -> Connection {
        if way.url.starts_with("http:") {
            return Connection::open(&way.url).await;
        }
        let config = self.certs.client_config(way.shows.as_ref(), &["http/1.1"]);
        Connection::open_tls(&way.url, config).await.expect("etcdlet accepts")
    }
}

const USERS: &str = "/etcdserverpb.Auth/UserList";
