//! What a client of HTTP/1.1 sees when there is no answer, or half of one.

use std::time::{Duration, Instant};

use super::client::{Connection, post};
use super::server::Server;
use crate::observability::metric;
use crate::support::etcd::Etcd;
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn with_no_member_to_reach_the_answer_is_503_at_once_and_says_why() {
    // Port 1 is nobody's.
    let sidecar = Sidecar::start(&["http://127.0.0.1:1"]);
    let mut client = Connection::open(&sidecar.url()).await;
    for _ in 0..3 {
        let started = Instant::now();
        let answer = client.post("/v3/kv/put", "{}").await;
        assert_eq!((answer.status, answer.header("content-type")), (503, Some("application/json")));
        let text = answer.json()["message"].as_str().expect("a message").to_owned();
        assert!(text.starts_with("etcdlet: no endpoint is reachable, not sent: "), "{text}");
        assert!(text.contains("http://127.0.0.1:1") && text.contains("refused"), "{text}");
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    }
}

#[tokio::test]
async fn an_endpoint_that_is_down_is_passed_over() {
    let etcd = Etcd::start();
    let sidecar = Sidecar::start(&["http://127.0.0.1:1".to_owned(), etcd.endpoint()]);
    let dead = "etcdlet_upstream_connect_failures_total{endpoint=\"http://127.0.0.1:1\"}";
    while metric(&sidecar, dead) < 1.0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for number in 1..=20 {
        let answer = Connection::open(&sidecar.url()).await.get("/version").await;
        assert_eq!(answer.status, 200, "request {number}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_member_that_hangs_up_without_an_answer_leaves_the_outcome_unknown() {
    let server = Server::start(|_, mut peer| async move {
        peer.head().await.expect("a request");
    })
    .await;
    let sidecar = Sidecar::start(&[server.url()]);
    let mut client = Connection::open(&sidecar.url()).await;
    let answer = client.post("/v3/kv/put", "{}").await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (503, r#"{"code":14,"message":"etcdlet: upstream connection lost, outcome unknown"}"#)
    );
    assert_eq!(server.connections(), 1, "it was sent again");
}

/// A client must not take half an answer for a whole one.
#[tokio::test]
async fn an_answer_that_breaks_off_ends_the_connection_without_its_last_chunk() {
    for head in ["Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "Content-Length: 9\r\n\r\nabc"] {
        let server = Server::start(move |_, mut peer| async move {
            peer.head().await.expect("a request");
            peer.send(format!("HTTP/1.1 200 OK\r\n{head}").as_bytes()).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        })
        .await;
        let sidecar = Sidecar::start(&[server.url()]);
        let mut client = Connection::open(&sidecar.url()).await;
        client.send(&post("/", "{}")).await;
        let answer = client.head().await;
        assert_eq!(answer.status, 200);
        let body = match answer.header("transfer-encoding") {
            Some(_) => client.chunk().await.expect("a chunk"),
            None => client.rest(3).await,
        };
        assert_eq!(body, b"abc");
        assert!(client.is_closed_within(Duration::from_secs(2)).await, "{head:?}");
    }
}

#[tokio::test]
async fn a_connection_that_the_member_closed_while_idle_is_not_used_again() {
    let server = Server::start(|_, mut peer| async move {
        peer.head().await.expect("a request");
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    })
    .await;
    let sidecar = Sidecar::start(&[server.url()]);
    let mut client = Connection::open(&sidecar.url()).await;
    for number in 1..=5 {
        assert_eq!(client.post("/v3/kv/put", "{}").await.status, 200, "request {number}");
        // So that its end has come.
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    assert_eq!(server.connections(), 5);
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_request_at_the_member() {
    let (sender, mut ended) = tokio::sync::mpsc::channel(1);
    let server = Server::start(move |_, mut peer| {
        let sender = sender.clone();
        async move {
            peer.head().await.expect("a request");
            while !peer.some().await.is_empty() {}
            sender.send(Instant::now()).await.expect("the test waits");
        }
    })
    .await;
    let sidecar = Sidecar::start(&[server.url()]);
    let mut client = Connection::open(&sidecar.url()).await;
    client.send(&post("/v3/watch", "{}")).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(client);
    let left = Instant::now();
    let ended = tokio::time::timeout(Duration::from_secs(3), ended.recv()).await;
    let ended = ended.expect("the member is told").expect("the server runs");
    assert!(ended.duration_since(left) < Duration::from_millis(500), "{:?}", ended.duration_since(left));
}
