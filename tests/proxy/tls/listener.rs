//! Listeners that speak TLS.

use std::time::{Duration, Instant};

use http::{HeaderMap, Method};
use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::http1::client::Connection;
use crate::observability::{becomes, metric, refusal};
use crate::support::certs::{Certs, Pair};
use crate::support::etcd::{Cluster, Etcd, Options, Tls};
use crate::support::grpc::{Answer, Channel, PATIENCE};
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn alpn_offers_http_2_first_and_http_1() {
    let certs = Certs::new();
    let sidecar = behind_tls(&certs.server(), "http://127.0.0.1:1", "");
    for (offered, chosen) in [
        (["h2", "http/1.1"].as_slice(), Some("h2")),
        (&["http/1.1", "h2"], Some("h2")),
        (&["h2"], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&[], None),
    ] {
        let connector = tokio_rustls::TlsConnector::from(certs.client_config(None, offered));
        let stream = TcpStream::connect(sidecar.addr()).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let session = connector.connect(name, stream).await.unwrap();
        assert_eq!(session.get_ref().1.alpn_protocol(), chosen.map(str::as_bytes), "{offered:?}");
    }
}

#[test]
fn etcdctl_works_through_a_tls_listener() {
    let (certs, etcd) = (Certs::new(), Etcd::start());
    let sidecar = behind_tls(&certs.server(), &etcd.endpoint(), "");
    let run = |arguments: &[&str]| {
        let mut etcdctl = etcd.etcdctl();
        etcdctl.arg("--endpoints").arg(url(&sidecar)).arg("--cacert").arg(certs.ca()).args(arguments);
        let output = etcdctl.output().expect("etcdctl can be started");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(run(&["put", "key", "value"]), "OK\n");
    assert_eq!(run(&["get", "key"]), "key\nvalue\n");
    assert!(run(&["endpoint", "health"]).contains("is healthy"));
}

#[tokio::test]
async fn http_1_is_served_over_tls_whether_alpn_asked_for_it_or_said_nothing() {
    let (certs, etcd) = (Certs::new(), Etcd::start());
    let sidecar = behind_tls(&certs.server(), &etcd.endpoint(), "");
    for offered in [["http/1.1"].as_slice(), &[]] {
        let config = certs.client_config(None, offered);
        let mut connection = Connection::open_tls(&url(&sidecar), config).await.unwrap();
        let version = connection.get("/version").await;
        assert_eq!((version.status, &version.json()["etcdserver"]), (200, &etcd.version().into()));
        let put = connection.post("/v3/kv/put", r#"{"key": "YQ==", "value": "Yg=="}"#).await;
        assert_eq!(put.status, 200, "{}", put.text());
    }
}

#[tokio::test]
async fn a_plain_listener_and_one_of_tls_serve_side_by_side() {
    let (certs, etcd) = (Certs::new(), Etcd::start());
    let Pair { cert, key } = certs.server();
    // Freed again at once, and nobody is as quick as to take it.
    let plain = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let sidecar = Sidecar::with_config(&format!(
        "
listen:
  - {{url: 'https://{{listen}}', tls: {{cert-file: '{}', key-file: '{}'}}}}
  - {{url: 'http://{plain}'}}
upstream: {{endpoints: ['{}']}}
admin: {{url: 'http://{{admin}}'}}
",
        cert.display(),
        key.display(),
        etcd.endpoint()
    ));
    let config = certs.client_config(None, &[]);
    let mut behind_tls = Connection::open_tls(&url(&sidecar), config).await.unwrap();
    assert_eq!(behind_tls.get("/version").await.status, 200);
    assert_eq!(Connection::open(&format!("http://{plain}")).await.get("/version").await.status, 200);
}

/// Such a member takes everything in HTTP/2 for gRPC.
#[tokio::test]
async fn a_plain_get_in_http_2_over_tls_reaches_a_member_without_tls() {
    let (certs, etcd) = (Certs::new(), Etcd::start());
    let sidecar = behind_tls(&certs.server(), &etcd.endpoint(), "");
    let config = certs.client_config(None, &["h2"]);
    let channel = Channel::connect_tls(&url(&sidecar), config).await.unwrap();
    let (status, _, body) = get(&channel, "/version").await;
    assert_eq!(status, Some(200), "{body}");
    assert!(body.contains(etcd.version()), "{body}");
    assert_eq!(get(&channel, "/nowhere").await.0, Some(404));
}

#[tokio::test]
async fn a_plain_get_in_http_2_over_tls_is_answered_as_by_etcd_itself() {
    let certs = Certs::new();
    let server = certs.server();
    let etcd = Options::default()
        .tls(Tls {
            cert_file: server.cert.clone(),
            key_file: server.key.clone(),
            trusted_ca_file: certs.ca(),
            client_cert_auth: false,
            client: None,
        })
        .start();
    let upstream = format!("tls: {{cacert: '{}'}}", certs.ca().display());
    let sidecar = listening(&server, &format!("endpoints: ['{}'], {upstream}", etcd.endpoint()), "");
    let config = certs.client_config(None, &["h2"]);
    let direct = Channel::connect_tls(&etcd.endpoint(), config.clone()).await.unwrap();
    let through = Channel::connect_tls(&url(&sidecar), config).await.unwrap();
    for path in ["/health", "/version", "/health?serializable=true", "/no/such/page"] {
        let (expected, actual) = (get(&direct, path).await, get(&through, path).await);
        assert_eq!(actual, expected, "{path}");
    }
    let (status, _, body) = get(&through, "/version").await;
    assert_eq!(status, Some(200));
    assert!(body.contains(etcd.version()), "{body}");
}

/// As curl sends it: HTTP/2 to a TLS listener, HTTP/1.1 to a member without TLS.
#[tokio::test]
async fn json_in_http_2_is_treated_as_in_http_1() {
    let (certs, mut cluster) = (Certs::new(), Cluster::start(3));
    let sidecar = behind_tls(&certs.server(), &cluster.members[0].endpoint(), "");
    becomes(&sidecar, "etcdlet_cluster_has_leader", 1.0).await;
    becomes(&sidecar, "etcdlet_members", 3.0).await;
    let leader = cluster.leader();
    let leader = format!("\"member_id\":\"{}\"", cluster.members[leader].id());
    let channel = Channel::connect_tls(&url(&sidecar), certs.client_config(None, &["h2"])).await.unwrap();
    for (path, json, of_leader) in [
        ("/v3/kv/put", r#"{"key": "YQ==", "value": "Yg=="}"#, true),
        ("/v3/kv/range", r#"{"key": "YQ==", "serializable": true}"#, false),
        ("/v3/kv/txn", r#"{"success": [{"requestRange": {"key": "YQ==", "serializable": true}}]}"#, false),
    ] {
        for _ in 0..10 {
            let headers = crate::support::grpc::metadata(&[("content-type", "application/json")]);
            let mut stream = channel.open(Method::POST, path, headers, false).await.expect("a stream opens");
            stream.send_raw(bytes::Bytes::from_static(json.as_bytes()));
            stream.half_close();
            let Answer { http, leftover, .. } = stream.answer(PATIENCE).await;
            let text = String::from_utf8_lossy(&leftover).replace(", ", ",");
            assert_eq!(http.map(|status| status.as_u16()), Some(200), "{path}: {text}");
            assert_eq!(text.contains(&leader), of_leader, "{path}: {text}");
        }
    }
}

#[tokio::test]
async fn a_slow_or_foreign_tls_handshake_is_cut_at_its_time_limit_and_counted() {
    let (certs, etcd) = (Certs::new(), Etcd::start());
    let sidecar = behind_tls(&certs.server(), &etcd.endpoint(), "limits: {handshake-timeout: 400ms}");
    let refused = |reason| format!("etcdlet_connections_refused_total{{reason=\"{reason}\"}}");
    // (what it sends, whether it has to wait for the limit)
    for (sent, waits) in [
        (b"".as_slice(), true),
        (b"\x16\x03\x01\x02\x00\x01", true),
        (b"GET / HTTP/1.1\r\nHost: etcd\r\n\r\n", false),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", false),
    ] {
        let series = refused(if waits { "timeout" } else { "tls" });
        let before = metric(&sidecar, &series);
        let mut stream = TcpStream::connect(sidecar.addr()).await.unwrap();
        stream.write_all(sent).await.unwrap();
        let took = until_closed(stream).await;
        assert_eq!(took >= LIMIT, waits, "{sent:?} was cut after {took:?}");
        assert!(took < LIMIT * 4, "{sent:?} was cut after {took:?}");
        becomes(&sidecar, &series, before + 1.0).await;
    }
    let mut good = Connection::open_tls(&url(&sidecar), certs.client_config(None, &[])).await.unwrap();
    assert_eq!(good.get("/health").await.status, 200);
}

#[tokio::test]
async fn a_connection_that_says_nothing_after_its_handshake_is_cut_and_counted() {
    let certs = Certs::new();
    let sidecar = behind_tls(&certs.server(), "http://127.0.0.1:1", "limits: {handshake-timeout: 400ms}");
    for sent in [b"".as_slice(), b"PRI * HTTP/2.0\r\n\r\nSM"] {
        let series = "etcdlet_connections_refused_total{reason=\"timeout\"}";
        let before = metric(&sidecar, series);
        let config = certs.client_config(None, &["h2"]);
        let mut connection = Connection::open_tls(&url(&sidecar), config).await.unwrap();
        connection.send(sent).await;
        let started = Instant::now();
        assert!(connection.is_closed_within(LIMIT * 4).await, "{sent:?}");
        assert!(started.elapsed() >= LIMIT / 2, "{sent:?} was cut after {:?}", started.elapsed());
        becomes(&sidecar, series, before + 1.0).await;
    }
}

#[test]
fn a_start_with_wrong_files_fails_and_names_the_file() {
    let certs = Certs::new();
    let (one, other) = (certs.server(), certs.server());
    let text = |path: &std::path::Path| path.display().to_string();
    let missing = text(&certs.directory().join("missing.pem"));
    let garbage = text(&certs.directory().join("garbage.pem"));
    std::fs::write(&garbage, "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n").unwrap();
    let (cert, key, foreign_key, ca) = (text(&one.cert), text(&one.key), text(&other.key), text(&certs.ca()));
    let listen = ["--listen-client-urls", "https://127.0.0.1:0", "--endpoints", "http://127.0.0.1:1"];
    let upstream = ["--listen-client-urls", "http://127.0.0.1:0", "--endpoints", "https://127.0.0.1:1"];
    for (common, arguments, named) in [
        (listen, vec!["--cert-file", &missing, "--key-file", &key], &missing),
        (listen, vec!["--cert-file", &cert, "--key-file", &missing], &missing),
        (listen, vec!["--cert-file", &garbage, "--key-file", &key], &garbage),
        (listen, vec!["--cert-file", &key, "--key-file", &key], &key),
        (listen, vec!["--cert-file", &cert, "--key-file", &cert], &cert),
        (listen, vec!["--cert-file", &cert, "--key-file", &foreign_key], &foreign_key),
        (upstream, vec!["--cacert", &missing], &missing),
        (upstream, vec!["--cacert", &garbage], &garbage),
        (upstream, vec!["--cacert", &key], &key),
        (upstream, vec!["--cacert", &ca, "--cert", &missing, "--key", &key], &missing),
        (upstream, vec!["--cacert", &ca, "--cert", &cert, "--key", &missing], &missing),
        (upstream, vec!["--cacert", &ca, "--cert", &cert, "--key", &foreign_key], &foreign_key),
    ] {
        let mut command = Sidecar::command();
        let (code, said) =
            refusal(command.args(common).args(["--admin-url", "http://127.0.0.1:0"]).args(&arguments));
        assert_eq!(code, Some(1), "{arguments:?}: {said}");
        assert!(said.contains(named.as_str()), "{arguments:?}: {said}");
    }
}

/// A TLS listener in front of a plain endpoint.
fn behind_tls(pair: &Pair, endpoint: &str, more: &str) -> Sidecar {
    listening(pair, &format!("endpoints: ['{endpoint}']"), more)
}

fn listening(pair: &Pair, upstream: &str, more: &str) -> Sidecar {
    let Pair { cert, key } = pair;
    Sidecar::with_config(&format!(
        "
listen: [{{url: 'https://{{listen}}', tls: {{cert-file: '{}', key-file: '{}'}}}}]
upstream: {{{upstream}}}
admin: {{url: 'http://{{admin}}'}}
{more}
",
        cert.display(),
        key.display()
    ))
}

fn url(sidecar: &Sidecar) -> String {
    format!("https://{}", sidecar.addr())
}

/// Status, headers without their time, body.
async fn get(channel: &Channel, path: &str) -> (Option<u16>, HeaderMap, String) {
    let stream = channel.open(Method::GET, path, HeaderMap::new(), true).await.expect("a stream opens");
    let Answer { http, mut headers, leftover, .. } = stream.answer(PATIENCE).await;
    assert!(headers.remove("date").is_some(), "{path}: {headers:?}");
    (http.map(|status| status.as_u16()), headers, String::from_utf8_lossy(&leftover).into_owned())
}

async fn until_closed(mut stream: TcpStream) -> Duration {
    let started = Instant::now();
    let mut rest = Vec::new();
    // A reset ends it as well as an orderly end.
    drop(tokio::time::timeout(PATIENCE, tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest)).await);
    started.elapsed()
}

/// Somewhat less than what the configurations above say: the server's clock starts first.
const LIMIT: Duration = Duration::from_millis(390);
