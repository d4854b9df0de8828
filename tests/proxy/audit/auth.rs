//! Who it was, where auth is enabled.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use etcdlet::proto::etcdserverpb as pb;
use http::HeaderMap;
use prost::Message;
use serde_json::json;

use super::{Log, audited};
use crate::http1::client::Connection;
use crate::support::certs::Certs;
use crate::support::etcd::Etcd;
use crate::support::grpc::{Channel, metadata};
use crate::support::sidecar::Sidecar;

const PUT: &str = "/etcdserverpb.KV/Put";
const AUTHENTICATE: &str = "/etcdserverpb.Auth/Authenticate";

fn guarded() -> Etcd {
    let etcd = Etcd::start();
    for arguments in [
        "user add root:root",
        "user grant-role root root",
        "role add app",
        "role grant-permission app readwrite k",
        "user add app:app",
        "user grant-role app app",
        "auth enable",
    ] {
        etcd.run_etcdctl(&arguments.split(' ').collect::<Vec<_>>());
    }
    etcd
}

#[tokio::test]
async fn calls_of_a_token_are_those_of_who_was_given_it() {
    let etcd = guarded();
    let (sidecar, log) = audited(&etcd.endpoints(), "writes", "");
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    let request = pb::AuthenticateRequest { name: "app".into(), password: "app".into() };
    let signed_in: pb::AuthenticateResponse = channel.call(AUTHENTICATE, &request).await.unwrap();
    let line = log.wait(&json!({"op": "authenticate", "target_user": "app", "code": "OK"})).await;
    let hash = line["issued_token_hash"].clone();
    assert!(hash.is_string() && line.get("user").is_none(), "{line}");
    let token = metadata(&[("token", &signed_in.token)]);
    for (key, code, error) in
        [("k", "OK", None), ("other", "PermissionDenied", Some("etcdserver: permission denied"))]
    {
        let put = pb::PutRequest { key: key.into(), ..Default::default() };
        channel.unary(PUT, token.clone(), &put.encode_to_vec()).await;
        let line = log.wait(&json!({"op": "put", "key": key})).await;
        assert_eq!((line["user"].as_str(), line["code"].as_str()), (Some("app"), Some(code)), "{line}");
        assert_eq!((&line["token_hash"], line["error"].as_str()), (&hash, error), "{line}");
        assert_eq!(line["member"], etcd.endpoint(), "{line}");
    }
    assert!(!log.text().contains(&signed_in.token));
}

#[tokio::test]
async fn whoever_is_not_known_is_not_called_anybody() {
    let etcd = guarded();
    let (sidecar, log) = audited(&etcd.endpoints(), "writes", "");
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    let request = pb::AuthenticateRequest { name: "app".into(), password: "wrong".into() };
    channel.unary(AUTHENTICATE, HeaderMap::new(), &request.encode_to_vec()).await;
    let line = log.wait(&json!({"op": "authenticate", "target_user": "app"})).await;
    assert_eq!(line["error"], "etcdserver: authentication failed, invalid user ID or password", "{line}");
    assert!(line.get("issued_token_hash").is_none(), "{line}");
    let put = pb::PutRequest { key: "k".into(), ..Default::default() }.encode_to_vec();
    channel.unary(PUT, metadata(&[("token", "made-up.1")]), &put).await;
    let line = log.wait(&json!({"op": "put", "code": "Unauthenticated"})).await;
    assert!(line.get("user").is_none() && line["token_hash"].is_string(), "{line}");
    channel.unary(PUT, HeaderMap::new(), &put).await;
    let line = log.wait(&json!({"op": "put", "code": "InvalidArgument"})).await;
    assert!(line.get("token_hash").is_none(), "{line}");
}

#[tokio::test]
async fn a_client_that_shows_a_certificate_is_told_by_its_common_name() {
    let (certs, etcd) = (Certs::new(), Etcd::start());
    let log = Log { directory: tempfile::tempdir().unwrap() };
    let server = certs.server();
    let sidecar = Sidecar::with_config(&format!(
        "
listen:
  - url: 'https://{{listen}}'
    tls: {{cert-file: '{}', key-file: '{}', trusted-ca-file: '{}'}}
upstream: {{endpoints: ['{}']}}
admin: {{url: 'http://{{admin}}'}}
audit: {{calls: writes, file: '{}'}}
",
        server.cert.display(),
        server.key.display(),
        certs.ca().display(),
        etcd.endpoint(),
        log.path().display()
    ));
    let url = format!("https://{}", sidecar.addr());
    for name in [Some("alice"), None] {
        let client = certs.client(name);
        let key = format!("of-{}", name.unwrap_or("nobody"));
        let channel = Channel::connect_tls(&url, certs.client_config(Some(&client), &["h2"])).await.unwrap();
        let put = pb::PutRequest { key: key.clone().into(), ..Default::default() };
        let _: pb::PutResponse = channel.call(PUT, &put).await.unwrap();
        let line = log.wait(&json!({"op": "put", "key": key, "path": PUT})).await;
        assert_eq!(line.get("common_name").and_then(|name| name.as_str()), name, "{line}");
        let config = certs.client_config(Some(&client), &["http/1.1"]);
        let mut http = Connection::open_tls(&url, config).await.unwrap();
        let path = "/v3/kv/put";
        http.post(path, &json!({"key": STANDARD.encode(&key)}).to_string()).await;
        let line = log.wait(&json!({"op": "put", "key": key, "path": path, "code": "OK"})).await;
        assert_eq!(line.get("common_name").and_then(|name| name.as_str()), name, "{line}");
    }
}
