//! What APISIX asks of etcd's JSON gateway (`lib/resty/etcd/v3.lua` of lua-resty-etcd), call by call.

use serde_json::{Value, json};

use super::client::Connection;
use crate::observability::becomes;
use crate::support::etcd::{Cluster, Options};
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn routes_are_read_watched_and_changed() {
    for version in ["3.4", "3.6"] {
        let cluster = Options::default().version(version).start_cluster(3);
        let sidecar = Sidecar::start(&cluster.endpoints());
        becomes(&sidecar, "etcdlet_cluster_has_leader", 1.0).await;
        let mut client = Apisix::open(&sidecar, None).await;
        life(&sidecar, &mut client, None).await;
    }
}

#[tokio::test]
async fn the_same_goes_with_a_token() {
    let cluster = Cluster::start(3);
    let etcd = &cluster.members[0];
    etcd.run_etcdctl(&["user", "add", "root:r"]);
    etcd.run_etcdctl(&["user", "grant-role", "root", "root"]);
    etcd.run_etcdctl(&["auth", "enable"]);
    let sidecar = Sidecar::start(&cluster.endpoints());
    let mut client = Apisix::open(&sidecar, None).await;
    let login = json!({"name": "root", "password": "r", "timeout": 5});
    let token = client.ask("/auth/authenticate", Some(&login)).await;
    let token = token["token"].as_str().expect("a token");
    let mut client = Apisix::open(&sidecar, Some(token)).await;
    life(&sidecar, &mut client, Some(token)).await;
}

/// Its reader takes each chunk for a whole JSON object, however long it is.
#[tokio::test]
async fn a_long_event_is_one_chunk() {
    let cluster = Cluster::start(1);
    let sidecar = Sidecar::start(&cluster.endpoints());
    let mut watch = Apisix::open(&sidecar, None).await;
    watch.send("/watch", Some(&json!({"create_request": {"key": ROUTE}}))).await;
    watch.connection.head().await;
    assert_eq!(watch.next().await["created"], true);
    let mut writer = Apisix::open(&sidecar, None).await;
    for length in [10_000, 100_000, 1_000_000] {
        let value = "QUJD".repeat(length / 4);
        writer.ask("/kv/put", Some(&json!({"key": ROUTE, "value": value}))).await;
        let event = watch.next().await;
        assert!(event["events"][0]["kv"]["value"] == value.as_str(), "{length}");
    }
}

async fn life(sidecar: &Sidecar, client: &mut Apisix, token: Option<&str>) {
    let version = client.connection.get("/version").await.json();
    assert!(version["etcdserver"].is_string(), "{version}");
    // readdir, and what the admin API does.
    let dir = json!({"key": ROUTES, "range_end": ROUTES_END});
    let before = client.ask("/kv/range", Some(&dir)).await;
    assert!(before["kvs"].is_null(), "{before}");
    let revision: u64 = before["header"]["revision"].as_str().expect("a number").parse().expect("a number");
    let mut watch = Apisix::open(sidecar, token).await;
    let create = json!({"create_request": {
        "key": ROUTES, "range_end": ROUTES_END, "prev_kv": true, "start_revision": revision + 1,
        "progress_notify": true, "fragment": false}});
    watch.send("/watch", Some(&create)).await;
    assert_eq!(watch.connection.head().await.status, 200);
    assert_eq!(watch.next().await["created"], true);
    client.ask("/kv/put", Some(&json!({"key": ROUTE, "value": "eyJ1cmkiOiIvYSJ9", "prev_kv": true}))).await;
    assert_eq!(watch.next().await["events"][0]["kv"]["value"], "eyJ1cmkiOiIvYSJ9");
    for (option, field) in [("keys_only", "kvs"), ("count_only", "count")] {
        let mut range = dir.clone();
        range[option] = true.into();
        let answer = client.ask("/kv/range", Some(&range)).await;
        assert!(!answer[field].is_null() && answer["kvs"][0]["value"].is_null(), "{option}: {answer}");
    }
    // setnx, setx.
    for (compared, done) in [("success", false), ("failure", false)] {
        let txn = json!({"compare": [{"target": "CREATE", "key": ROUTE, "createRevision": 0}],
            compared: [{"requestPut": {"key": ROUTE, "value": "e30="}}]});
        let answer = client.ask("/kv/txn", Some(&txn)).await;
        assert_eq!(answer["succeeded"].as_bool().unwrap_or(false), done, "{answer}");
    }
    let event = watch.next().await;
    assert_eq!(event["events"][0]["kv"]["value"], "e30=", "setx");
    assert_eq!(event["events"][0]["prev_kv"]["value"], "eyJ1cmkiOiIvYSJ9");
    let lease = client.ask("/lease/grant", Some(&json!({"TTL": 60, "ID": 0}))).await["ID"].clone();
    assert_eq!(client.ask("/lease/keepalive", Some(&json!({"ID": lease}))).await["result"]["TTL"], "60");
    let left = client.ask("/kv/lease/timetolive", Some(&json!({"ID": lease, "keys": true}))).await;
    assert_eq!(left["grantedTTL"], "60");
    assert_eq!(client.ask("/lease/leases", None).await["leases"][0]["ID"], lease);
    client.ask("/kv/lease/revoke", Some(&json!({"ID": lease}))).await;
    let deleted = client.ask("/kv/deleterange", Some(&json!({"key": ROUTE, "prev_kv": true}))).await;
    assert_eq!(deleted["prev_kvs"][0]["value"], "e30=");
    assert_eq!(watch.next().await["events"][0]["type"], "DELETE");
}

/// A connection as lua-resty-http keeps it.
struct Apisix {
    connection: Connection,
    authorization: String,
}

impl Apisix {
    async fn open(sidecar: &Sidecar, token: Option<&str>) -> Self {
        let authorization = token.map(|token| format!("Authorization: {token}\r\n")).unwrap_or_default();
        Self { connection: Connection::open(&sidecar.url()).await, authorization }
    }

    async fn send(&mut self, path: &str, body: Option<&Value>) {
        let body = body.map(Value::to_string).unwrap_or_default();
        let (length, authorization) = (body.len(), &self.authorization);
        let head = format!("POST /v3{path} HTTP/1.1\r\nHost: 127.0.0.1:2379\r\n{authorization}");
        let request =
            format!("{head}User-Agent: lua-resty-http/0.16.1\r\nContent-Length: {length}\r\n\r\n{body}");
        self.connection.send(request.as_bytes()).await;
    }

    async fn ask(&mut self, path: &str, body: Option<&Value>) -> Value {
        self.send(path, body).await;
        let answer = self.connection.response("POST").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    async fn next(&mut self) -> Value {
        let chunk = self.connection.chunk().await.expect("the stream goes on");
        let line: Value = serde_json::from_slice(&chunk).expect("each chunk is a line of JSON");
        line["result"].clone()
    }
}

/// /apisix/routes/ to /apisix/routes0, and a key below.
const ROUTES: &str = "L2FwaXNpeC9yb3V0ZXMv";
const ROUTES_END: &str = "L2FwaXNpeC9yb3V0ZXMw";
const ROUTE: &str = "L2FwaXNpeC9yb3V0ZXMvMQ==";
