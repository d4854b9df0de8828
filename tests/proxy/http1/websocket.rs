//! WebSockets, on which etcd's JSON gateway streams: each message is a JSON object.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::client::Connection;
use super::server::Server;
use crate::observability::{becomes, metric};
use crate::support::etcd::{Cluster, Etcd};
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn a_watch_on_a_websocket_is_the_same_as_without_etcdlet() {
    for version in ["3.4", "3.5", "3.6", "3.7"] {
        let etcd = Etcd::start_version(version);
        let sidecar = Sidecar::start(&etcd.endpoints());
        let mut direct = Socket::open(&etcd.endpoint(), "/v3/watch").await;
        let mut through = Socket::open(&sidecar.url(), "/v3/watch").await;
        assert_eq!(through.head, direct.head, "{version}");
        let mut writer = Connection::open(&sidecar.url()).await;
        for socket in [&mut direct, &mut through] {
            socket.send(br#"{"create_request": {"key": "YQ=="}}"#).await;
        }
        let created = through.next().await.expect("a message");
        assert!(created.contains(r#""created":true"#), "{version}: {created}");
        assert_eq!(direct.next().await.as_deref(), Some(&*created), "{version}");
        for value in ["MQ==", "Mg==", "Mw=="] {
            let put = format!(r#"{{"key": "YQ==", "value": "{value}"}}"#);
            assert_eq!(writer.post("/v3/kv/put", &put).await.status, 200);
            let event = through.next().await.expect("a message");
            assert!(event.contains(value), "{version}: {event}");
            assert_eq!(direct.next().await, Some(event), "{version}");
        }
        becomes(&sidecar, "etcdlet_rpc_inflight", 1.0).await;
        drop(through);
        becomes(&sidecar, r#"etcdlet_rpc_total{code="OK",method="websocket"}"#, 1.0).await;
        becomes(&sidecar, "etcdlet_rpc_inflight", 0.0).await;
    }
}

#[tokio::test]
async fn a_range_on_a_websocket_is_answered() {
    // Later ones wait for the end of the request, which a WebSocket has only when it is over.
    let etcd = Etcd::start_version("3.5");
    let sidecar = Sidecar::start(&etcd.endpoints());
    let mut answers = Vec::new();
    for url in [etcd.endpoint(), sidecar.url()] {
        let mut socket = Socket::open(&url, "/v3/kv/range").await;
        socket.send(br#"{"key": "YQ=="}"#).await;
        let answer = socket.next().await.expect("a message");
        assert!(answer.contains("revision"), "{answer}");
        assert_eq!(socket.next().await, None, "one answer is all");
        answers.push(answer);
    }
    assert_eq!(answers[1], answers[0]);
}

#[tokio::test]
async fn what_is_no_upgrade_to_etcd_is_an_answer() {
    let etcd = Etcd::start();
    let sidecar = Sidecar::start(&etcd.endpoints());
    let mut answers = Vec::new();
    for url in [etcd.endpoint(), sidecar.url()] {
        let mut client = Connection::open(&url).await;
        let mut statuses = Vec::new();
        // A key is missing; a path has no gateway; a protocol is not known.
        for request in [
            "GET /v3/watch HTTP/1.1\r\nHost: etcd\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n".to_owned(),
            asking("/version"),
            asking("/version").replace("websocket", "h2c"),
        ] {
            client.send(request.as_bytes()).await;
            let answer = client.response("GET").await;
            statuses.push((answer.status, answer.text()));
        }
        answers.push(statuses);
    }
    assert_eq!(answers[1], answers[0]);
    assert_eq!(answers[0].iter().map(|(status, _)| *status).collect::<Vec<_>>(), [400, 200, 200]);
}

/// What is not asked for any longer is not read on: the sender waits.
#[tokio::test]
async fn both_directions_wait_for_their_reader_and_end_by_themselves() {
    let (sender, mut ends) = tokio::sync::mpsc::channel(1);
    let server = Server::start(move |_, mut peer| {
        let sender = sender.clone();
        async move {
            peer.head().await.expect("a request");
            peer.send(SWITCHED).await;
            // More than the sockets hold; the client begins to read later.
            for _ in 0..LARGE / PIECE {
                peer.send(&[b'm'; PIECE]).await;
            }
            peer.stream.shutdown().await.expect("the connection lives");
            let mut received = 0;
            while let some @ 1.. = peer.some().await.len() {
                received += some;
            }
            sender.send(received).await.expect("the test waits");
        }
    })
    .await;
    let sidecar = Sidecar::start(&[server.url()]);
    let before = sidecar.rss_bytes();
    let mut socket = Socket::open(&sidecar.url(), "/v3/watch").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let grown = sidecar.rss_bytes().saturating_sub(before);
    assert!(grown < LARGE as u64 / 4, "{grown} bytes of {LARGE}");
    let mut received = Vec::new();
    timeout(PATIENCE, socket.stream.read_to_end(&mut received)).await.expect("in time").expect("to its end");
    assert_eq!(received.len(), LARGE);
    // The member has ended its direction; the other one is still open.
    socket.stream.write_all(b"and this").await.expect("the connection lives");
    socket.stream.shutdown().await.expect("the connection lives");
    let received = timeout(PATIENCE, ends.recv()).await.expect("in time");
    assert_eq!(received, Some(8));
}

#[tokio::test]
async fn a_drain_ends_websockets_and_waits_for_them() {
    let etcd = Etcd::start();
    let mut sidecar = Sidecar::start(&etcd.endpoints());
    let mut socket = Socket::open(&sidecar.url(), "/v3/watch").await;
    assert_eq!(metric(&sidecar, "etcdlet_connections"), 1.0, "it is one of the connections");
    sidecar.terminate();
    assert_eq!(socket.next().await, None);
    assert!(sidecar.wait(Duration::from_secs(5)).is_some_and(|status| status.success()));
}

#[tokio::test]
async fn the_loss_of_its_member_closes_a_websocket() {
    let mut cluster = Cluster::start(3);
    let sidecar = Sidecar::start(&cluster.endpoints());
    let mut sockets = Vec::new();
    for _ in 0..6 {
        let mut socket = Socket::open(&sidecar.url(), "/v3/watch").await;
        socket.send(br#"{"create_request": {"key": "YQ=="}}"#).await;
        let created: serde_json::Value =
            serde_json::from_str(&socket.next().await.expect("a message")).expect("JSON");
        let member = created["result"]["header"]["member_id"].as_str().expect("an id");
        sockets.push((socket, member.parse::<u64>().expect("a number")));
    }
    let lost = sockets[0].1;
    let place = cluster.place_of(lost).expect("one of them");
    cluster.members[place].kill();
    for (mut socket, member) in sockets.into_iter().filter(|(_, member)| *member == lost) {
        assert_eq!(socket.next().await, None, "{member}");
    }
}

/// A WebSocket, or what a server of a test makes of the connection.
struct Socket {
    stream: TcpStream,
    /// Lines of the answer by which it began, sorted.
    head: Vec<String>,
}

impl Socket {
    async fn open(url: &str, path: &str) -> Self {
        let address = url.split_once("://").expect("a URL").1;
        let mut stream = TcpStream::connect(address).await.expect("the server accepts");
        stream.write_all(asking(path).as_bytes()).await.expect("the server reads");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = timeout(PATIENCE, stream.read_u8()).await.expect("in time");
            head.push(byte.expect("the connection lives"));
        }
        let head = String::from_utf8(head).expect("heads are text");
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let mut head: Vec<String> = head.lines().map(str::to_owned).collect();
        head.sort();
        Self { stream, head }
    }

    /// One text message, masked as clients have to (RFC 6455, section 5.3).
    async fn send(&mut self, text: &[u8]) {
        let length = u8::try_from(text.len()).ok().filter(|length| *length < 126).expect("a short message");
        let mask = [1, 2, 3, 4];
        let masked = text.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
        let frame: Vec<u8> = [0x81, 0x80 | length].into_iter().chain(mask).chain(masked).collect();
        self.stream.write_all(&frame).await.expect("the server reads");
    }

    /// The next text message; `None` when the server has ended it.
    async fn next(&mut self) -> Option<String> {
        loop {
            let head = timeout(PATIENCE, self.stream.read_u16()).await.expect("in time").ok()?.to_be_bytes();
            let length = match head[1] {
                126 => self.stream.read_u16().await.ok()?.into(),
                length => usize::from(length),
            };
            let mut payload = vec![0; length];
            self.stream.read_exact(&mut payload).await.ok()?;
            match head[0] {
                0x81 => return Some(String::from_utf8(payload).expect("a text").trim_end().to_owned()),
                0x88 => return None,
                _ => {}
            }
        }
    }
}

fn asking(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: etcd\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

const SWITCHED: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const LARGE: usize = 64 << 20;
const PIECE: usize = 64 << 10;
const PATIENCE: Duration = Duration::from_secs(20);
