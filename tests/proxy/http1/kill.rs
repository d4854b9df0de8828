//! A member dies under calls in JSON.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::client::Connection;
use crate::faults::ALONE;
use crate::observability::becomes;
use crate::support::etcd::Cluster;
use crate::support::sidecar::Sidecar;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_leader_fails_no_read_and_no_write_happens_twice() {
    let _alone = ALONE.lock().await;
    let mut cluster = Cluster::start(3);
    let sidecar = Sidecar::start(&cluster.endpoints());
    becomes(&sidecar, "etcdlet_cluster_has_leader", 1.0).await;
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<JoinHandle<usize>> = [
        ("/v3/kv/range", r#"{"key": "bm90IHRoZXJl"}"#),
        ("/v3/kv/range", r#"{"key": "bm90IHRoZXJl", "serializable": true}"#),
        ("/v3/kv/txn", r#"{"success": [{"requestRange": {"key": "bm90IHRoZXJl"}}]}"#),
        ("/v3/lease/leases", "{}"),
        ("/v3/cluster/member/list", r#"{"linearizable": true}"#),
    ]
    .map(|(path, json)| tokio::spawn(reads(sidecar.url(), path, json, stop.clone())))
    .into();
    let writers: Vec<JoinHandle<Written>> =
        (0..2).map(|writer| tokio::spawn(writes(sidecar.url(), writer, stop.clone()))).collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let leader = cluster.leader();
    cluster.members[leader].kill();
    tokio::time::sleep(Duration::from_secs(4)).await;
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        assert!(reader.await.expect("no read fails") > 10);
    }
    let (mut done, mut failed) = (0, 0);
    for writer in writers {
        let written = writer.await.expect("writes fail only as they may");
        (done, failed) = (done + written.done.len(), failed + written.failed);
        let versions = versions(&cluster.members[(leader + 1) % 3].endpoint()).await;
        for key in &written.done {
            let version = versions.iter().find(|(found, _)| found == key).map(|(_, version)| version);
            assert_eq!(version.map(String::as_str), Some("1"), "{key}");
        }
        assert!(versions.iter().all(|(_, version)| version == "1"), "{versions:?}");
    }
    println!("{done} writes, {failed} failed");
    assert!(done > 50 && failed < 10, "{done} writes, {failed} failed");
}

struct Written {
    /// In base64.
    done: Vec<String>,
    failed: usize,
}

async fn reads(url: String, path: &'static str, json: &'static str, stop: Arc<AtomicBool>) -> usize {
    let mut client = Connection::open(&url).await;
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let answer = client.post(path, json).await;
        assert_eq!(answer.status, 200, "{path} {json} after {:?}: {}", began.elapsed(), answer.text());
        count += 1;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    count
}

/// One key after the other, each once.
async fn writes(url: String, writer: usize, stop: Arc<AtomicBool>) -> Written {
    let mut client = Connection::open(&url).await;
    let mut written = Written { done: Vec::new(), failed: 0 };
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        // Digits are base64 of something.
        let key = format!("a{writer}{number:06}");
        let answer = client.post("/v3/kv/put", &format!(r#"{{"key": "{key}", "value": "YQ=="}}"#)).await;
        if answer.status == 200 {
            written.done.push(key);
        } else {
            written.failed += 1;
            assert_eq!((answer.status, answer.header("content-type")), (503, Some("application/json")));
            let error = answer.json();
            let text = error["message"].as_str().expect("a message");
            let expected =
                ["etcdlet: upstream connection lost, outcome unknown", "etcdlet: no leader, not sent"];
            let by_etcd = text.starts_with("etcdserver: ");
            assert!(expected.contains(&text) || by_etcd, "{text}");
            assert_eq!(error["code"], 14, "{text}");
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    written
}

/// Of all keys, which are in base64.
async fn versions(endpoint: &str) -> Vec<(String, String)> {
    let mut client = Connection::open(endpoint).await;
    let all = client.post("/v3/kv/range", r#"{"key": "AA==", "range_end": "AA=="}"#).await.json();
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    let all = all["kvs"].as_array().expect("keys").clone();
    all.iter().map(|kv| (text(&kv["key"]), text(&kv["version"]))).collect()
}
