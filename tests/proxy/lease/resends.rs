//! What goes wrong between etcdlet and the leader, and what clients see of it.

use std::time::{Duration, Instant};

use http::HeaderMap;
use tokio::time::sleep;

use super::lessor::{Act, Lessor};
use super::{RESENDS, SOON, beat, beaten, configured, connect, keep_alive};
use crate::observability::{becomes, metric};
use crate::resets::until;
use crate::support::grpc::{Status, Stream, metadata};
use crate::support::sidecar::Sidecar;

fn status(code: u32, message: &str) -> Status {
    Status { code: Some(code), message: message.into() }
}

async fn ends(stream: Stream) -> Status {
    stream.answer(SOON).await.status()
}

#[tokio::test]
async fn what_a_lost_stream_has_not_answered_is_asked_again_at_once() {
    for lost in [Act::Reset, Act::End(14, "etcdserver: server stopped"), Act::End(2, "not a primary lessor")]
    {
        let lessor = Lessor::start(move |beat| match (beat.number, beat.lease) {
            (0..3, _) => Act::Answer(1),
            (_, 8) if beat.stream == 0 => lost,
            _ => Act::Answer(2),
        });
        let sidecar = configured(&[lessor.upstream.url()], "lease: {streams: 1}");
        let channel = connect(&sidecar).await;
        let mut streams = Vec::new();
        for lease in [7, 8, 9] {
            let mut stream = keep_alive(&channel, HeaderMap::new()).await;
            beat(&mut stream, lease);
            assert_eq!(beaten(&mut stream).await.ttl, 1);
            streams.push(stream);
        }
        let asked = Instant::now();
        for (stream, lease) in streams.iter_mut().zip([7, 8, 9]) {
            beat(stream, lease);
        }
        for (stream, lease) in streams.iter_mut().zip([7, 8, 9]) {
            let answer = beaten(stream).await;
            assert_eq!((answer.id, answer.ttl), (lease, 2), "{lost:?}");
        }
        assert!(asked.elapsed() < Duration::from_millis(250), "{lost:?}: {:?}", asked.elapsed());
        assert_eq!(lessor.streams(), 2, "{lost:?}");
        assert!(metric(&sidecar, RESENDS) >= 1.0);
        assert_eq!(lessor.notes(|notes| notes.inflight_max), 1);
    }
}

#[tokio::test]
async fn lost_connections_are_not_seen_by_clients() {
    let lessor = Lessor::start(|_| Act::Later(Duration::from_millis(20), 60));
    let sidecar = Sidecar::start(&[lessor.upstream.url()]);
    let channel = connect(&sidecar).await;
    let mut clients = Vec::new();
    for lease in 0..20 {
        let mut stream = keep_alive(&channel, HeaderMap::new()).await;
        clients.push(tokio::spawn(async move {
            for _ in 0..40 {
                beat(&mut stream, lease % 5);
                assert_eq!(beaten(&mut stream).await.id, lease % 5);
            }
        }));
    }
    for round in 0..8 {
        sleep(Duration::from_millis(60)).await;
        match round % 2 {
            0 => lessor.upstream.kill_connections(),
            _ => lessor.upstream.go_away(),
        }
    }
    for client in clients {
        client.await.unwrap();
    }
    assert!(metric(&sidecar, RESENDS) >= 1.0);
}

/// An error of one request ends its client's stream, as etcd does, and nobody else's.
#[tokio::test]
async fn an_error_is_that_of_the_client_who_asked() {
    let lessor = Lessor::start(|beat| match beat.lease {
        8 => Act::End(7, "etcdserver: permission denied"),
        _ => Act::Answer(60),
    });
    let sidecar = configured(&[lessor.upstream.url()], "lease: {streams: 1}");
    let channel = connect(&sidecar).await;
    let mut others = Vec::new();
    for lease in [7, 9] {
        let mut stream = keep_alive(&channel, HeaderMap::new()).await;
        beat(&mut stream, lease);
        beaten(&mut stream).await;
        others.push(stream);
    }
    for round in 0..20 {
        let mut denied = keep_alive(&channel, HeaderMap::new()).await;
        beat(&mut others[0], 7);
        beat(&mut denied, 7);
        beat(&mut denied, 8);
        beat(&mut denied, 9);
        beat(&mut others[1], 9);
        let answer = denied.answer(SOON).await;
        assert_eq!(answer.status(), status(7, "etcdserver: permission denied"), "round {round}");
        assert_eq!(answer.messages.len(), 1, "round {round}: those before the error, and none behind");
        for other in &mut others {
            assert_eq!(beaten(other).await.ttl, 60, "round {round}");
        }
    }
}

