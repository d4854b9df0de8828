//! Endpoints take turns.

use std::time::Duration;

use http::HeaderMap;

use super::{PUT, RANGE, WATCH, call, until};
use crate::observability::value;
use crate::support::grpc::{Channel, PATIENCE, Stream};
use crate::support::sidecar::Sidecar;
use crate::support::upstream::{Call, Upstream};

#[tokio::test]
async fn calls_are_spread_evenly_over_three_endpoints() {
    let (members, _sidecar, channel) = three().await;
    for round in 0..300 {
        let path = if round % 2 == 0 { PUT } else { RANGE };
        assert_eq!(call(&channel, path).await.status().code, Some(0));
    }
    let counts: Vec<usize> = members.iter().map(Upstream::calls).collect();
    assert_eq!(counts.iter().sum::<usize>(), 301);
    assert!(counts.iter().all(|count| (97..=104).contains(count)), "{counts:?}");
}

#[tokio::test]
async fn calls_of_many_clients_at_once_are_spread_evenly_too() {
    let (members, sidecar, _channel) = three().await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        let channel = Channel::connect(&sidecar.url()).await.unwrap();
        clients.push(tokio::spawn(async move {
            for _ in 0..30 {
                assert_eq!(call(&channel, PUT).await.status().code, Some(0));
            }
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    let counts: Vec<usize> = members.iter().map(Upstream::calls).collect();
    assert!(counts.iter().all(|count| (85..=115).contains(count)), "{counts:?}");
}

/// Every client of Kubernetes lists and then watches, so that the two alternate.
#[tokio::test]
async fn watches_are_spread_evenly_whatever_comes_between_them() {
    for between in [0, 1, 2, 5] {
        let (members, sidecar, channel) = three().await;
        // The first one makes etcdlet connect for watches too, and goes to whom it reaches first.
        let mut watches = vec![watch(&channel).await];
        until(Duration::from_secs(5), "all are connected to twice", || {
            members.iter().all(|member| member.connections_open() > 1)
        })
        .await;
        for _ in 0..12 {
            for _ in 0..between {
                assert_eq!(call(&channel, RANGE).await.status().code, Some(0));
            }
            watches.push(watch(&channel).await);
        }
        let metrics = sidecar.metrics();
        let open = |member: &Upstream| {
            value(&metrics, &format!("etcdlet_upstream_streams{{endpoint=\"{}\"}}", member.url()))
        };
        let counts: Vec<f64> = members.iter().map(open).collect();
        assert!(
            counts.iter().all(|count| (3.0..=6.0).contains(count)),
            "{between} calls between: {counts:?}"
        );
    }
}

async fn watch(channel: &Channel) -> Stream {
    let mut watch = channel.stream(WATCH, HeaderMap::new()).await.expect("a stream opens");
    watch.headers(PATIENCE).await.expect("a watch is open");
    watch
}

/// Three members, and a sidecar that is connected to all of them.
async fn three() -> (Vec<Upstream>, Sidecar, Channel) {
    let members: Vec<Upstream> = (0..3).map(|_| Upstream::start(serve)).collect();
    let urls: Vec<String> = members.iter().map(Upstream::url).collect();
    let sidecar = Sidecar::start(&urls);
    until(Duration::from_secs(5), "all are connected to", || {
        members.iter().all(|member| member.connections_open() > 0)
    })
    .await;
    let channel = Channel::connect(&sidecar.url()).await.expect("etcdlet accepts");
    // The first call opens nothing any more.
    assert_eq!(call(&channel, PUT).await.status().code, Some(0));
    (members, sidecar, channel)
}

/// Watches stay open, everything else is answered.
async fn serve(mut call: Call) {
    if call.path() != WATCH {
        return call.answer(b"").await;
    }
    let answering = call.begin();
    std::future::pending::<()>().await;
    drop((answering, call));
}
