//! Calls over HTTP: the JSON gateway, and the rest.

use serde_json::json;

use super::audited;
use crate::http1::client::Connection;
use crate::support::etcd::Etcd;

#[tokio::test]
async fn calls_of_the_gateway_are_told_as_what_they_do() {
    let etcd = Etcd::start();
    let (sidecar, log) = audited(&etcd.endpoints(), "all", "");
    let mut http = Connection::open(&sidecar.url()).await;
    for (path, request, expected) in [
        ("/v3/kv/put", json!({"key": "L2E=", "value": "YQ=="}), json!({"op": "put", "key": "/a"})),
        (
            "/v3/kv/range",
            json!({"key": "L2E=", "range_end": "AA=="}),
            json!({"op": "range", "key": "/a", "range_end_base64": "AA=="}),
        ),
        (
            "/v3/kv/txn",
            json!({
                "compare": [{"key": "L2E=", "target": "CREATE", "result": "GREATER", "create_revision": "0"}],
                "success": [{"request_put": {"key": "L2I=", "value": "YQ=="}}],
            }),
            json!({
                "op": "txn",
                "ops": [
                    {"op": "compare", "key": "/a"},
                    {"op": "put", "branch": "success", "key": "/b"},
                ],
                "succeeded": true,
            }),
        ),
        (
            "/v3/lease/grant",
            json!({"TTL": "60", "ID": "2748"}),
            json!({"op": "lease-grant", "lease": "abc", "granted": "abc", "ttl": 60}),
        ),
        ("/v3/kv/deleterange", json!({"key": "L2E="}), json!({"op": "delete", "key": "/a", "deleted": 1})),
        (
            "/v3/auth/user/add",
            json!({"name": "u", "password": "p"}),
            json!({"op": "user-add", "target_user": "u"}),
        ),
    ] {
        let response = http.post(path, &request.to_string()).await;
        assert_eq!(response.status, 200, "{path}: {}", String::from_utf8_lossy(&response.body));
        let line = log.wait(&expected).await;
        let more = json!({"path": path, "code": "OK", "http_status": 200, "member": etcd.endpoint()});
        assert!(super::has(&line, &more), "{line}");
        assert!(line["revision"].as_i64().unwrap() > 0, "{line}");
        assert_eq!(line["bytes_out"], response.body.len(), "{line}");
    }
}

#[tokio::test]
async fn refused_calls_of_the_gateway_are_told_without_quoting_them() {
    let etcd = Etcd::start();
    let (sidecar, log) = audited(&etcd.endpoints(), "writes", "");
    let mut http = Connection::open(&sidecar.url()).await;
    http.post("/v3/kv/put", r#"{"value": "YQ=="}"#).await;
    let line = log.wait(&json!({"op": "put", "error": "etcdserver: key is not provided"})).await;
    assert!(line["http_status"].as_u64().unwrap() >= 400 && line["code"] != "OK", "{line}");
    http.post("/v3/kv/put", r#"{"key": "YQ==", "value": "sesame!"}"#).await;
    let line = log.wait(&json!({"op": "put", "key": "a"})).await;
    assert!(line.get("error").is_none() && line["http_status"] == 400, "{line}");
    http.post("/v3/kv/put", "{no json").await;
    log.wait(&json!({"op": "put", "incomplete": true})).await;
    assert!(!log.text().contains("sesame"));
}

#[tokio::test]
async fn what_is_not_etcd_s_api_is_told_by_its_path() {
    let etcd = Etcd::start();
    let (sidecar, log) = audited(&etcd.endpoints(), "all", "");
    let mut http = Connection::open(&sidecar.url()).await;
    http.get("/health?sesame=1").await;
    let line = log.wait(&json!({"op": "http", "path": "/health"})).await;
    assert_eq!((line["http_status"].as_u64(), line["code"].as_str()), (Some(200), Some("OK")), "{line}");
    http.get("/nothing").await;
    log.wait(&json!({"op": "http", "path": "/nothing", "http_status": 404})).await;
    assert!(!log.text().contains("sesame"));
}

#[tokio::test]
async fn a_websocket_has_its_line_when_the_connection_has_become_one() {
    let etcd = Etcd::start();
    let (sidecar, log) = audited(&etcd.endpoints(), "writes", "");
    let mut http = Connection::open(&sidecar.url()).await;
    let upgrade = "GET /v3/kv/put?sesame=1 HTTP/1.1\r\nHost: etcd\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    http.send(upgrade.as_bytes()).await;
    assert_eq!(http.head().await.status, 101);
    let line = log.wait(&json!({"op": "put", "http_status": 101})).await;
    let expected = json!({"path": "/v3/kv/put", "code": "OK", "incomplete": true, "member": etcd.endpoint()});
    assert!(super::has(&line, &expected), "{line}");
    assert!(!log.text().contains("sesame"));
}
