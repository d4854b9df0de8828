//! Endpoints take turns.

use std::time::Duration;

use http::HeaderMap;

use super::{PUT, RANGE, WATCH, call, until};
use crate::support::grpc::{Channel, PATIENCE};
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
    assert!(counts.iter().all(|count| (95..=106).contains(count)), "{counts:?}");
}

/// Every client of Kubernetes lists and then watches, so that the two alternate.
#[tokio::test]
async fn watches_are_spread_evenly_whatever_comes_between_them() {
    for between in [0, 1, 2, 5] {
        let (members, _sidecar, channel) = three().await;
        let mut watches = Vec::new();
        for _ in 0..12 {
            for _ in 0..between {
                assert_eq!(call(&channel, RANGE).await.status().code, Some(0));
            }
            let mut watch = channel.stream(WATCH, HeaderMap::new()).await.unwrap();
            watch.headers(PATIENCE).await.expect("a watch is open");
            watches.push(watch);
        }
        let open: Vec<String> = members.iter().map(|member| member.url()).collect();
        let metrics = _sidecar.metrics();
        let streams = |url: &String| {
            let series = format!("etcdlet_upstream_streams{{endpoint=\"{url}\"}}");
            crate::observability::value(&metrics, &series)
        };
        let counts: Vec<f64> = open.iter().map(streams).collect();
        assert!(
            counts.iter().all(|count| (3.0..=5.0).contains(count)),
            "{between} calls between: {counts:?}"
        );
    }
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
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
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
