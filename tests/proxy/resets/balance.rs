//! Members that are alike get about as many calls. Each call goes to the better one of two that chance draws.

use std::time::Duration;

use http::HeaderMap;

use super::{PUT, RANGE, WATCH, call, until};
use crate::observability::value;
use crate::support::grpc::{Channel, PATIENCE, Stream};
use crate::support::sidecar::Sidecar;
use crate::support::upstream::{Call, Upstream};

#[tokio::test]
async fn three_members_that_are_alike_get_fair_shares_of_the_calls() {
    let (members, sidecar, channel) = three().await;
    for round in 0..900 {
        let path = if round % 2 == 0 { PUT } else { RANGE };
        assert_eq!(call(&channel, path).await.status().code, Some(0));
    }
    assert_fair(&sidecar, &members, 901);
}

#[tokio::test]
async fn calls_of_many_clients_at_once_are_shared_fairly_too() {
    let (members, sidecar, _channel) = three().await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        let channel = Channel::connect(&sidecar.url()).await.unwrap();
        clients.push(tokio::spawn(async move {
            for _ in 0..90 {
                assert_eq!(call(&channel, PUT).await.status().code, Some(0));
            }
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    assert_fair(&sidecar, &members, 901);
}

/// That each got a fifth at least.
fn assert_fair(sidecar: &Sidecar, members: &[Upstream], calls: usize) {
    let counts: Vec<usize> = members.iter().map(Upstream::calls).collect();
    assert_eq!(counts.iter().sum::<usize>(), calls);
    assert!(
        counts.iter().all(|count| *count >= calls / 5),
        "{counts:?}: {}",
        sidecar.admin_get("/cluster").1
    );
}

/// Every client of Kubernetes lists and then watches, so that the two alternate.
#[tokio::test]
async fn new_watches_go_where_there_are_fewer_whatever_comes_between_them() {
    for between in [0, 1, 2, 5] {
        let (members, sidecar, channel) = three().await;
        // The first one makes etcdlet connect for watches too, and goes to whom it reaches first.
        let mut watches = vec![watch(&channel).await];
        until(Duration::from_secs(5), "all are connected to twice", || {
            members.iter().all(|member| member.connections_open() > 1)
        })
        .await;
        for _ in 0..29 {
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
        assert!(counts.iter().all(|count| *count >= 6.0), "{between} calls between: {counts:?}");
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
    let sidecar = Sidecar::passing(&urls);
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
