//! Endpoints that are down, and come back.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::{PUT, RANGE, call, until};
use crate::support::etcd::Etcd;
use crate::support::grpc::Channel;
use crate::support::sidecar::Sidecar;
use crate::support::upstream::{Call, Upstream};

#[tokio::test]
async fn an_endpoint_that_is_down_is_skipped_and_used_again_soon_after_its_return() {
    let mut members: Vec<Upstream> = (0..3).map(|_| Upstream::start(serve)).collect();
    let urls: Vec<String> = members.iter().map(Upstream::url).collect();
    let sidecar = Sidecar::start(&urls);
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    assert_eq!(call(&channel, PUT).await.status().code, Some(0));
    let address = members[1].addr();
    drop(members.remove(1));
    // That its connections have ended is seen within a moment.
    sleep(Duration::from_millis(100)).await;
    for round in 0..100 {
        let path = if round % 2 == 0 { PUT } else { RANGE };
        let started = Instant::now();
        assert_eq!(call(&channel, path).await.status().code, Some(0), "round {round}");
        assert!(started.elapsed() < Duration::from_millis(500), "round {round}: {:?}", started.elapsed());
        sleep(Duration::from_millis(5)).await;
    }
    let back = Upstream::start_on(address, serve);
    let returned = Instant::now();
    while back.calls() == 0 {
        let in_time = returned.elapsed() < Duration::from_secs(3);
        assert!(in_time, "it is not used again: {}", sidecar.admin_get("/cluster").1);
        assert_eq!(call(&channel, PUT).await.status().code, Some(0));
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn with_all_endpoints_down_calls_fail_at_once_with_the_reasons_and_later_succeed_again() {
    let members: Vec<Upstream> = (0..2).map(|_| Upstream::start(serve)).collect();
    let addresses: Vec<SocketAddr> = members.iter().map(Upstream::addr).collect();
    let urls: Vec<String> = members.iter().map(Upstream::url).collect();
    let sidecar = Sidecar::start(&urls);
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    assert_eq!(call(&channel, PUT).await.status().code, Some(0));
    drop(members);
    sleep(Duration::from_millis(100)).await;
    for path in [PUT, RANGE, PUT, RANGE] {
        let started = Instant::now();
        let status = call(&channel, path).await.status();
        assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
        assert_eq!(status.code, Some(14), "{status:?}");
        assert!(status.message.contains("not sent"), "{status:?}");
        for url in &urls {
            assert!(status.message.contains(&format!("{url}: Connection refused")), "{status:?}");
        }
        sleep(Duration::from_millis(50)).await;
    }
    // Long enough for the pauses between attempts to have grown.
    for _ in 0..20 {
        call(&channel, PUT).await;
        sleep(Duration::from_millis(100)).await;
    }
    let _back: Vec<Upstream> =
        addresses.into_iter().map(|address| Upstream::start_on(address, serve)).collect();
    let returned = Instant::now();
    while call(&channel, PUT).await.status().code != Some(0) {
        assert!(returned.elapsed() < Duration::from_secs(3), "it does not heal");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn it_starts_while_the_cluster_is_down_and_serves_when_it_comes() {
    let mut etcd = Etcd::start();
    etcd.kill();
    let sidecar = Sidecar::start(&etcd.endpoints());
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    assert_eq!(call(&channel, PUT).await.status().code, Some(14));
    etcd.restart();
    let returned = Instant::now();
    while call(&channel, PUT).await.status().code != Some(0) {
        assert!(returned.elapsed() < Duration::from_secs(3), "it does not find the cluster");
        sleep(Duration::from_millis(20)).await;
    }
    assert!(sidecar.log().contains("member is out of rotation"), "{}", sidecar.log());
    // Calls may find it before the next probe does.
    until(Duration::from_secs(3), "it is said to be back", || {
        sidecar.log().contains("member is in rotation")
    })
    .await;
}

/// A server that accepts and says nothing is no member: what only waits for its greeting must go elsewhere.
#[tokio::test]
async fn an_endpoint_that_accepts_and_never_speaks_does_not_hold_up_calls_to_the_others() {
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let member = Upstream::start(serve);
    let urls = [format!("http://{}", mute.local_addr().unwrap()), member.url()];
    let sidecar = Sidecar::start(&urls);
    until(Duration::from_secs(5), "the member is connected to", || member.connections_open() > 0).await;
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    for round in 0..20 {
        let answer = tokio::time::timeout(Duration::from_secs(1), call(&channel, PUT)).await;
        assert_eq!(answer.expect("nobody waits for the mute one").status().code, Some(0), "round {round}");
    }
}

#[tokio::test]
async fn with_only_a_mute_endpoint_calls_fail_at_the_connect_timeout() {
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", mute.local_addr().unwrap());
    let sidecar = Sidecar::with_config(&format!(
        "
listen: [{{url: 'http://{{listen}}'}}]
upstream: {{endpoints: ['{endpoint}'], connect-timeout: 500ms}}
admin: {{url: 'http://{{admin}}'}}
"
    ));
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    let started = Instant::now();
    let status = call(&channel, PUT).await.status();
    assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
    assert_eq!(status.code, Some(14), "{status:?}");
    assert!(status.message.contains(&endpoint) && status.message.contains("not sent"), "{status:?}");
}

#[tokio::test]
async fn retries_of_a_dead_endpoint_are_few() {
    let sidecar = Sidecar::start(&["http://127.0.0.1:1"]);
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    let started = Instant::now();
    let mut calls = 0;
    while started.elapsed() < Duration::from_secs(2) {
        assert_eq!(call(&channel, PUT).await.status().code, Some(14));
        calls += 1;
    }
    let attempts = crate::observability::metric(
        &sidecar,
        "etcdlet_upstream_connect_failures_total{endpoint=\"http://127.0.0.1:1\"}",
    );
    assert!(calls > 100, "{calls} calls in two seconds: they wait for something");
    assert!(attempts < 15.0, "{attempts} attempts to connect in two seconds");
    let warnings = sidecar.log().matches("member is out of rotation").count();
    assert!(warnings <= 3, "{warnings} warnings of the same thing");
}

async fn serve(call: Call) {
    call.answer(b"").await;
}
