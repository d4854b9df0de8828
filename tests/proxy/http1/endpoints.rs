//! Clusters whose client URLs serve gRPC only (`--listen-client-http-urls`).

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use super::client::Connection;
use crate::observability::{becomes, metric};
use crate::support::certs::Certs;
use crate::support::etcd::{Etcd, Options, Tls};
use crate::support::ports::free_port;
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn with_the_urls_of_http_everything_is_served_on_one_port() {
    for version in ["3.5.16", "3.6"] {
        let (etcd, http) = start(Options::default().version(version));
        let sidecar = Sidecar::with_args(&["--endpoints", &etcd.endpoint(), "--http-endpoints", &http]);
        let mut client = Connection::open(&sidecar.url()).await;
        let put = client.post("/v3/kv/put", r#"{"key": "YQ==", "value": "Yg=="}"#).await;
        assert_eq!(put.status, 200, "{version}: {}", put.text());
        let range = client.post("/v3/kv/range", r#"{"key": "YQ=="}"#).await;
        assert_eq!(range.json()["kvs"][0]["value"], "Yg==", "{version}");
        for path in ["/version", "/health", "/metrics"] {
            assert_eq!(client.get(path).await.status, 200, "{version}: {path}");
        }
        let through_grpc = etcdctl(&etcd, &sidecar, &["get", "a", "--print-value-only"]);
        assert_eq!(through_grpc.trim(), "b", "{version}");
    }
}

#[tokio::test]
async fn without_them_the_answer_names_the_key() {
    for version in ["3.5.16", "3.6"] {
        let (etcd, _) = start(Options::default().version(version));
        let sidecar = Sidecar::start(&etcd.endpoints());
        refuses(&sidecar, version).await;
        // It is not asked again for a while.
        let failures = r#"etcdlet_upstream_failures_total{reason="no http"}"#;
        let calls = format!("etcdlet_upstream_calls_total{{endpoint=\"{}\"}}", etcd.endpoint());
        let (before, sent) = (metric(&sidecar, failures), metric(&sidecar, &calls));
        refuses(&sidecar, version).await;
        assert!(metric(&sidecar, failures) > before, "{version}");
        assert_eq!(metric(&sidecar, &calls), sent, "{version}");
        assert_eq!(etcdctl(&etcd, &sidecar, &["put", "a", "b"]).trim(), "OK", "{version}");
    }
}

/// Over TLS such a member only hangs up, as one does that has died: once is not enough to tell.
#[tokio::test]
async fn over_tls_it_is_recognised_as_well() {
    let certs = Certs::new();
    let (etcd, http) =
        start(Options::default().tls(Tls { client_cert_auth: false, client: None, ..certs.of_etcd() }));
    let ca = certs.ca();
    let ca = ca.to_str().expect("paths are text");
    let arguments = ["--endpoints", &etcd.endpoint(), "--cacert", ca];
    let sidecar = Sidecar::with_args(&arguments);
    becomes(&sidecar, "etcdlet_cluster_has_leader", 1.0).await;
    for _ in 0..2 {
        assert_eq!(Connection::open(&sidecar.url()).await.post("/v3/kv/put", "{}").await.status, 503);
    }
    refuses(&sidecar, "over TLS").await;
    let sidecar = Sidecar::with_args(&[&arguments[..], &["--http-endpoints", &http]].concat());
    let answer = Connection::open(&sidecar.url()).await.post("/v3/kv/range", r#"{"key": "YQ=="}"#).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Nobody knows which URL is whose: any that is up does.
#[tokio::test]
async fn one_that_is_down_is_passed_over() {
    let (etcd, http) = start(Options::default());
    let (one, other) = (format!("127.0.0.1:{}", free_port()), format!("http://127.0.0.2:{}", free_port()));
    for urls in [format!("{one},{http}"), format!("{http},{one}"), format!("{other},{http}")] {
        let sidecar = Sidecar::with_args(&["--endpoints", &etcd.endpoint(), "--http-endpoints", &urls]);
        for _ in 0..5 {
            let answer = Connection::open(&sidecar.url()).await.get("/version").await;
            assert_eq!(answer.status, 200, "{urls}: {}", answer.text());
        }
    }
}

async fn refuses(sidecar: &Sidecar, what: &str) {
    let mut client = Connection::open(&sidecar.url()).await;
    let began = Instant::now();
    let answer = client.post("/v3/kv/put", r#"{"key": "YQ==", "value": "Yg=="}"#).await;
    assert_eq!((answer.status, answer.json()["code"].as_u64()), (503, Some(14)), "{what}");
    let text = answer.json()["message"].as_str().expect("a message").to_owned();
    assert!(text.contains("upstream.http-endpoints") && text.contains("not sent"), "{what}: {text}");
    let answer = client.get("/health").await;
    assert!(answer.status == 503 && answer.text().contains("upstream.http-endpoints"), "{what}: {answer:?}");
    assert!(began.elapsed() < Duration::from_secs(2), "{what}: {:?}", began.elapsed());
}

fn etcdctl(etcd: &Etcd, sidecar: &Sidecar, arguments: &[&str]) -> String {
    let mut command = etcd.etcdctl();
    let output = command.arg(format!("--endpoints={}", sidecar.url())).args(arguments).output();
    String::from_utf8(output.expect("etcdctl can be started").stdout).expect("etcdctl prints text")
}

/// A member, and where it serves HTTP.
fn start(options: Options) -> (Etcd, String) {
    let scheme = if options.has_tls() { "https" } else { "http" };
    let http = format!("{scheme}://{}:{}", Ipv4Addr::LOCALHOST, free_port());
    (options.flag(format!("--listen-client-http-urls={http}")).start(), http)
}
