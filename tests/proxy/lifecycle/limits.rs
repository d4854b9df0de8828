//! What the process takes: files, threads, connections.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::process::{Command, Stdio};
use std::time::Duration;

use http::HeaderMap;
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::{configured, watch};
use crate::http1::client::Connection;
use crate::observability::{Child, becomes, metric};
use crate::support::etcd::Etcd;
use crate::support::grpc::Channel;
use crate::support::sidecar::Sidecar;

#[test]
fn the_soft_limit_of_open_files_is_raised_to_the_hard_one() {
    let program = Sidecar::command().get_program().to_owned();
    let mut command = Command::new("sh");
    command.args(["-c", r#"ulimit -S -n 100; exec "$0" "$@""#]).arg(program);
    command.args(["--listen-client-urls", "http://127.0.0.1:0", "--admin-url", "http://127.0.0.1:0"]);
    command.args(["--endpoints", "http://127.0.0.1:1"]).stdout(Stdio::null()).stderr(Stdio::null());
    let child = Child::spawn(&mut command);
    let limits = format!("/proc/{}/limits", child.id());
    for attempt in 0.. {
        let text = fs::read_to_string(&limits).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
        let numbers: Vec<&str> = line.split_whitespace().collect();
        if numbers[0] == numbers[1] {
            return;
        }
        assert!(attempt < 300, "{line}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test]
async fn two_threads_serve_as_one() {
    let etcd = Etcd::start();
    let sidecar = configured(&etcd.endpoint(), "threads: 2");
    let threads = data_threads(&sidecar);
    assert_eq!(threads, BTreeSet::from(["data-0".to_owned(), "data-1".to_owned()]));
    let mut clients = Vec::new();
    for _ in 0..16 {
        let channel = Channel::connect(&sidecar.url()).await.unwrap();
        clients.push(tokio::spawn(async move {
            let mut watch = watch(&channel, "key").await;
            for _ in 0..50 {
                let answer = channel.unary("/etcdserverpb.KV/Range", HeaderMap::new(), b"\n\x01a").await;
                assert_eq!(answer.status().code, Some(0), "{answer:?}");
            }
            channel.unary("/etcdserverpb.KV/Put", HeaderMap::new(), b"\n\x03key").await;
            watch.next_message::<etcdlet::proto::etcdserverpb::WatchResponse>(Duration::from_secs(5)).await;
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(Connection::open(&sidecar.url()).await.get("/version").await.status, 200);
    let ranges = "etcdlet_rpc_total{code=\"OK\",method=\"/etcdserverpb.KV/Range\"}";
    becomes(&sidecar, ranges, 800.0).await;
    // Each thread has connections of its own.
    let upstream = format!("etcdlet_upstream_connections{{endpoint=\"{}\"}}", etcd.endpoint());
    assert!(metric(&sidecar, &upstream) >= 2.0);
}

#[tokio::test]
async fn two_threads_drain_together() {
    let etcd = Etcd::start();
    let mut sidecar = configured(&etcd.endpoint(), "threads: 2\ndrain: {stream-jitter: 100ms}");
    let mut held = Vec::new();
    for _ in 0..8 {
        let channel = Channel::connect(&sidecar.url()).await.unwrap();
        held.push((watch(&channel, "key").await, channel));
    }
    sidecar.terminate();
    for (watch, channel) in held {
        assert_eq!(watch.answer(Duration::from_secs(2)).await.status().message, "etcdlet: shutting down");
        drop(channel);
    }
    sleep(Duration::from_millis(50)).await;
    assert!(sidecar.wait(Duration::from_secs(2)).is_some_and(|status| status.success()));
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_and_counted_and_the_others_never_notice() {
    let etcd = Etcd::start();
    let sidecar = configured(&etcd.endpoint(), "limits: {connections: 3}");
    // The fixture's own connection, by which it saw that the process accepts, has to be gone.
    becomes(&sidecar, "etcdlet_connections_total", 1.0).await;
    becomes(&sidecar, "etcdlet_connections", 0.0).await;
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    let mut http = Connection::open(&sidecar.url()).await;
    let silent = TcpStream::connect(sidecar.addr()).await.unwrap();
    channel.unary("/etcdserverpb.KV/Range", HeaderMap::new(), b"\n\x01a").await;
    for _ in 0..3 {
        let mut refused = Connection::open(&sidecar.url()).await;
        assert!(refused.is_closed_within(Duration::from_secs(1)).await);
    }
    becomes(&sidecar, "etcdlet_connections_refused_total{reason=\"limit\"}", 3.0).await;
    let answer = channel.unary("/etcdserverpb.KV/Range", HeaderMap::new(), b"\n\x01a").await;
    assert_eq!(answer.status().code, Some(0));
    assert_eq!(http.get("/version").await.status, 200);
    drop(silent);
    becomes(&sidecar, "etcdlet_connections", 2.0).await;
    assert_eq!(Connection::open(&sidecar.url()).await.get("/version").await.status, 200);
}

fn data_threads(sidecar: &Sidecar) -> BTreeSet<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", sidecar.pid())).expect("the process runs");
    let name = |task: io::Result<fs::DirEntry>| {
        Some(fs::read_to_string(task.ok()?.path().join("comm")).ok()?.trim().to_owned())
    };
    let names = tasks.filter_map(name);
    names.filter(|name| name.starts_with("data-")).collect()
}
