//! The same streams to a real etcd and through etcdlet.

use std::time::{Duration, Instant};

use bytes::Bytes;
use etcdlet::proto::etcdserverpb as pb;
use h2::Reason;
use http::HeaderMap;
use prost::Message;
use tokio::time::sleep;

use super::{GRANT, KEEP_ALIVE, REVOKE, SOON, TIME_TO_LIVE, beat, beaten, connect, grant, keep_alive};
use crate::support::etcd::{Etcd, installed_lines};
use crate::support::grpc::{Answer, Channel, End, Event, frame, metadata};
use crate::support::sidecar::Sidecar;

/// What a client does with one stream.
struct Case {
    name: &'static str,
    metadata: HeaderMap,
    /// Sent at once, then the end of the requests.
    sent: Vec<Bytes>,
}

fn request(id: i64) -> Bytes {
    frame(0, &pb::LeaseKeepAliveRequest { id }.encode_to_vec())
}

fn cases() -> Vec<Case> {
    let plain = |name, sent: &[Bytes]| Case { name, metadata: HeaderMap::new(), sent: sent.to_vec() };
    let gzip = metadata(&[("grpc-encoding", "gzip")]);
    let unknown = metadata(&[("grpc-encoding", "snappy")]);
    let zeros = frame(0, &vec![0; 3 << 20]);
    vec![
        plain("nothing", &[]),
        plain("one beat", &[request(7)]),
        plain("beats of several leases", &[request(7), request(8), request(7), request(9)]),
        plain("a lease that is not there", &[request(1234)]),
        plain("one that is not there, then one that is", &[request(1234), request(7)]),
        plain("no lease", &[request(0)]),
        plain("a negative lease", &[request(-1)]),
        plain("an unknown field", &[frame(0, &[0x08, 7, 0x50, 1])]),
        plain("a lease that is named twice", &[frame(0, &[0x08, 8, 0x08, 7])]),
        plain("a message that is none", &[frame(0, &[0x08])]),
        plain("a group without a beginning", &[frame(0, &[0x0c])]),
        plain(
            "a beat, then a message that is none, then a beat",
            &[request(7), frame(0, &[0xff; 4]), request(8)],
        ),
        plain("a field of another type", &[frame(0, &[0x0a, 1, 1])]),
        plain("compressed, though nobody said so", &[frame(1, &[0x08, 7])]),
        plain("a flag that there is not", &[frame(7, &[0x08, 7])]),
        plain("cut in its prefix", &[request(7), Bytes::from_static(&[0, 0])]),
        plain("cut in its message", &[request(7), Bytes::from_static(&[0, 0, 0, 0, 9, 8])]),
        Case { name: "an encoding, and not compressed", metadata: gzip.clone(), sent: vec![request(7)] },
        Case { name: "compressed, but not really", metadata: gzip, sent: vec![frame(1, &[0x08, 7])] },
        Case { name: "an unknown encoding", metadata: unknown, sent: vec![frame(1, &[0x08, 7])] },
        plain("far too long", &[zeros]),
        Case {
            name: "with a leader",
            metadata: metadata(&[("hasleader", "true"), ("client-api-version", "3.5")]),
            sent: vec![request(7)],
        },
    ]
}

#[tokio::test]
async fn every_stream_is_answered_as_etcd_answers_it() {
    for line in installed_lines() {
        let etcd = Etcd::start_version(&line);
        let sidecar = Sidecar::start(&etcd.endpoints());
        let channels = [Channel::connect(&etcd.endpoint()).await.unwrap(), connect(&sidecar).await];
        for id in [7, 8, 9] {
            grant(&channels[0], id, 600).await;
        }
        for case in cases() {
            let mut seen = Vec::new();
            for channel in &channels {
                let mut stream = keep_alive(channel, case.metadata.clone()).await;
                case.sent.iter().for_each(|frame| stream.send_raw(frame.clone()));
                stream.half_close();
                seen.push(shown(&stream.answer(SOON).await));
            }
            println!("{line}: {}: {}", case.name, seen[0]);
            if case.name == "far too long" {
                // The limit of a keep-alive is our own.
                seen.iter_mut().for_each(|seen| *seen = seen.split(" vs.").next().unwrap().to_owned());
            }
            assert_eq!(seen[1], seen[0], "{line}: {}", case.name);
        }
    }
}

/// All of an answer that a client can see, but for the order of headers.
fn shown(answer: &Answer) -> String {
    let head: Vec<_> =
        answer.headers.iter().filter(|(name, _)| !name.as_str().starts_with("grpc-")).collect();
    let messages: Vec<_> =
        answer.messages.iter().map(|message| (message.compressed, &message.bytes)).collect();
    let (http, status) = (answer.http, answer.status());
    format!("{http:?} {head:?} {messages:?} {status:?} {}", answer.is_trailers_only())
}

