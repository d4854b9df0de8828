//! What is bounded.

use std::time::Duration;

use http::HeaderMap;
use tokio::time::sleep;

use super::lessor::{Act, Lessor};
use super::{REQUESTS, SOON, beat, beaten, configured, connect, keep_alive};
use crate::observability::{becomes, metric};
use crate::resets::until;

#[tokio::test]
async fn a_client_that_asks_for_too_much_at_once_is_read_on_later() {
    let lessor = Lessor::start(|_| Act::Later(Duration::from_millis(2), 60));
    let sidecar = configured(&[lessor.upstream.url()], "lease: {waiting-per-stream: 10}");
    let mut stream = keep_alive(&connect(&sidecar).await, HeaderMap::new()).await;
    for lease in 0..300 {
        beat(&mut stream, lease);
    }
    for lease in 0..300 {
        assert_eq!(beaten(&mut stream).await.id, lease);
        assert!(metric(&sidecar, "etcdlet_lease_waiting") <= 10.0);
    }
    becomes(&sidecar, REQUESTS, 300.0).await;
    assert!(metric(&sidecar, "etcdlet_lease_held_back_total") > 0.0);
}

#[tokio::test]
async fn all_clients_together_are_bounded_and_nobody_starves() {
    let lessor = Lessor::start(|_| Act::Later(Duration::from_millis(2), 60));
    let sidecar = configured(&[lessor.upstream.url()], "lease: {waiting-total: 20}");
    let channel = connect(&sidecar).await;
    let mut streams = Vec::new();
    for client in 0..10 {
        let mut stream = keep_alive(&channel, HeaderMap::new()).await;
        for lease in 0..50 {
            beat(&mut stream, client * 100 + lease);
        }
        streams.push(stream);
    }
    for lease in 0..50 {
        for (client, stream) in (0..).zip(&mut streams) {
            assert_eq!(beaten(stream).await.id, client * 100 + lease);
        }
        let waiting = metric(&sidecar, "etcdlet_lease_waiting");
        assert!(waiting <= 30.0, "{waiting}");
    }
}

#[tokio::test]
async fn a_stream_to_the_leader_that_is_not_used_is_closed() {
    let lessor = Lessor::start(|_| Act::Answer(60));
    let sidecar = configured(&[lessor.upstream.url()], "lease: {idle-timeout: 300ms}");
    let channel = connect(&sidecar).await;
    let mut stream = keep_alive(&channel, HeaderMap::new()).await;
    // In use it stays.
    for _ in 0..8 {
        beat(&mut stream, 7);
        beaten(&mut stream).await;
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(lessor.streams(), 1);
    until(SOON, "it ends", || lessor.notes(|notes| notes.ended) == 1).await;
    becomes(&sidecar, "etcdlet_lease_upstream_streams", 0.0).await;
    // The client's goes on.
    beat(&mut stream, 7);
    assert_eq!(beaten(&mut stream).await.ttl, 60);
    assert_eq!(lessor.streams(), 2);
    assert_eq!(lessor.notes(|notes| notes.lost), 0);
}

/// A lease that the leader takes long for holds up those only that are on its stream already.
#[tokio::test]
async fn a_slow_renewal_does_not_hold_up_the_others() {
    let lessor = Lessor::start(|beat| match beat.lease {
        1 => Act::Later(Duration::from_secs(2), 60),
        _ => Act::Answer(60),
    });
    let sidecar = configured(&[lessor.upstream.url()], "");
    let channel = connect(&sidecar).await;
    let mut stuck = keep_alive(&channel, HeaderMap::new()).await;
    beat(&mut stuck, 1);
    until(SOON, "it is sent", || lessor.beats() == 1).await;
    // Whoever comes before that is noticed may wait behind it.
    sleep(Duration::from_millis(150)).await;
    let mut streams = Vec::new();
    for lease in 2..60 {
        let mut stream = keep_alive(&channel, HeaderMap::new()).await;
        beat(&mut stream, lease);
        streams.push(stream);
    }
    let began = std::time::Instant::now();
    for stream in &mut streams {
        beaten(stream).await;
        beat(stream, 100);
        beaten(stream).await;
    }
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}
