//! How HTTP/1.1 passes: connections, bytes, names.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::client::Connection;
use super::server::Server;
use crate::observability::becomes;
use crate::support::etcd::Etcd;
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn connections_are_kept_and_used_again_on_both_sides() {
    let server = answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let sidecar = Sidecar::start(&[server.url()]);
    // The fixture's own connection, by which it saw that the process accepts.
    becomes(&sidecar, "etcdlet_connections_total", 1.0).await;
    let mut client = Connection::open(&sidecar.url()).await;
    for _ in 0..10 {
        assert_eq!(client.get("/").await.text(), "ok");
    }
    becomes(&sidecar, "etcdlet_connections_total", 2.0).await;
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let etcd = Etcd::start();
    let sidecar = Sidecar::start(&etcd.endpoints());
    let mut client = Connection::open(&sidecar.url()).await;
    let mut requests = Vec::new();
    for path in ["/version", "/health", "/nowhere", "/version"] {
        requests.extend(format!("GET {path} HTTP/1.1\r\nHost: etcd\r\n\r\n").into_bytes());
    }
    client.send(&requests).await;
    assert!(client.response("GET").await.text().contains("etcdserver"));
    assert!(client.response("GET").await.text().contains("health"));
    assert_eq!(client.response("GET").await.status, 404);
    assert!(client.response("GET").await.text().contains("etcdserver"));
}

#[tokio::test]
async fn names_of_headers_keep_their_case_both_ways_and_those_of_one_connection_stay_behind() {
    let (sender, mut seen) = tokio::sync::mpsc::channel(1);
    let server = Server::start(move |_, mut peer| {
        let sender = sender.clone();
        async move {
            let head = peer.head().await.expect("a request");
            sender.send(head).await.expect("the test waits");
            peer.send(b"HTTP/1.1 200 OK\r\nX-AnSwEr: 1\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nKeep-Alive: timeout=5\r\nETag: \"x\"\r\nContent-Length: 0\r\n\r\n").await;
        }
    })
    .await;
    let sidecar = Sidecar::start(&[server.url()]);
    let mut client = Connection::open(&sidecar.url()).await;
    client
        .send(b"GET /a%20b?c=d&e HTTP/1.1\r\nHost: some.where\r\nX-MiXed: 1\r\nx-twice: a\r\nx-twice: b\r\nConnection: X-Own\r\nX-Own: 1\r\nTE: trailers\r\nKeep-Alive: 1\r\n\r\n")
        .await;
    let answer = client.response("GET").await;
    let head = seen.recv().await.expect("the request arrived");
    let lines: Vec<&str> = head.split("\r\n").collect();
    assert_eq!(lines[0], "GET /a%20b?c=d&e HTTP/1.1");
    for line in ["Host: some.where", "X-MiXed: 1", "x-twice: a", "x-twice: b"] {
        assert!(lines.contains(&line), "no {line}: {head}");
    }
    for name in ["x-own", "te:", "keep-alive", "connection"] {
        assert!(!lines.iter().any(|line| line.to_lowercase().starts_with(name)), "{name}: {head}");
    }
    for header in [("X-AnSwEr", "1"), ("Set-Cookie", "a"), ("Set-Cookie", "b"), ("ETag", "\"x\"")] {
        let header = (header.0.to_owned(), header.1.to_owned());
        assert!(answer.headers.contains(&header), "no {header:?}: {answer:?}");
    }
    assert_eq!(answer.header("keep-alive"), None);
    assert_eq!(answer.header("date"), None, "etcdlet adds nothing");
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_gets_it_and_its_answer() {
    let etcd = Etcd::start();
    let sidecar = Sidecar::start(&etcd.endpoints());
    for url in [etcd.endpoint(), sidecar.url()] {
        let mut client = Connection::open(&url).await;
        let json = r#"{"key": "YQ==", "value": "Yg=="}"#;
        let head = format!("POST /v3/kv/put HTTP/1.1\r\nHost: etcd\r\nContent-Length: {}\r\n", json.len());
        client.send(format!("{head}Expect: 100-continue\r\n\r\n").as_bytes()).await;
        assert_eq!(client.head().await.status, 100, "{url}");
        client.send(json.as_bytes()).await;
        let answer = client.response("POST").await;
        assert_eq!(answer.status, 200, "{url}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_chunked_request_passes() {
    let etcd = Etcd::start();
    let sidecar = Sidecar::start(&etcd.endpoints());
    let mut client = Connection::open(&sidecar.url()).await;
    client.send(b"POST /v3/kv/put HTTP/1.1\r\nHost: etcd\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    for part in [r#"{"key": "#, r#""YQ==", "#, r#""value": "Yg=="}"#] {
        client.send(format!("{:x}\r\n{part}\r\n", part.len()).as_bytes()).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    client.send(b"0\r\n\r\n").await;
    assert_eq!(client.response("POST").await.status, 200);
    assert!(client.post("/v3/kv/range", r#"{"key": "YQ=="}"#).await.text().contains("Yg=="));
}

#[tokio::test]
async fn a_client_of_http_1_0_gets_a_plain_body_and_its_end() {
    let etcd = Etcd::start();
    let sidecar = Sidecar::start(&etcd.endpoints());
    // In this version a host need not be named.
    for (url, host) in [(etcd.endpoint(), ""), (sidecar.url(), "Host: etcd\r\n"), (sidecar.url(), "")] {
        let mut client = Connection::open(&url).await;
        client.send(format!("GET /metrics HTTP/1.0\r\n{host}\r\n").as_bytes()).await;
        let answer = client.response("GET").await;
        assert_eq!((answer.status, answer.header("transfer-encoding")), (200, None), "{url} {host:?}");
        assert!(answer.text().contains("etcd_server_version"));
        assert!(client.is_closed_within(Duration::from_secs(2)).await);
    }
}

#[tokio::test]
async fn large_bodies_stream_both_ways_and_are_not_kept_in_memory() {
    let received = Arc::new(AtomicUsize::new(0));
    let count = received.clone();
    let server = Server::start(move |_, mut peer| {
        let count = count.clone();
        async move {
            peer.head().await.expect("a request");
            while count.load(Ordering::SeqCst) < LARGE {
                count.fetch_add(peer.some().await.len(), Ordering::SeqCst);
            }
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n").as_bytes()).await;
            for _ in 0..LARGE / PIECE {
                peer.send(&[b'a'; PIECE]).await;
            }
        }
    })
    .await;
    let sidecar = Sidecar::start(&[server.url()]);
    let before = sidecar.rss_bytes();
    let mut client = Connection::open(&sidecar.url()).await;
    client.send(format!("POST / HTTP/1.1\r\nHost: etcd\r\nContent-Length: {LARGE}\r\n\r\n").as_bytes()).await;
    for _ in 0..LARGE / PIECE {
        client.send(&[b'q'; PIECE]).await;
    }
    let head = client.head().await;
    assert_eq!(head.status, 200, "{head:?}");
    assert_eq!(received.load(Ordering::SeqCst), LARGE);
    // Nobody reads for a while: what the member sends must wait there, not here.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let grown = sidecar.rss_bytes().saturating_sub(before);
    assert!(grown < LARGE as u64 / 4, "{grown} bytes for two bodies of {LARGE}");
    assert_eq!(client.rest(LARGE).await.len(), LARGE);
}

/// A server that gives every request this answer.
async fn answering(answer: &'static str) -> Server {
    Server::start(move |_, mut peer| async move {
        while peer.head().await.is_some() {
            peer.send(answer.as_bytes()).await;
        }
    })
    .await
}

const LARGE: usize = 64 << 20;
const PIECE: usize = 64 << 10;