/// A lease lives as long as etcd says, counted from its last beat.
#[tokio::test]
async fn a_lease_that_is_not_asked_for_is_not_renewed() {
    let etcd = Etcd::start();
    let sidecar = Sidecar::start(&etcd.endpoints());
    let channel = connect(&sidecar).await;
    grant(&channel, 7, 2).await;
    let mut stream = keep_alive(&channel, HeaderMap::new()).await;
    beat(&mut stream, 7);
    assert_eq!(beaten(&mut stream).await.ttl, 2);
    let last = Instant::now();
    // etcd expires leases every 500 ms; nearly twice its life is what grpc-proxy gives it.
    let gone = loop {
        let request = pb::LeaseTimeToLiveRequest { id: 7, keys: false };
        let left: pb::LeaseTimeToLiveResponse = channel.call(TIME_TO_LIVE, &request).await.unwrap();
        if left.ttl < 0 {
            break last.elapsed();
        }
        sleep(Duration::from_millis(50)).await;
    };
    assert!(gone > Duration::from_millis(1900) && gone < Duration::from_millis(3300), "{gone:?}");
    // And then etcd's own word for it.
    beat(&mut stream, 7);
    let answer = beaten(&mut stream).await;
    assert_eq!((answer.id, answer.ttl), (7, 0));
    assert!(answer.header.is_some_and(|header| header.cluster_id != 0 && header.raft_term > 0));
}

#[tokio::test]
async fn a_second_client_of_a_lease_is_answered_at_once() {
    let etcd = Etcd::start();
    let sidecar = Sidecar::start(&etcd.endpoints());
    let channel = connect(&sidecar).await;
    grant(&channel, 7, 600).await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut stream = keep_alive(&connect(&sidecar).await, HeaderMap::new()).await;
        let asked = Instant::now();
        beat(&mut stream, 7);
        assert_eq!(beaten(&mut stream).await.ttl, 600);
        assert!(asked.elapsed() < Duration::from_millis(250), "{:?}", asked.elapsed());
        streams.push(stream);
    }
}

#[tokio::test]
async fn the_end_of_the_requests_is_not_the_end_of_the_answers() {
    let etcd = Etcd::start();
    let sidecar = Sidecar::start(&etcd.endpoints());
    let channel = connect(&sidecar).await;
    grant(&channel, 7, 600).await;
    for _ in 0..50 {
        let request = pb::LeaseKeepAliveRequest { id: 7 };
        let answer: pb::LeaseKeepAliveResponse = channel.call(KEEP_ALIVE, &request).await.unwrap();
        assert_eq!((answer.id, answer.ttl), (7, 600));
    }
}

#[tokio::test]
async fn a_stream_ends_with_its_deadline() {
    let etcd = Etcd::start();
    let sidecar = Sidecar::start(&etcd.endpoints());
    for url in [etcd.endpoint(), sidecar.url()] {
        let channel = Channel::connect(&url).await.unwrap();
        grant(&channel, 7, 600).await;
        for beats in [0, 3] {
            let mut stream = keep_alive(&channel, metadata(&[("grpc-timeout", "300m")])).await;
            let opened = Instant::now();
            for _ in 0..beats {
                beat(&mut stream, 7);
                beaten(&mut stream).await;
            }
            let end = stream.next(SOON).await;
            let status = match end {
                Event::End(End::Trailers(trailers)) => trailers["grpc-status"].clone(),
                Event::End(End::TrailersOnly) => stream.head.unwrap().1["grpc-status"].clone(),
                // Which of its two clocks is first is chance in etcd.
                Event::End(End::Reset(Reason::CANCEL)) if url == etcd.endpoint() => "4".parse().unwrap(),
                other => panic!("{url}: {other:?}"),
            };
            assert_eq!(status, "4", "{url}");
            let took = opened.elapsed();
            assert!(took > Duration::from_millis(290) && took < Duration::from_secs(2), "{url}: {took:?}");
        }
        let revoke = pb::LeaseRevokeRequest { id: 7 };
        channel.call::<_, pb::LeaseRevokeResponse>(REVOKE, &revoke).await.unwrap();
    }
}

/// The header is that of before the renewal, as etcd sends it, and the node's watermark follows it.
#[tokio::test]
async fn the_header_is_etcds_own() {
    let etcd = Etcd::start();
    let sidecar = Sidecar::start(&etcd.endpoints());
    let channel = connect(&sidecar).await;
    let request = pb::LeaseGrantRequest { id: 7, ttl: 600 };
    let granted: pb::LeaseGrantResponse = channel.call(GRANT, &request).await.unwrap();
    let mut stream = keep_alive(&channel, HeaderMap::new()).await;
    for round in 0..20 {
        let put = pb::PutRequest { key: "a".into(), ..Default::default() };
        let direct = Channel::connect(&etcd.endpoint()).await.unwrap();
        let put: pb::PutResponse = direct.call("/etcdserverpb.KV/Put", &put).await.unwrap();
        beat(&mut stream, 7);
        let header = beaten(&mut stream).await.header.unwrap();
        let expected =
            pb::ResponseHeader { revision: put.header.unwrap().revision, ..granted.header.unwrap() };
        assert_eq!(header, expected, "round {round}");
        let seen = crate::observability::metric(&sidecar, "etcdlet_watermark_revision");
        assert_eq!(seen, header.revision as f64);
    }
}
