//! What Patroni asks of etcd's JSON gateway (`patroni/dcs/etcd3.py`), call by call.

use serde_json::{Value, json};

use super::client::{Connection, Response};
use crate::observability::becomes;
use crate::support::etcd::{Cluster, Etcd};
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn a_leader_key_is_taken_kept_and_given_up_while_the_replicas_watch() {
    for version in ["3.4", "3.5", "3.6", "3.7"] {
        let etcd = Etcd::start_version(version);
        let sidecar = Sidecar::start(&etcd.endpoints());
        life(&sidecar, None).await;
    }
}

#[tokio::test]
async fn the_same_goes_with_a_token_on_a_cluster_of_three() {
    let cluster = Cluster::start(3);
    let sidecar = Sidecar::start(&cluster.endpoints());
    becomes(&sidecar, "etcdlet_cluster_has_leader", 1.0).await;
    let etcd = &cluster.members[0];
    etcd.run_etcdctl(&["user", "add", "root:r"]);
    etcd.run_etcdctl(&["user", "grant-role", "root", "root"]);
    etcd.run_etcdctl(&["auth", "enable"]);
    let mut client = Patroni::open(&sidecar, None).await;
    let refused = client.post("/kv/range", json!({"key": KEY})).await;
    assert_eq!(refused.json()["message"], "etcdserver: user name is empty", "{}", refused.text());
    let token = client.ask("/auth/authenticate", json!({"name": "root", "password": "r"})).await;
    life(&sidecar, token["token"].as_str()).await;
    let mut late = Patroni::open(&sidecar, Some("no such token")).await;
    let refused = late.post("/kv/range", json!({"key": KEY, "serializable": true})).await;
    assert_eq!((refused.status, refused.json()["code"].as_u64()), (401, Some(16)), "{}", refused.text());
}

async fn life(sidecar: &Sidecar, token: Option<&str>) {
    let mut primary = Patroni::open(sidecar, token).await;
    let version = primary.connection.get("/version").await.json();
    assert!(version["etcdserver"].is_string() && version["etcdcluster"].is_string(), "{version}");
    let members = primary.ask("/cluster/member/list", json!({})).await;
    assert!(members["members"][0]["clientURLs"][0].is_string(), "{members}");

    // A replica builds its cache, and watches from there.
    let mut replica = Patroni::open(sidecar, token).await;
    let cache =
        replica.ask("/kv/range", json!({"key": PREFIX, "range_end": END, "serializable": true})).await;
    let revision = cache["header"]["revision"].as_str().expect("a revision").to_owned();
    let watch = json!({"create_request":
        {"key": PREFIX, "range_end": END, "start_revision": revision, "filters": []}});
    replica.send("/watch", watch).await;
    assert_eq!(replica.connection.head().await.header("transfer-encoding"), Some("chunked"));
    assert_eq!(replica.next().await["created"], true);

    let lease = primary.ask("/lease/grant", json!({"TTL": 30})).await["ID"].clone();
    let taken = json!({
        "compare": [{"target": "CREATE", "create_revision": "0", "key": KEY}],
        "success": [{"request_put": {"key": KEY, "value": "YQ==", "lease": lease}}],
    });
    let first = primary.ask("/kv/txn", taken.clone()).await;
    assert_eq!(first["succeeded"], true, "{first}");
    assert!(primary.ask("/kv/txn", taken).await["succeeded"].is_null(), "it is taken");
    let event = replica.next().await;
    assert_eq!((&event["events"][0]["kv"]["key"], &event["events"][0]["kv"]["lease"]), (&json!(KEY), &lease));
    for _ in 0..3 {
        let kept = primary.ask("/lease/keepalive", json!({"ID": lease})).await;
        assert_eq!(kept["result"]["TTL"], "30", "{kept}");
    }
    // What the replica reads anywhere is not behind what it was told.
    let mut reader = Patroni::open(sidecar, token).await;
    let read = reader.ask("/kv/range", json!({"key": KEY, "serializable": true})).await;
    let modified = read["kvs"][0]["mod_revision"].clone();
    let update = json!({
        "compare": [{"target": "MOD", "mod_revision": modified, "key": KEY}],
        "success": [{"request_put": {"key": KEY, "value": "Yg==", "lease": lease}}],
    });
    assert_eq!(primary.ask("/kv/txn", update).await["succeeded"], true);
    assert_eq!(replica.next().await["events"][0]["kv"]["value"], "Yg==");
    primary.ask("/kv/put", json!({"key": STATUS, "value": "MQ=="})).await;
    assert_eq!(replica.next().await["events"][0]["kv"]["key"], STATUS);
    primary.ask("/lease/revoke", json!({"ID": lease})).await;
    let gone = replica.next().await;
    assert_eq!(
        (&gone["events"][0]["type"], &gone["events"][0]["kv"]["key"]),
        (&json!("DELETE"), &json!(KEY))
    );
    let gone = primary.ask("/lease/keepalive", json!({"ID": lease})).await;
    assert!(gone["result"]["TTL"].is_null(), "{gone}");
    let deleted = primary.ask("/kv/deleterange", json!({"key": PREFIX, "range_end": END})).await;
    assert_eq!(deleted["deleted"], "1");
    assert_eq!(replica.next().await["events"][0]["type"], "DELETE");
}

/// A connection as urllib3 keeps it.
struct Patroni {
    connection: Connection,
    headers: String,
}

impl Patroni {
    async fn open(sidecar: &Sidecar, token: Option<&str>) -> Self {
        let token = token.map(|token| format!("authorization: {token}\r\n")).unwrap_or_default();
        let headers = format!("user-agent: Patroni/4.0.4 Python/3.11.2 Linux\r\n{token}");
        Self { connection: Connection::open(&sidecar.url()).await, headers }
    }

    async fn send(&mut self, path: &str, body: Value) {
        let body = body.to_string();
        let (length, headers) = (body.len(), &self.headers);
        let head =
            format!("POST /v3{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Encoding: identity\r\n{headers}");
        let request =
            format!("{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}");
        self.connection.send(request.as_bytes()).await;
    }

    async fn post(&mut self, path: &str, body: Value) -> Response {
        self.send(path, body).await;
        self.connection.response("POST").await
    }

    async fn ask(&mut self, path: &str, body: Value) -> Value {
        let answer = self.post(path, body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// The next result of a stream.
    async fn next(&mut self) -> Value {
        let chunk = self.connection.chunk().await.expect("the stream goes on");
        let line: Value = serde_json::from_slice(&chunk).expect("each chunk is a line of JSON");
        line["result"].clone()
    }
}

/// /service/batman/ to /service/batman0, and keys below.
const PREFIX: &str = "L3NlcnZpY2UvYmF0bWFuLw==";
const END: &str = "L3NlcnZpY2UvYmF0bWFuMA==";
const KEY: &str = "L3NlcnZpY2UvYmF0bWFuL2xlYWRlcg==";
const STATUS: &str = "L3NlcnZpY2UvYmF0bWFuL3N0YXR1cw==";
