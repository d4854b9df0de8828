//! Clusters that speak TLS.

use std::time::{Duration, Instant};

use etcdlet::proto::etcdserverpb::{PutRequest, PutResponse, RangeRequest, RangeResponse};

use super::{showing, upstream_tls};
use crate::http1::client::Connection;
use crate::support::certs::Certs;
use crate::support::etcd::{Etcd, Options, Tls};
use crate::support::grpc::{Channel, Status};
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn a_cluster_that_demands_certificates_is_reached_with_one() {
    let certs = Certs::new();
    let etcd = demanding(&certs);
    let sidecar = showing(&certs, &certs.client(None), &etcd.endpoint());
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    put(&channel, "key").await.unwrap();
    let got: RangeResponse =
        channel.call(RANGE, &RangeRequest { key: "key".into(), ..Default::default() }).await.unwrap();
    assert_eq!(got.count, 1);
    let mut http = Connection::open(&sidecar.url()).await;
    assert_eq!(http.get("/version").await.json()["etcdserver"], etcd.version());
    let put = http.post("/v3/kv/put", r#"{"key": "YQ==", "value": "Yg=="}"#).await;
    assert_eq!(put.status, 200, "{}", put.text());
}

#[tokio::test]
async fn flags_name_the_same_files_as_the_configuration() {
    let certs = Certs::new();
    let (etcd, client) = (demanding(&certs), certs.client(None));
    let text = |path: &std::path::Path| path.display().to_string();
    let (ca, cert, key) = (text(&certs.ca()), text(&client.cert), text(&client.key));
    let sidecar = Sidecar::with_args(&[
        "--endpoints",
        &etcd.endpoint(),
        "--cacert",
        &ca,
        "--cert",
        &cert,
        "--key",
        &key,
    ]);
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    put(&channel, "key").await.unwrap();
}

#[tokio::test]
async fn a_cluster_of_another_ca_is_unavailable_with_endpoint_and_reason() {
    let (certs, others) = (Certs::new(), Certs::new());
    let etcd = demanding(&certs);
    let sidecar = showing(&others, &others.client(None), &etcd.endpoint());
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    let status = put(&channel, "key").await.unwrap_err();
    assert_unreachable(&status, &etcd.endpoint(), "UnknownIssuer");
    let refused = Connection::open(&sidecar.url()).await.get("/version").await;
    assert_eq!(refused.status, 503);
    assert!(
        refused.text().contains(&etcd.endpoint()) && refused.text().contains("UnknownIssuer"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_cluster_that_demands_a_certificate_and_gets_none_is_unavailable() {
    let certs = Certs::new();
    let etcd = demanding(&certs);
    let ca = certs.ca().display().to_string();
    let sidecar = Sidecar::with_args(&["--endpoints", &etcd.endpoint(), "--cacert", &ca]);
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    for _ in 0..3 {
        let started = Instant::now();
        let status = put(&channel, "key").await.unwrap_err();
        // In TLS 1.3 the member's complaint can be overtaken by the end of the connection.
        assert_unreachable(&status, &etcd.endpoint(), "");
        assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    }
}

#[tokio::test]
async fn the_name_in_the_clusters_certificate_can_be_given() {
    let certs = Certs::new();
    // The fixture asks its member by address, the sidecar by a name that the certificate does not have.
    let (server, client) = (certs.server_named(&["127.0.0.1", "etcd.example"]), certs.client(None));
    let etcd = Options::default()
        .tls(Tls { cert_file: server.cert, key_file: server.key, ..certs.of_etcd() })
        .start();
    let endpoint = format!("https://localhost:{}", etcd.addr().port());
    let tls = upstream_tls(&certs, &client);
    let configured = |tls: &str| {
        Sidecar::with_config(&format!(
            "
listen: [{{url: 'http://{{listen}}'}}]
upstream: {{endpoints: ['{endpoint}'], tls: {tls}}}
admin: {{url: 'http://{{admin}}'}}
"
        ))
    };
    let sidecar = configured(&tls);
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    assert_unreachable(&put(&channel, "key").await.unwrap_err(), &endpoint, "not valid for name");
    let sidecar = configured(&tls.replace('}', ", server-name: etcd.example}"));
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    put(&channel, "key").await.unwrap();
    assert_eq!(Connection::open(&sidecar.url()).await.get("/version").await.status, 200);
}

fn demanding(certs: &Certs) -> Etcd {
    Options::default().tls(certs.of_etcd()).start()
}

async fn put(channel: &Channel, key: &'static str) -> Result<PutResponse, Status> {
    channel.call("/etcdserverpb.KV/Put", &PutRequest { key: key.into(), ..Default::default() }).await
}

fn assert_unreachable(status: &Status, endpoint: &str, reason: &str) {
    assert_eq!(status.code, Some(14), "{status:?}");
    assert!(status.message.starts_with("etcdlet: "), "{status:?}");
    assert!(status.message.contains(endpoint), "{status:?}");
    assert!(status.message.contains(reason), "{status:?}");
}

const RANGE: &str = "/etcdserverpb.KV/Range";
