//! What etcd serves in HTTP/1.1, through etcdlet.

use std::sync::Arc;

use tokio::sync::Notify;

use super::client::{Connection, Response, post};
use super::server::Server;
use crate::observability::{becomes, metric};
use crate::support::etcd::{Etcd, Options};
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn the_json_gateway_writes_and_reads() {
    let mut pair = Pair::start().await;
    let put = pair.through.post("/v3/kv/put", r#"{"key": "YQ==", "value": "Yg=="}"#).await;
    assert_eq!(put.status, 200, "{}", put.text());
    let range = pair.through.post("/v3/kv/range", r#"{"key": "YQ=="}"#).await;
    assert_eq!(range.json()["kvs"][0]["value"], "Yg==");
    for (path, json) in [
        ("/v3/kv/range", r#"{"key": "YQ=="}"#),
        ("/v3/kv/range", r#"{"key": "AA==", "range_end": "AA==", "keys_only": true}"#),
        ("/v3/kv/txn", r#"{"success": [{"requestRange": {"key": "YQ=="}}]}"#),
        ("/v3/cluster/member/list", "{}"),
        ("/v3/kv/range", "{}"),
        ("/v3/kv/range", "not JSON"),
        ("/v3/lease/revoke", r#"{"ID": 99}"#),
        ("/v3/no/such/call", "{}"),
        ("/elsewhere", "{}"),
    ] {
        pair.assert_equal(&post(path, json), "POST", path).await;
    }
}

#[tokio::test]
async fn health_version_and_metrics_are_etcds_own() {
    let mut pair = Pair::start().await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: etcd\r\n\r\n").into_bytes();
    for path in ["/health", "/health?serializable=true", "/version", "/nowhere", "/v3/kv/put"] {
        pair.assert_equal(&get(path), "GET", path).await;
    }
    let (direct, through) = (pair.direct.get("/metrics").await, pair.through.get("/metrics").await);
    assert_eq!(names(&through), names(&direct));
    assert_eq!(through.header("content-type"), direct.header("content-type"));
    let version = format!("etcd_server_version{{server_version=\"{}\"}} 1", pair.etcd.version());
    assert!(through.text().contains(&version));
    assert!(!through.text().contains("etcdlet_"), "these are the member's");
}

#[tokio::test]
async fn other_methods_and_forms_of_a_target_are_etcds_to_judge() {
    let mut pair = Pair::start().await;
    for line in [
        "OPTIONS /v3/kv/range",
        "OPTIONS *",
        "DELETE /version",
        "PUT /v3/kv/put",
        "BREW /version",
        "GET http://some.where/version",
        "GET /version?a=b&c=%20d",
        "GET //version",
        "GET /%76ersion",
    ] {
        let request = format!("{line} HTTP/1.1\r\nHost: etcd\r\nContent-Length: 0\r\n\r\n");
        pair.assert_equal(request.as_bytes(), "any", line).await;
    }
}

#[tokio::test]
async fn head_is_answered_with_headers_only_and_the_connection_goes_on() {
    let mut pair = Pair::start().await;
    for path in ["/version", "/health", "/metrics"] {
        let request = format!("HEAD {path} HTTP/1.1\r\nHost: etcd\r\n\r\n");
        pair.assert_equal(request.as_bytes(), "HEAD", path).await;
        assert_eq!(pair.through.get("/version").await.status, 200, "after HEAD {path}");
    }
}

/// Whoever reads behind a client of the gateway must see what that one has seen.
#[tokio::test]
async fn what_the_json_gateway_answers_raises_the_watermark() {
    let etcd = Etcd::start();
    let sidecar = Sidecar::start(&etcd.endpoints());
    let mut client = Connection::open(&sidecar.url()).await;
    let watermark = "etcdlet_watermark_revision";
    for expected in 2..5 {
        assert_eq!(client.post("/v3/kv/put", r#"{"key": "YQ==", "value": "Yg=="}"#).await.status, 200);
        assert_eq!(metric(&sidecar, watermark), f64::from(expected));
    }
    assert_eq!(client.post("/v3/kv/put", "{}").await.status, 400);
    assert_eq!(metric(&sidecar, watermark), 4.0);
}

#[tokio::test]
async fn what_a_stream_shows_raises_the_watermark_where_its_header_is_cut() {
    let header = r#"{"cluster_id":"7","member_id":"9","revision":"31","raft_term":"2"}"#;
    let line = format!("{{\"result\":{{\"header\":{header}}}}}\n");
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let first = format!("{head}{:x}\r\n{}", line.len(), &line[..40]);
    let (arrived, second) = (Arc::new(Notify::new()), format!("{}\r\n", &line[40..]));
    let (answer, go_on) = (first.clone(), arrived.clone());
    let server = Server::start(move |_, mut peer| {
        let (first, second, go_on) = (answer.clone(), second.clone(), go_on.clone());
        async move {
            peer.head().await.expect("a request");
            peer.send(first.as_bytes()).await;
            go_on.notified().await;
            peer.send(second.as_bytes()).await;
            peer.head().await;
        }
    })
    .await;
    let sidecar = Sidecar::start(&[server.url()]);
    let mut watch = Connection::open(&sidecar.url()).await;
    watch.send(&post("/v3/watch", "{}")).await;
    assert_eq!(watch.head().await.status, 200);
    let received = format!("etcdlet_upstream_received_bytes_total{{endpoint=\"{}\"}}", server.url());
    becomes(&sidecar, &received, first.len() as f64).await;
    arrived.notify_one();
    assert_eq!(watch.chunk().await.expect("the stream goes on"), line.as_bytes(), "in one chunk");
    assert_eq!(metric(&sidecar, "etcdlet_watermark_revision"), 31.0);
}

#[tokio::test]
async fn a_watch_streams_its_events_as_they_happen() {
    let etcd = Etcd::start();
    let sidecar = Sidecar::start(&etcd.endpoints());
    let mut watch = Connection::open(&sidecar.url()).await;
    watch.send(&post("/v3/watch", r#"{"create_request": {"key": "YQ=="}}"#)).await;
    let head = watch.head().await;
    assert_eq!((head.status, head.header("transfer-encoding")), (200, Some("chunked")), "{head:?}");
    let created = watch.chunk().await.expect("the stream goes on");
    assert!(String::from_utf8_lossy(&created).contains(r#""created":true"#), "{created:?}");
    let streams = format!("etcdlet_upstream_streams{{endpoint=\"{}\"}}", etcd.endpoint());
    becomes(&sidecar, &streams, 1.0).await;
    let mut writer = Connection::open(&sidecar.url()).await;
    for value in ["MQ==", "Mg==", "Mw=="] {
        writer.post("/v3/kv/put", &format!(r#"{{"key": "YQ==", "value": "{value}"}}"#)).await;
        // Each comes before the next is written: nothing waits for a buffer to fill.
        let event = watch.chunk().await.expect("the stream goes on");
        let event: serde_json::Value = serde_json::from_slice(&event).expect("an event is a line of JSON");
        assert_eq!(event["result"]["events"][0]["kv"]["value"], value);
    }
    drop(watch);
    becomes(&sidecar, "etcdlet_rpc_inflight", 0.0).await;
    becomes(&sidecar, &streams, 0.0).await;
}

#[tokio::test]
async fn a_value_of_a_mebibyte_goes_in_and_comes_out() {
    let mut pair = Pair::start().await;
    // Base64 of 1 MiB without a remainder.
    let value = "QUJD".repeat((1 << 20) / 3);
    let put = pair.through.post("/v3/kv/put", &format!(r#"{{"key": "YQ==", "value": "{value}"}}"#)).await;
    assert_eq!(put.status, 200, "{}", put.text());
    let range = pair.through.post("/v3/kv/range", r#"{"key": "YQ=="}"#).await;
    assert!(range.json()["kvs"][0]["value"] == value.as_str());
    pair.assert_equal(&post("/v3/kv/range", r#"{"key": "YQ=="}"#), "POST", "the value").await;
}

/// Browsers ask before they send JSON (https://fetch.spec.whatwg.org/#cors-protocol).
#[tokio::test]
async fn what_browsers_may_do_is_etcds_to_say() {
    for flags in [None, Some("--cors=https://a.test:8443")] {
        let options = Options::default();
        let options = flags.into_iter().fold(options, Options::flag);
        let mut pair = Pair::of(options.start()).await;
        for origin in ["https://a.test:8443", "https://b.test:8443"] {
            for request in [
                format!(
                    "OPTIONS /v3/kv/put HTTP/1.1\r\nHost: etcd\r\nOrigin: {origin}\r\n\
                     Access-Control-Request-Method: POST\r\n\
                     Access-Control-Request-Headers: authorization,content-type\r\n\r\n"
                ),
                format!("GET /health HTTP/1.1\r\nHost: etcd\r\nOrigin: {origin}\r\n\r\n"),
                format!(
                    "POST /v3/kv/range HTTP/1.1\r\nHost: etcd\r\nOrigin: {origin}\r\n\
                     Content-Length: 14\r\n\r\n{{\"key\":\"YQ==\"}}"
                ),
            ] {
                pair.assert_equal(request.as_bytes(), "any", &request).await;
            }
        }
    }
}

#[tokio::test]
async fn paths_and_aliases_of_the_gateway_mean_what_they_mean_to_etcd() {
    for version in ["3.4", "3.5", "3.6", "3.7"] {
        let mut pair = Pair::of(Etcd::start_version(version)).await;
        for (path, json) in [
            ("/v3beta/kv/range", r#"{"key": "YQ=="}"#),
            ("/v3alpha/kv/range", r#"{"key": "YQ=="}"#),
            ("/v3/kv/range/", r#"{"key": "YQ=="}"#),
            ("/v3/kv/range?a=b", r#"{"key": "YQ=="}"#),
            ("/v3/kv/lease/leases", ""),
            ("/v3/lease/timetolive", r#"{"ID": "7"}"#),
            ("/v3/lease/keepalive", r#"{"ID": "7"}"#),
            ("/v3/kv/lease/revoke", r#"{"ID": "7"}"#),
            ("/v3/kv/txn", r#"{"success": [{}]}"#),
            ("/v3/kv/txn", r#"{"success": [{"requestTxn": {}}]}"#),
            ("/v3/kv/txn", r#"{"compare": [{"target": "VALUE"}]}"#),
            ("/v3/maintenance/alarm", r#"{"action": "GET"}"#),
            ("/v3/maintenance/hash", "{}"),
            ("/v3/auth/status", "{}"),
            ("/v3/auth/user/list", "{}"),
            ("/v3/election/leader", r#"{"name": "YQ=="}"#),
            ("/v3", "{}"),
        ] {
            pair.assert_equal(&post(path, json), "POST", &format!("{version}: {path} {json}")).await;
        }
    }
}

/// One member, and two ways to it.
struct Pair {
    direct: Connection,
    through: Connection,
    etcd: Etcd,
    _sidecar: Sidecar,
}

impl Pair {
    async fn start() -> Self {
        Self::of(Etcd::start()).await
    }

    async fn of(etcd: Etcd) -> Self {
        let sidecar = Sidecar::start(&etcd.endpoints());
        let direct = Connection::open(&etcd.endpoint()).await;
        let through = Connection::open(&sidecar.url()).await;
        Self { direct, through, etcd, _sidecar: sidecar }
    }

    /// The same answer to the same bytes, except for the time.
    async fn assert_equal(&mut self, request: &[u8], method: &str, name: &str) {
        let mut answers = Vec::new();
        for connection in [&mut self.direct, &mut self.through] {
            connection.send(request).await;
            let mut answer = connection.response(method).await;
            // The order of different headers means nothing (RFC 9110, 5.3).
            answer.headers.sort();
            let date = answer.headers.iter_mut().find(|(name, _)| name.eq_ignore_ascii_case("date"));
            date.expect("etcd says the time").1.clear();
            answers.push((answer.status, answer.headers.clone(), answer.text()));
        }
        assert_eq!(answers[1], answers[0], "{name}");
    }
}

fn names(response: &Response) -> Vec<&str> {
    let mut names: Vec<&str> = response.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names
}
