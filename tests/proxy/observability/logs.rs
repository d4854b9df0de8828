//! What is logged, and what must never be.

use std::time::Duration;

use etcdlet::proto::etcdserverpb as pb;
use http::HeaderMap;
use rustix::process::Signal;

use crate::http1::client::Connection;
use crate::support::etcd::Etcd;
use crate::support::grpc::{Channel, metadata};
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn logs_are_lines_of_json_with_time_level_and_message() {
    let mut sidecar = Sidecar::with_args(&["--endpoints", "http://127.0.0.1:1", "--log-level", "debug"]);
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    channel.unary("/etcdserverpb.KV/Range", HeaderMap::new(), b"\n\x01a").await;
    drop(channel);
    tokio::time::sleep(Duration::from_millis(50)).await;
    sidecar.signal(Signal::TERM);
    assert!(sidecar.wait(Duration::from_secs(5)).is_some());
    let log = sidecar.log();
    let mut levels = Vec::new();
    for line in log.lines() {
        let line: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let text = |key: &str| line[key].as_str().unwrap_or_else(|| panic!("no {key}: {line}")).to_owned();
        let time = text("timestamp");
        assert!(time.contains('T') && time.ends_with('Z'), "{time}");
        assert!(!text("message").is_empty());
        levels.push(text("level"));
    }
    for level in ["INFO", "WARN"] {
        assert!(levels.iter().any(|other| other == level), "nothing at {level}: {log}");
    }
    assert!(log.contains(r#""endpoint":"http://127.0.0.1:1""#), "{log}");
}

#[tokio::test]
async fn a_level_silences_what_is_below_it() {
    for (level, seen) in [("error", ""), ("warn", "WARN"), ("info", "INFO"), ("debug", "INFO")] {
        let sidecar = Sidecar::with_args(&["--endpoints", "http://127.0.0.1:1", "--log-level", level]);
        let channel = Channel::connect(&sidecar.url()).await.unwrap();
        channel.unary("/etcdserverpb.KV/Range", HeaderMap::new(), b"\n\x01a").await;
        let log = sidecar.log();
        assert!(log.contains(seen), "{level}: {log}");
        assert_eq!(log.contains("INFO"), seen == "INFO", "{level}: {log}");
        assert_eq!(log.is_empty(), seen.is_empty(), "{level}: {log}");
    }
}

#[test]
fn text_is_the_other_format() {
    let sidecar = Sidecar::with_args(&["--endpoints", "http://127.0.0.1:1", "--log-format", "text"]);
    sidecar.metrics();
    let log = sidecar.log();
    let first = log.lines().next().expect("a start is logged");
    assert!(!first.starts_with('{') && first.contains("INFO") && first.contains("starting"), "{first}");
    assert!(!log.contains('\x1b'), "a file is no terminal: {first:?}");
}

/// The values are not secret only where they are called so: a key can be, and a token always is.
#[tokio::test]
async fn neither_keys_nor_values_nor_tokens_nor_passwords_are_logged_at_any_level() {
    let mut etcd = Etcd::start();
    let sidecar = Sidecar::with_args(&["--endpoints", &etcd.endpoint(), "--log-level", "debug"]);
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    for alive in [true, false] {
        if !alive {
            etcd.kill();
        }
        let request =
            pb::PutRequest { key: "sesame-key".into(), value: "sesame-value".into(), ..Default::default() };
        let token = metadata(&[("token", "sesame-token"), ("x-sesame-name", "sesame-header")]);
        drop(channel.call_with::<_, pb::PutResponse>("/etcdserverpb.KV/Put", token.clone(), &request).await);
        let request =
            pb::AuthenticateRequest { name: "sesame-user".into(), password: "sesame-password".into() };
        drop(channel.call::<_, pb::AuthenticateResponse>("/etcdserverpb.Auth/Authenticate", &request).await);
        channel.unary("/sesame-service/sesame-method", token, b"sesame-broken").await;
        let mut http = Connection::open(&sidecar.url()).await;
        http.post("/v3/kv/put?sesame=query", r#"{"key": "sesame-json", "value": "c2VzYW1l"}"#).await;
        drop(http);
    }
    let mut broken = Connection::open(&sidecar.url()).await;
    broken.send(b"GET /sesame-path HTTP/9\r\nsesame-line\r\n\r\n").await;
    broken.head().await;
    drop((channel, broken));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let log = sidecar.log();
    assert!(log.contains("DEBUG"), "nothing is logged at the level that is looked at: {log}");
    let found: Vec<&str> =
        log.lines().filter(|line| line.contains("sesame") || line.contains("c2VzYW1l")).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}
