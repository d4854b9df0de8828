//! SIGTERM and SIGINT: what is under way finishes, what is idle goes, the process ends.

use std::time::{Duration, Instant};

use h2::Reason;
use http::HeaderMap;
use rustix::process::Signal;
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::configured;
use crate::http1::client::{Connection, post};
use crate::observability::{becomes, metric};
use crate::support::certs::{Certs, Pair};
use crate::support::etcd::Etcd;
use crate::support::grpc::{Answer, Channel, End};
use crate::support::sidecar::Sidecar;
use crate::support::upstream::{Call, Upstream};

#[tokio::test]
async fn after_sigterm_calls_under_way_finish_and_the_process_ends_by_itself() {
    after_a_signal_calls_under_way_finish(Signal::TERM).await;
}

#[tokio::test]
async fn sigint_is_like_sigterm() {
    after_a_signal_calls_under_way_finish(Signal::INT).await;
}

async fn after_a_signal_calls_under_way_finish(signal: Signal) {
    let upstream = Upstream::start(slow);
    let mut sidecar = Sidecar::start(&[upstream.url()]);
    let channel = Channel::connect(&sidecar.url()).await.expect("etcdlet accepts");
    let slow: Vec<_> = (0..5).map(|_| tokio::spawn(put(channel.clone()))).collect();
    let mut http = Connection::open(&sidecar.url()).await;
    wait_for_calls(&upstream, 5).await;
    let signalled = Instant::now();
    sidecar.signal(signal);
    while TcpStream::connect(sidecar.addr()).await.is_ok() {
        assert!(signalled.elapsed() < Duration::from_millis(500), "new connections are still accepted");
        sleep(Duration::from_millis(5)).await;
    }
    assert!(
        http.is_closed_within(Duration::from_millis(500)).await,
        "an idle HTTP/1.1 connection stays open"
    );
    // Each connection is told by its own task: the word may reach one a little after another.
    let mut finished = 5;
    while put(channel.clone()).await.end != End::GoAway(Reason::NO_ERROR) {
        finished += 1;
        assert!(finished < 10, "new calls are still taken on a connection that drains");
    }
    for call in slow {
        assert_eq!(call.await.expect("no call panics").status().code, Some(0));
    }
    let status = sidecar.wait(Duration::from_secs(3));
    assert!(status.is_some_and(|status| status.success()), "{status:?}: {}", sidecar.log());
    assert!(signalled.elapsed() < Duration::from_secs(3), "{:?}", signalled.elapsed());
    assert_eq!(upstream.calls(), finished);
}

