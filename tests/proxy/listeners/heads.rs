//! Clients that begin and do not finish.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::bad_input::wire::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, Wire, block, call_headers, frame,
    open_call, settings,
};
use crate::http1::client::{Connection, post};
use crate::observability::becomes;
use crate::support::etcd::Etcd;
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn in_http_2_what_is_begun_and_not_finished_is_cut_however_it_dribbles() {
    let etcd = Etcd::start();
    let sidecar = configured(&etcd);
    let head = block(call_headers("/etcdserverpb.KV/Range"));
    let start = [PREFACE, &settings(&[])].concat();
    let cases: [(&str, Vec<u8>, Vec<u8>); 6] = [
        ("nothing after the preface", PREFACE.to_vec(), Vec::new()),
        ("half a frame of settings", [PREFACE, &settings(&[(4, 70_000)])[..11]].concat(), Vec::new()),
        ("half a head", [&start[..], &frame(HEADERS, 4, 1, &head)[..5]].concat(), Vec::new()),
        (
            "headers byte by byte",
            [&start[..], &frame(HEADERS, 4, 1, &head)[..20]].concat(),
            head[11..25].to_vec(),
        ),
        ("a block that goes on", [&start[..], &frame(HEADERS, 0, 1, &head[..9])].concat(), Vec::new()),
        (
            "a block that goes on and on",
            [&start[..], &frame(HEADERS, 0, 1, &head[..9])].concat(),
            frame(CONTINUATION, 0, 1, b"").repeat(2),
        ),
    ];
    for (index, (name, first, dribble)) in cases.into_iter().enumerate() {
        let mut wire = Wire::connect(sidecar.addr()).await;
        wire.send(&first).await.unwrap();
        let started = Instant::now();
        for byte in dribble {
            sleep(Duration::from_millis(40)).await;
            // It may be cut already.
            drop(wire.send(&[byte]).await);
        }
        let heard = wire.hear(Duration::from_secs(3)).await;
        let took = started.elapsed();
        assert!(heard.closed, "{name}: {heard:?}");
        assert!(took >= LIMIT && took < 4 * LIMIT, "{name}: cut after {took:?}");
        becomes(&sidecar, ENDED, (index + 1) as f64).await;
    }
}

#[tokio::test]
async fn in_http_1_a_head_has_its_time_and_a_pause_or_a_body_its_own() {
    let etcd = Etcd::start();
    let sidecar = configured(&etcd);
    for first_request in [false, true] {
        let mut connection = Connection::open(&sidecar.url()).await;
        if first_request {
            assert_eq!(connection.get("/version").await.status, 200);
            // Between two requests there is all the time of `http1-idle-timeout`.
            sleep(2 * LIMIT).await;
        }
        let started = Instant::now();
        for byte in b"GET /ver" {
            connection.send(&[*byte]).await;
            sleep(Duration::from_millis(10)).await;
        }
        assert!(connection.is_closed_within(Duration::from_secs(3)).await);
        let took = started.elapsed();
        assert!(took >= LIMIT && took < 3 * LIMIT, "{took:?}");
    }
    becomes(&sidecar, ENDED, 2.0).await;
    let mut slow = Connection::open(&sidecar.url()).await;
    for _ in 0..2 {
        let request = post("/v3/kv/put", r#"{"key": "YQ==", "value": "Yg=="}"#);
        let (head, body) = request.split_at(request.len() - 25);
        slow.send(head).await;
        for byte in body {
            sleep(2 * LIMIT / 25).await;
            slow.send(&[*byte]).await;
        }
        assert_eq!(slow.response("POST").await.status, 200);
    }
    becomes(&sidecar, ENDED, 2.0).await;
}

#[tokio::test]
async fn in_http_2_a_body_may_be_slow() {
    let etcd = Etcd::start();
    let sidecar = configured(&etcd);
    let mut wire = Wire::http2(sidecar.addr(), &[]).await;
    wire.send(&open_call(1, "/etcdserverpb.KV/Range")).await.unwrap();
    let body = frame(DATA, END_STREAM, 1, &crate::support::grpc::frame(0, b"\n\x01a"));
    // The head of a frame comes whole.
    wire.send(&body[..9]).await.unwrap();
    for byte in &body[9..] {
        sleep(LIMIT / 3).await;
        wire.send(&[*byte]).await.unwrap();
    }
    let heard = wire
        .hear_until(Duration::from_secs(3), |frame| frame.flags & END_STREAM != 0 && frame.stream == 1)
        .await;
    assert!(
        heard.frames.iter().any(|frame| frame.kind == HEADERS && frame.flags & END_HEADERS != 0),
        "{heard:?}"
    );
    assert!(!heard.closed, "{heard:?}");
}

fn configured(etcd: &Etcd) -> Sidecar {
    Sidecar::with_config(&format!(
        "
listen: [{{url: 'http://{{listen}}'}}]
upstream: {{endpoints: ['{}']}}
admin: {{url: 'http://{{admin}}'}}
limits: {{header-timeout: 500ms}}
",
        etcd.endpoint()
    ))
}

/// A little less than what is configured: the server's clock starts first.
const LIMIT: Duration = Duration::from_millis(480);
const ENDED: &str = "etcdlet_connections_ended_total{reason=\"unfinished\"}";