#[tokio::test]
async fn without_a_leader_for_long_a_stream_ends_unavailable() {
    let lessor = Lessor::start(|_| Act::End(14, "etcdserver: no leader"));
    let sidecar = configured(&[lessor.upstream.url()], "hold: {timeout: 600ms}");
    let channel = connect(&sidecar).await;
    for metadata in [HeaderMap::new(), metadata(&[("hasleader", "true")])] {
        let opened = Instant::now();
        let mut idle = keep_alive(&channel, metadata.clone()).await;
        let mut stream = keep_alive(&channel, metadata).await;
        beat(&mut stream, 7);
        assert_eq!(ends(stream).await, status(14, "etcdserver: no leader"));
        let took = opened.elapsed();
        assert!(took > Duration::from_millis(550) && took < Duration::from_secs(2), "{took:?}");
        // Who waits for nothing is not told.
        let event = idle.next(Duration::from_millis(100)).await;
        assert!(matches!(event, crate::support::grpc::Event::Silence), "{event:?}");
    }
    assert!(lessor.streams() < 40, "{} tries in 1.2 s", lessor.streams());
}

#[tokio::test]
async fn without_any_member_for_long_a_stream_ends_unavailable() {
    let lessor = Lessor::start(|_| Act::Answer(60));
    let sidecar = configured(&[lessor.upstream.url()], "hold: {timeout: 600ms}");
    let channel = connect(&sidecar).await;
    let mut stream = keep_alive(&channel, HeaderMap::new()).await;
    beat(&mut stream, 7);
    beaten(&mut stream).await;
    drop(lessor);
    let asked = Instant::now();
    beat(&mut stream, 7);
    let ended = ends(stream).await;
    assert_eq!(ended.code, Some(14), "{ended:?}");
    let took = asked.elapsed();
    assert!(took > Duration::from_millis(500) && took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test]
async fn whoever_leaves_takes_his_requests_along() {
    let lessor = Lessor::start(|beat| match beat.lease {
        7 => Act::Later(Duration::from_millis(400), 60),
        _ => Act::Answer(60),
    });
    let sidecar = configured(&[lessor.upstream.url()], "lease: {streams: 1}");
    let channel = connect(&sidecar).await;
    let mut first = keep_alive(&channel, HeaderMap::new()).await;
    beat(&mut first, 7);
    until(SOON, "it is sent", || lessor.beats() == 1).await;
    let mut second = keep_alive(&channel, HeaderMap::new()).await;
    beat(&mut second, 7);
    becomes(&sidecar, "etcdlet_lease_waiting", 2.0).await;
    second.reset(h2::Reason::CANCEL);
    becomes(&sidecar, "etcdlet_lease_waiting", 1.0).await;
    assert_eq!(beaten(&mut first).await.ttl, 60);
    sleep(Duration::from_millis(100)).await;
    assert_eq!(lessor.leases(), [7], "a renewal that nobody waited for");
}

#[tokio::test]
async fn a_drain_ends_the_streams() {
    let lessor = Lessor::start(|beat| if beat.number == 0 { Act::Answer(60) } else { Act::Silence });
    let mut sidecar = configured(&[lessor.upstream.url()], "drain: {stream-jitter: 200ms}");
    let channel = connect(&sidecar).await;
    let mut begun = keep_alive(&channel, HeaderMap::new()).await;
    beat(&mut begun, 7);
    beaten(&mut begun).await;
    let mut waiting = keep_alive(&channel, HeaderMap::new()).await;
    beat(&mut waiting, 8);
    beat(&mut begun, 8);
    until(SOON, "it is sent", || lessor.beats() >= 2).await;
    sidecar.terminate();
    assert_eq!(ends(begun).await, status(14, "etcdlet: shutting down"));
    assert_eq!(ends(waiting).await, status(14, "etcdlet: shutting down, outcome unknown"));
    drop(channel);
    let deadline = Instant::now() + SOON;
    let ended = loop {
        let ended = sidecar.wait(Duration::ZERO);
        if ended.is_some() || Instant::now() > deadline {
            break ended;
        }
        sleep(Duration::from_millis(10)).await;
    };
    assert!(ended.is_some_and(|status| status.success()));
}
