//! Which requests share a renewal, and which do not.

use std::time::Duration;

use http::HeaderMap;
use tokio::time::sleep;

use super::lessor::{Act, Lessor, UNKNOWN_FIELD};
use super::{RENEWALS, REQUESTS, beat, beaten, configured, connect, grant, keep_alive};
use crate::observability::{becomes, metric};
use crate::resets::until;
use crate::support::etcd::Etcd;
use crate::support::grpc::{Event, metadata};
use crate::support::sidecar::Sidecar;

const SLOW: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_request_shares_only_a_renewal_that_is_sent_after_it_came() {
    let lessor = Lessor::start(|beat| Act::Later(SLOW, 100 + beat.number as i64));
    let sidecar = Sidecar::start(&[lessor.upstream.url()]);
    let channel = connect(&sidecar).await;
    let mut early = keep_alive(&channel, HeaderMap::new()).await;
    beat(&mut early, 7);
    until(SLOW, "the renewal is sent", || lessor.beats() == 1).await;
    // These come while it is under way.
    let mut late = Vec::new();
    for _ in 0..10 {
        let mut stream = keep_alive(&channel, HeaderMap::new()).await;
        beat(&mut stream, 7);
        late.push(stream);
    }
    assert_eq!(beaten(&mut early).await.ttl, 100);
    for stream in &mut late {
        assert_eq!(beaten(stream).await.ttl, 101, "answered by a renewal that was sent before");
    }
    assert_eq!(lessor.beats(), 2);
    becomes(&sidecar, REQUESTS, 11.0).await;
    becomes(&sidecar, RENEWALS, 2.0).await;
    becomes(&sidecar, "etcdlet_lease_inflight", 0.0).await;
    becomes(&sidecar, "etcdlet_lease_waiting", 0.0).await;
    becomes(&sidecar, "etcdlet_lease_streams", 11.0).await;
    becomes(&sidecar, "etcdlet_lease_upstream_streams", 1.0).await;
    // Nothing is renewed without being asked for.
    sleep(SLOW).await;
    assert_eq!(lessor.beats(), 2);
}

#[tokio::test]
async fn answers_pass_byte_by_byte() {
    let lessor = Lessor::start(|_| Act::Answer(5));
    let sidecar = Sidecar::start(&[lessor.upstream.url()]);
    let mut stream = keep_alive(&connect(&sidecar).await, HeaderMap::new()).await;
    beat(&mut stream, 7);
    let Event::Message(message) = stream.next(SLOW * 10).await else { panic!("no answer") };
    assert!(message.bytes.ends_with(&UNKNOWN_FIELD), "{message:?}");
}

#[tokio::test]
async fn who_is_somebody_else_shares_nothing() {
    let lessor = Lessor::start(|beat| Act::Later(SLOW, 100 + beat.number as i64));
    let sidecar = Sidecar::start(&[lessor.upstream.url()]);
    let channel = connect(&sidecar).await;
    let identities: [&[(&str, &str)]; 6] = [
        &[],
        &[("token", "a")],
        &[("token", "b")],
        &[("authorization", "a")],
        &[("token", "a"), ("hasleader", "true")],
        &[("client-api-version", "3.5")],
    ];
    let mut streams = Vec::new();
    // Two of each, which share.
    for round in 0..2 {
        for identity in identities {
            let mut stream = keep_alive(&channel, metadata(identity)).await;
            beat(&mut stream, 7);
            streams.push(stream);
        }
        if round == 0 {
            until(SLOW, "all are sent", || lessor.beats() == identities.len()).await;
        }
    }
    for stream in &mut streams {
        beaten(stream).await;
    }
    assert_eq!(lessor.beats(), 2 * identities.len());
    assert_eq!(lessor.streams(), identities.len());
    lessor.notes(|notes| {
        for identity in identities {
            let names = ["token", "authorization", "hasleader", "client-api-version"];
            let same = |headers: &HeaderMap| {
                names.iter().all(|name| {
                    let wanted = identity.iter().find(|(of, _)| of == name).map(|(_, value)| *value);
                    headers.get(*name).map(|value| value.to_str().unwrap()) == wanted
                })
            };
            assert_eq!(notes.streams.iter().filter(|headers| same(headers)).count(), 1, "{identity:?}");
        }
        assert!(notes.streams.iter().all(|headers| !headers.contains_key("grpc-timeout")));
    });
}

