//! What etcdlet says of itself on client listeners, as etcd's grpc-proxy does.

use std::collections::BTreeSet;

use http::Method;

use super::client::Connection;
use super::server::Server;
use crate::support::etcd::Etcd;
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn health_is_true_while_a_member_is_in_rotation() {
    let etcd = Etcd::start();
    let sidecar = Sidecar::start(&etcd.endpoints());
    let mut client = Connection::open(&sidecar.url()).await;
    // From a first look at the member on.
    crate::observability::becomes(&sidecar, "etcdlet_cluster_has_leader", 1.0).await;
    let answer = client.get("/proxy/health").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"health":"true"}"#));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    client.send(b"HEAD /proxy/health HTTP/1.1\r\nHost: etcd\r\n\r\n").await;
    let head = client.response("HEAD").await;
    assert_eq!((head.status, head.header("content-length")), (200, Some("17")));
    let refused = client.post("/proxy/health", "{}").await;
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")));
}

#[tokio::test]
async fn health_is_false_while_no_member_can_be_reached() {
    // Port 1 is nobody's.
    let sidecar = Sidecar::start(&["http://127.0.0.1:1"]);
    let mut client = Connection::open(&sidecar.url()).await;
    let answer = client.get("/proxy/health").await;
    assert_eq!((answer.status, answer.json()["health"].as_str()), (503, Some("false")));
    assert_eq!(answer.json()["reason"], "NO MEMBER IN ROTATION");
}

#[tokio::test]
async fn metrics_are_those_of_the_admin_port_and_no_member_is_asked() {
    let server = Server::start(|number, _| async move { panic!("connection {number} to a member") }).await;
    let sidecar = Sidecar::start(&[server.url()]);
    let mut client = Connection::open(&sidecar.url()).await;
    // The first has no answer yet that it could count.
    client.get("/proxy/metrics").await;
    let families = |text: &str| -> BTreeSet<String> {
        text.lines().filter(|line| line.starts_with("# TYPE etcdlet_")).map(str::to_owned).collect()
    };
    // Families with labels appear with their first value, which may come at any time.
    let before = families(&sidecar.metrics());
    let answer = client.get("/proxy/metrics").await;
    let after = families(&sidecar.metrics());
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("text/plain; version=0.0.4; charset=utf-8"))
    );
    let shown = families(&answer.text());
    assert!(before.is_subset(&shown) && shown.is_subset(&after), "{before:?} {shown:?} {after:?}");
    assert!(before.len() > 10, "{before:?}");
    assert_eq!(server.connections(), 0);
    for path in ["/proxy/metrics", "/proxy/health"] {
        let (status, body) = in_http2(&sidecar, Method::GET, path).await;
        assert!(matches!(status, 200 | 503) && !body.is_empty(), "{path}: {status}");
    }
}

/// Data behind the head of an answer to HEAD are malformed (RFC 9113, section 8.1.1).
#[tokio::test]
async fn head_has_no_body_in_http2_where_nobody_can_be_asked() {
    // Port 1 is nobody's.
    let sidecar = Sidecar::start(&["http://127.0.0.1:1"]);
    for path in ["/health", "/v3/kv/put", "/proxy/health"] {
        let (status, body) = in_http2(&sidecar, Method::GET, path).await;
        assert!(status == 503 && !body.is_empty(), "{path}: {status}");
        assert_eq!(in_http2(&sidecar, Method::HEAD, path).await, (503, Vec::new()), "{path}");
    }
}

async fn in_http2(sidecar: &Sidecar, method: Method, path: &str) -> (u16, Vec<u8>) {
    let stream = tokio::net::TcpStream::connect(sidecar.addr()).await.expect("it accepts");
    let (send, connection) = h2::client::handshake(stream).await.expect("it speaks HTTP/2");
    let driving = tokio::spawn(connection);
    let request = http::Request::builder().method(method).uri(format!("{}{path}", sidecar.url()));
    let request = request.body(()).expect("a request");
    let mut send = send.ready().await.expect("a stream");
    let (response, _) = send.send_request(request, true).expect("it can be sent");
    let (head, mut body) = response.await.expect("an answer").into_parts();
    let mut bytes = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.expect("the body goes on");
        bytes.extend_from_slice(&data);
        body.flow_control().release_capacity(data.len()).expect("the stream is open");
    }
    driving.abort();
    (head.status.as_u16(), bytes)
}
