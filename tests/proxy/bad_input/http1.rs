//! HTTP/1 that is none, before a real etcd: the scripted member speaks HTTP/2 only.

use std::fs;
use std::time::Duration;

use super::subject::{MIB, assert_no_panic, metric, settle, sidecar_with_limits};
use super::wire::Wire;
use crate::support::etcd::Etcd;
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn malformed_http1_is_refused_or_closed_at_once() {
    let (_etcd, sidecar) = start();
    for (name, bytes) in malformed() {
        let mut wire = Wire::connect(sidecar.addr()).await;
        drop(wire.send(&bytes).await);
        let (answer, closed) = wire.hear_text(Duration::from_millis(700)).await;
        assert!(closed, "{name}: still open after {answer:?}");
        let refused = ["HTTP/1.1 400", "HTTP/1.1 414", "HTTP/1.1 431"];
        assert!(
            answer.is_empty() || refused.iter().any(|start| answer.starts_with(start)),
            "{name}: {answer:?}"
        );
        assert_well(&sidecar, name).await;
    }
    settle(&sidecar, "malformed HTTP/1", 0).await;
    assert!(sidecar.rss_bytes() < RSS_MAX, "{} bytes of memory", sidecar.rss_bytes());
}

#[tokio::test]
async fn a_request_in_http1_that_does_not_end_is_closed_when_the_handshake_time_is_up() {
    let (_etcd, sidecar) = start();
    for bytes in [&b"GET /version HTTP/1.1\r\nHost: a\r\n"[..], b"GET /ver", b"\r\n"] {
        let mut wire = Wire::connect(sidecar.addr()).await;
        wire.send(bytes).await.expect("a new connection takes a few bytes");
        let (answer, closed) = wire.hear_text(Duration::from_secs(3)).await;
        assert!(closed, "{:?} holds its connection; heard {answer:?}", String::from_utf8_lossy(bytes));
    }
    assert_well(&sidecar, "stalled heads").await;
    settle(&sidecar, "stalled heads", 0).await;
}

#[tokio::test]
async fn a_body_in_http1_that_contradicts_itself_reaches_no_other_call() {
    let (_etcd, sidecar) = start();
    let smuggled = "GET /version HTTP/1.1\r\nHost: a\r\n\r\n";
    let head = "POST /v3/kv/range HTTP/1.1\r\nHost: a\r\n";
    let bodies = [
        ("two lengths", format!("{head}Content-Length: 2\r\nContent-Length: 40\r\n\r\n{{}}{smuggled}")),
        (
            "a length and chunks",
            format!("{head}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        ),
        ("a chunk without a size", format!("{head}Transfer-Encoding: chunked\r\n\r\nxyz\r\n{smuggled}")),
        (
            "a chunk of 2^64 bytes",
            format!("{head}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{smuggled}"),
        ),
        ("an unknown coding", format!("{head}Transfer-Encoding: xchunked\r\n\r\n{smuggled}")),
        ("a negative length", format!("{head}Content-Length: -1\r\n\r\n{smuggled}")),
        ("a body cut short", format!("{head}Content-Length: 4000\r\n\r\n{smuggled}")),
    ];
    for (name, bytes) in bodies {
        let mut wire = Wire::connect(sidecar.addr()).await;
        drop(wire.send(bytes.as_bytes()).await);
        wire.finish().await;
        let (answer, closed) = wire.hear_text(Duration::from_secs(2)).await;
        assert!(closed, "{name}: still open after {answer:?}");
        // What was smuggled may be answered as a request of its own, never be taken for part of another's.
        for _ in 0..3 {
            assert_well(&sidecar, name).await;
        }
    }
    settle(&sidecar, "contradicting bodies", 0).await;
}

#[tokio::test]
async fn a_tls_client_on_a_plain_port_is_closed_at_once() {
    let (_etcd, sidecar) = start();
    let mut wire = Wire::connect(sidecar.addr()).await;
    let hello: Vec<u8> = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[0x5a; 501]].concat();
    wire.send(&hello).await.expect("a new connection takes a few bytes");
    let (answer, closed) = wire.hear_text(Duration::from_millis(700)).await;
    assert!(closed && (answer.is_empty() || answer.starts_with("HTTP/1.1 400")), "{closed} {answer:?}");
    assert_well(&sidecar, "TLS").await;
    settle(&sidecar, "TLS", 0).await;
}

#[tokio::test]
async fn hosts_that_clients_make_up_open_no_connections_of_their_own() {
    let (_etcd, sidecar) = start();
    let files = || fs::read_dir(format!("/proc/{}/fd", sidecar.pid())).expect("the sidecar runs").count();
    assert_well(&sidecar, "before").await;
    let before = files();
    let mut wire = Wire::connect(sidecar.addr()).await;
    for host in 0..300 {
        let close = if host == 299 { "Connection: close\r\n" } else { "" };
        let request = format!("GET http://host{host}/version HTTP/1.1\r\nHost: host{host}\r\n{close}\r\n");
        wire.send(request.as_bytes()).await.expect("the connection is open");
    }
    let (answers, _) = wire.hear_text(Duration::from_secs(5)).await;
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 300, "{answers}");
    let more = files().saturating_sub(before);
    // One client had one request at a time under way: a handful of connections serve it.
    assert!(more <= 32, "300 made-up hosts hold {more} connections to one member");
}

fn malformed() -> Vec<(&'static str, Vec<u8>)> {
    let long = |length| "a".repeat(length);
    let text = |text: &str| text.as_bytes().to_vec();
    let many: String = (0..2_000).map(|index| format!("X-{index}: 1\r\n")).collect();
    vec![
        ("noise", (0..=255).rev().collect()),
        ("no request line", text("hello etcd\r\n\r\n")),
        ("an unknown version", text("GET / HTTP/7.5\r\n\r\n")),
        ("a preface with another end", text("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n")),
        ("a header without a colon", text("GET / HTTP/1.1\r\nHost a\r\n\r\n")),
        ("a header with a zero in it", text("GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n")),
        ("a space before the colon", text("GET / HTTP/1.1\r\nHost : a\r\n\r\n")),
        ("a header of 1 MiB", text(&format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", long(1 << 20)))),
        ("a path of 1 MiB", text(&format!("GET /{} HTTP/1.1\r\n\r\n", long(1 << 20)))),
        ("two thousand headers", text(&format!("GET / HTTP/1.1\r\n{many}\r\n"))),
    ]
}

fn start() -> (Etcd, Sidecar) {
    let etcd = Etcd::start();
    let sidecar = sidecar_with_limits(&etcd.endpoint(), "handshake-timeout: 1s, http1-idle-timeout: 1s");
    (etcd, sidecar)
}

/// A normal request is answered on a connection of its own, and as a whole.
async fn assert_well(sidecar: &Sidecar, blow: &str) {
    let mut wire = Wire::connect(sidecar.addr()).await;
    wire.send(b"GET /version HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await
        .expect("the sidecar accepts");
    let (answer, closed) = wire.hear_text(Duration::from_secs(1)).await;
    assert!(
        closed && answer.starts_with("HTTP/1.1 200") && answer.contains("etcdserver"),
        "{blow}: {answer:?}"
    );
    assert_no_panic(sidecar, blow);
    assert!(metric(&sidecar.metrics(), "etcdlet_connections_total") > 0);
}

/// A debug build, its start and the largest head that HTTP/1 may have here.
const RSS_MAX: u64 = 64 * MIB;