#[tokio::test]
async fn answers_come_in_the_order_of_a_clients_requests_though_lanes_differ_in_speed() {
    let lessor = Lessor::start(|beat| match beat.lease % 2 {
        0 => Act::Later(Duration::from_millis(30), beat.lease),
        _ => Act::Answer(beat.lease),
    });
    let sidecar = Sidecar::start(&[lessor.upstream.url()]);
    let channel = connect(&sidecar).await;
    let mut streams = Vec::new();
    for client in 0..5 {
        let mut stream = keep_alive(&channel, HeaderMap::new()).await;
        let leases: Vec<i64> = (0..40).map(|at| 1 + (at * 7 + client * 3) % 11).collect();
        leases.iter().for_each(|lease| beat(&mut stream, *lease));
        streams.push((stream, leases));
    }
    for (stream, leases) in &mut streams {
        for lease in leases {
            let answer = beaten(stream).await;
            assert_eq!((answer.id, answer.ttl), (*lease, *lease));
        }
    }
    assert_eq!(lessor.notes(|notes| notes.inflight_max), 1);
    assert!(lessor.streams() > 1, "one stream for all");
}

#[tokio::test]
async fn a_hundred_streams_on_one_lease_have_one_renewal_under_way() {
    let lessor = Lessor::start(|_| Act::Answer(60));
    let sidecar = Sidecar::start(&[lessor.upstream.url()]);
    beats_of_many(&sidecar, 100, 100).await;
    assert_eq!(lessor.notes(|notes| notes.inflight_max), 1);
    let beats = lessor.beats();
    println!("{beats} renewals for 10,000 requests");
    assert!((100..5000).contains(&beats), "{beats}");
    becomes(&sidecar, REQUESTS, 10_000.0).await;
    becomes(&sidecar, RENEWALS, beats as f64).await;
}

#[tokio::test]
async fn a_hundred_streams_on_one_lease_of_a_real_etcd() {
    let etcd = Etcd::start();
    let sidecar = Sidecar::start(&etcd.endpoints());
    grant(&connect(&sidecar).await, 7, 60).await;
    beats_of_many(&sidecar, 100, 100).await;
    println!("{} renewals for 10,000 requests", metric(&sidecar, RENEWALS));
    assert!(metric(&sidecar, RENEWALS) < 5000.0);
}

async fn beats_of_many(sidecar: &Sidecar, streams: usize, beats: usize) {
    let mut tasks = Vec::new();
    for _ in 0..streams {
        let channel = connect(sidecar).await;
        tasks.push(tokio::spawn(async move {
            let mut stream = keep_alive(&channel, HeaderMap::new()).await;
            for _ in 0..beats {
                beat(&mut stream, 7);
                let answer = beaten(&mut stream).await;
                assert_eq!((answer.id, answer.ttl), (7, 60));
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn switched_off_every_stream_is_its_own() {
    let lessor = Lessor::start(|_| Act::Answer(60));
    let sidecar = configured(&[lessor.upstream.url()], "lease: {coalesce: false}");
    beats_of_many(&sidecar, 5, 10).await;
    assert_eq!((lessor.streams(), lessor.beats()), (5, 50));
    assert_eq!(metric(&sidecar, REQUESTS), 0.0);
}

/// A stream that says what cannot be said of a shared one is passed on as it is.
#[tokio::test]
async fn streams_that_are_special_travel_alone() {
    let lessor = Lessor::start(|_| Act::Answer(60));
    let sidecar = Sidecar::start(&[lessor.upstream.url()]);
    let channel = connect(&sidecar).await;
    let mut stream = keep_alive(&channel, metadata(&[("grpc-encoding", "gzip"), ("x-mine", "1")])).await;
    beat(&mut stream, 7);
    beaten(&mut stream).await;
    assert_eq!(metric(&sidecar, REQUESTS), 0.0);
    assert!(lessor.notes(|notes| notes.streams[0]["x-mine"] == "1"));
}
