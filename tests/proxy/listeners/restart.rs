//! A restart behind sockets that stay open: nobody's call fails.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use h2::Reason;
use http::HeaderMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::activation::{Activated, configuration};
use super::socket;
use crate::support::etcd::Etcd;
use crate::support::grpc::{Channel, End};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_under_load_fails_no_call() {
    let etcd = Etcd::start();
    let (_directory, path) = socket();
    let (tcp, unix) = (TcpListener::bind("127.0.0.1:0").unwrap(), UnixListener::bind(&path).unwrap());
    let address = tcp.local_addr().unwrap();
    let yaml =
        configuration(&etcd, &format!("{{url: 'http://{address}'}}, {{url: 'unix://{}'}}", path.display()));
    let sockets =
        || -> Vec<OwnedFd> { vec![tcp.try_clone().unwrap().into(), unix.try_clone().unwrap().into()] };
    let mut running = Activated::start(&yaml, sockets());
    let load = Arc::new(Load::default());
    let mut clients = Vec::new();
    for url in [format!("http://{address}"), format!("unix://{}", path.display())] {
        for _ in 0..3 {
            clients.push(tokio::spawn(calls(url.clone(), load.clone())));
        }
    }
    for _ in 0..3 {
        clients.push(tokio::spawn(requests(address, load.clone())));
        clients.push(tokio::spawn(requests_of_unix(path.clone(), load.clone())));
    }
    for _ in 0..3 {
        load.makes_progress().await;
        let (yaml, sockets) = (yaml.clone(), sockets());
        running = tokio::task::spawn_blocking(move || {
            running.stop();
            Activated::start(&yaml, sockets)
        })
        .await
        .unwrap();
    }
    load.makes_progress().await;
    load.over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    drop(running);
}

#[derive(Default)]
struct Load {
    grpc: AtomicUsize,
    http: AtomicUsize,
    over: AtomicBool,
}

impl Load {
    async fn makes_progress(&self) {
        for counter in [&self.grpc, &self.http] {
            let before = counter.load(Ordering::Relaxed);
            let progress = async {
                while counter.load(Ordering::Relaxed) < before + 200 {
                    sleep(Duration::from_millis(5)).await;
                }
            };
            timeout(LIMIT, progress).await.expect("calls are answered");
        }
    }
}

/// Calls on one connection after the other: a new one when the server says that it goes, as gRPC clients do. What it
/// says it has not begun is sent again.
async fn calls(url: String, load: Arc<Load>) {
    let mut channel = Channel::connect(&url).await.unwrap();
    while !load.over.load(Ordering::Relaxed) {
        let put = channel.unary("/etcdserverpb.KV/Put", HeaderMap::new(), b"\n\x01a\x12\x01b").await;
        if put.end == End::GoAway(Reason::NO_ERROR) {
            channel = Channel::connect(&url).await.unwrap();
            continue;
        }
        assert_eq!(put.status().code, Some(0), "{put:?}");
        load.grpc.fetch_add(1, Ordering::Relaxed);
    }
}

/// Each on a connection of its own.
async fn requests(address: SocketAddr, load: Arc<Load>) {
    while !load.over.load(Ordering::Relaxed) {
        let stream = TcpStream::connect(address).await.unwrap();
        request(stream, &load).await;
    }
}

async fn requests_of_unix(path: PathBuf, load: Arc<Load>) {
    while !load.over.load(Ordering::Relaxed) {
        let stream = tokio::net::UnixStream::connect(&path).await.unwrap();
        request(stream, &load).await;
    }
}

async fn request(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin, load: &Load) {
    stream.write_all(b"GET /version HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    timeout(LIMIT, stream.read_to_string(&mut answer)).await.expect("an answer in time").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
    load.http.fetch_add(1, Ordering::Relaxed);
}

const LIMIT: Duration = Duration::from_secs(20);