#[tokio::test]
async fn a_request_in_http_1_finishes_too_and_its_connection_ends() {
    let etcd = Etcd::start();
    let mut sidecar = Sidecar::start(&etcd.endpoints());
    let mut client = Connection::open(&sidecar.url()).await;
    // The rest of the body comes after the signal.
    let request = post("/v3/kv/put", r#"{"key": "YQ==", "value": "Yg=="}"#);
    let (first, rest) = request.split_at(request.len() - 5);
    client.send(first).await;
    while metric(&sidecar, "etcdlet_rpc_inflight") < 1.0 {
        sleep(Duration::from_millis(5)).await;
    }
    sidecar.terminate();
    sleep(Duration::from_millis(100)).await;
    client.send(rest).await;
    let answer = client.response("POST").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(client.is_closed_within(Duration::from_secs(1)).await);
    assert!(sidecar.wait(Duration::from_secs(2)).is_some_and(|status| status.success()));
}

/// Its client may have sent the next one before it could know of the drain.
#[tokio::test]
async fn a_request_that_comes_just_after_the_drain_began_is_answered_with_the_last_word() {
    let etcd = Etcd::start();
    let mut sidecar = Sidecar::start(&etcd.endpoints());
    let mut client = Connection::open(&sidecar.url()).await;
    assert_eq!(client.get("/version").await.header("connection"), None);
    sidecar.terminate();
    while TcpStream::connect(sidecar.addr()).await.is_ok() {
        sleep(Duration::from_millis(1)).await;
    }
    let answer = client.get("/version").await;
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert!(client.is_closed_within(Duration::from_secs(1)).await);
    assert!(wait(&mut sidecar, Duration::from_secs(2)).await.is_some_and(|status| status.success()));
}

#[tokio::test]
async fn a_call_that_never_ends_is_cut_at_the_time_limit() {
    let upstream = Upstream::start(|call| async move {
        std::future::pending::<()>().await;
        drop(call);
    });
    let mut sidecar = configured(&upstream.url(), "drain: {timeout: 700ms}");
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    let stuck = tokio::spawn(put(channel));
    wait_for_calls(&upstream, 1).await;
    let signalled = Instant::now();
    sidecar.terminate();
    assert!(sidecar.wait(Duration::from_secs(3)).is_some(), "it waits for a call that never ends");
    let took = signalled.elapsed();
    assert!(took >= Duration::from_millis(650) && took < Duration::from_millis(1500), "{took:?}");
    assert_ne!(stuck.await.unwrap().status().code, Some(0));
    assert!(sidecar.log().contains("cut at the limit"), "{}", sidecar.log());
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let upstream = Upstream::start(slow);
    let mut sidecar = Sidecar::start(&[upstream.url()]);
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    let call = tokio::spawn(put(channel));
    wait_for_calls(&upstream, 1).await;
    sidecar.terminate();
    sleep(Duration::from_millis(100)).await;
    assert!(sidecar.wait(Duration::ZERO).is_none(), "the first signal waits for the call");
    let signalled = Instant::now();
    sidecar.terminate();
    assert!(sidecar.wait(Duration::from_secs(2)).is_some());
    assert!(signalled.elapsed() < Duration::from_millis(300), "{:?}", signalled.elapsed());
    assert_ne!(call.await.unwrap().status().code, Some(0));
}

#[tokio::test]
async fn idle_connections_do_not_hold_up_the_end() {
    let etcd = Etcd::start();
    let mut sidecar = Sidecar::start(&etcd.endpoints());
    let (mut channels, mut http, mut silent) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..10 {
        let channel = Channel::connect(&sidecar.url()).await.unwrap();
        channel.unary("/etcdserverpb.KV/Range", HeaderMap::new(), b"\n\x01a").await;
        channels.push(channel);
        let mut connection = Connection::open(&sidecar.url()).await;
        connection.get("/version").await;
        http.push(connection);
        silent.push(TcpStream::connect(sidecar.addr()).await.unwrap());
    }
    let signalled = Instant::now();
    sidecar.terminate();
    let status = wait(&mut sidecar, Duration::from_secs(5)).await;
    assert!(status.is_some_and(|status| status.success()));
    assert!(signalled.elapsed() < Duration::from_millis(700), "{:?}", signalled.elapsed());
}

#[tokio::test]
async fn connections_behind_tls_are_drained_alike() {
    let (certs, upstream) = (Certs::new(), Upstream::start(slow));
    let mut sidecar = behind_tls(&certs, &upstream);
    let url = format!("https://{}", sidecar.addr());
    let busy = Channel::connect_tls(&url, certs.client_config(None, &["h2"])).await.unwrap();
    let idle = Channel::connect_tls(&url, certs.client_config(None, &["h2"])).await.unwrap();
    let call = tokio::spawn(put(busy));
    wait_for_calls(&upstream, 1).await;
    let signalled = Instant::now();
    sidecar.terminate();
    assert_eq!(call.await.unwrap().status().code, Some(0));
    let status = wait(&mut sidecar, Duration::from_secs(5)).await;
    assert!(status.is_some_and(|status| status.success()), "{}", sidecar.log());
    assert!(signalled.elapsed() < Duration::from_secs(2), "{:?}", signalled.elapsed());
    drop(idle);
}

#[tokio::test]
async fn an_unfinished_tls_handshake_does_not_hold_up_the_end() {
    let (certs, upstream) = (Certs::new(), Upstream::start(slow));
    let mut sidecar = behind_tls(&certs, &upstream);
    let silent = TcpStream::connect(sidecar.addr()).await.unwrap();
    // So that it has been accepted.
    becomes(&sidecar, "etcdlet_connections_total", 2.0).await;
    let signalled = Instant::now();
    sidecar.terminate();
    let status = wait(&mut sidecar, Duration::from_secs(5)).await;
    assert!(status.is_some_and(|status| status.success()), "{}", sidecar.log());
    assert!(signalled.elapsed() < Duration::from_secs(1), "{:?}", signalled.elapsed());
    drop(silent);
}

#[tokio::test]
async fn the_drain_can_be_watched_on_the_admin_port() {
    let upstream = Upstream::start(slow);
    let mut sidecar = Sidecar::start(&[upstream.url()]);
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    let call = tokio::spawn(put(channel));
    wait_for_calls(&upstream, 1).await;
    sidecar.terminate();
    sleep(Duration::from_millis(100)).await;
    assert_eq!(metric(&sidecar, "etcdlet_rpc_inflight"), 1.0);
    assert_eq!(call.await.unwrap().status().code, Some(0));
}

fn behind_tls(certs: &Certs, upstream: &Upstream) -> Sidecar {
    let Pair { cert, key } = certs.server();
    Sidecar::with_config(&format!(
        "
listen: [{{url: 'https://{{listen}}', tls: {{cert-file: '{}', key-file: '{}'}}}}]
upstream: {{endpoints: ['{}']}}
admin: {{url: 'http://{{admin}}'}}
",
        cert.display(),
        key.display(),
        upstream.url()
    ))
}

/// Answers after a second.
async fn slow(call: Call) {
    sleep(Duration::from_secs(1)).await;
    call.answer(b"").await;
}

async fn put(channel: Channel) -> Answer {
    channel.unary("/etcdserverpb.KV/Put", HeaderMap::new(), b"\n\x01a").await
}

async fn wait_for_calls(upstream: &Upstream, count: usize) {
    for _ in 0..500 {
        if upstream.calls() >= count {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("{} of {count} calls arrived", upstream.calls());
}

/// Waits without holding up the connections that run on this thread.
async fn wait(sidecar: &mut Sidecar, limit: Duration) -> Option<std::process::ExitStatus> {
    let deadline = Instant::now() + limit;
    loop {
        let status = sidecar.wait(Duration::ZERO);
        if status.is_some() || Instant::now() >= deadline {
            return status;
        }
        sleep(Duration::from_millis(5)).await;
    }
}
