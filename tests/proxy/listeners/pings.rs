//! Pings, theirs and ours.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http::HeaderMap;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::bad_input::wire::{ACK, GO_AWAY, PING, PREFACE, Wire, frame, open_call, settings, whole_call};
use crate::lifecycle::watch;
use crate::observability::{becomes, metric};
use crate::support::certs::{Certs, Pair};
use crate::support::etcd::{Etcd, Options, Tls};
use crate::support::grpc::{Channel, End, Event};
use crate::support::sidecar::Sidecar;

/// What etcd itself does is the measure, call by call.
#[tokio::test]
async fn who_pings_too_often_is_sent_away_as_by_etcd() {
    let etcd = Options::default().flag("--grpc-keepalive-min-time=500ms").start();
    let sidecar = configured(&etcd, "grpc-keepalive-min-time: 500ms");
    let without_calls = (Duration::ZERO, Open::Nothing);
    let early = (Duration::from_millis(100), Open::Watch);
    let in_time = (Duration::from_millis(600), Open::Watch);
    let answered = (Duration::from_millis(50), Open::Calls);
    for (index, (pause, open)) in [without_calls, early, in_time, answered].into_iter().enumerate() {
        let direct = pinged(etcd.addr(), pause, open).await;
        let through = pinged(sidecar.addr(), pause, open).await;
        assert_eq!(through, direct, "{pause:?} {open:?}");
        assert_eq!(direct.is_some(), index < 2, "{direct:?}");
    }
    becomes(&sidecar, "etcdlet_connections_ended_total{reason=\"pings\"}", 2.0).await;
    becomes(&sidecar, "etcdlet_connections", 0.0).await;
}

/// Go's HTTP server stands before etcd there, and counts no pings.
#[tokio::test]
async fn behind_tls_nobody_minds_pings_as_with_etcd() {
    let certs = Certs::new();
    let Pair { cert, key } = certs.server();
    let tls = Tls {
        cert_file: cert.clone(),
        key_file: key.clone(),
        trusted_ca_file: certs.ca(),
        client_cert_auth: false,
        client: None,
    };
    let etcd = Options::default().tls(tls).start();
    let sidecar = Sidecar::with_config(&format!(
        "
listen: [{{url: 'https://{{listen}}', tls: {{cert-file: '{}', key-file: '{}'}}}}]
upstream: {{endpoints: ['{}'], tls: {{cacert: '{}'}}}}
admin: {{url: 'http://{{admin}}'}}
",
        cert.display(),
        key.display(),
        etcd.endpoint(),
        certs.ca().display()
    ));
    for address in [etcd.addr(), sidecar.addr()] {
        let connector = tokio_rustls::TlsConnector::from(certs.client_config(None, &["h2"]));
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let mut session = connector.connect(name, TcpStream::connect(address).await.unwrap()).await.unwrap();
        session.write_all(&[PREFACE, &settings(&[])].concat()).await.unwrap();
        let mut answered = 0;
        while answered < 6 {
            session.write_all(&frame(PING, 0, 0, b"12345678")).await.unwrap();
            loop {
                let mut head = [0; 9];
                session.read_exact(&mut head).await.expect("it is not sent away");
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
                let mut payload = vec![0; length];
                session.read_exact(&mut payload).await.unwrap();
                assert_ne!(head[3], GO_AWAY, "{payload:?}");
                if head[3] == PING {
                    answered += 1;
                    break;
                }
            }
        }
    }
}

/// What its client has under way.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Open {
    Calls,
    Nothing,
    Watch,
}

/// After how many of six pings the connection was ended, with which code, and the words behind it.
pub(crate) async fn pinged(address: SocketAddr, pause: Duration, open: Open) -> Option<(usize, u32, String)> {
    let mut wire = Wire::http2(address, &[]).await;
    if let Open::Watch = open {
        wire.send(&open_call(1, "/etcdserverpb.Watch/Watch")).await.unwrap();
    }
    let mut call = 1;
    for count in 1..=6 {
        if let Open::Calls = open {
            wire.send(&whole_call(call, "/etcdserverpb.KV/Range", b"\n\x01a")).await.unwrap();
            let heard = wire.hear_until(LIMIT, |frame| frame.stream == call && frame.flags & 1 != 0).await;
            assert!(!heard.closed, "{heard:?}");
            call += 2;
        }
        wire.send(&frame(PING, 0, 0, b"12345678")).await.unwrap();
        // Etcd answers even the one that is too many.
        let answer = wire.hear_until(LIMIT, |frame| frame.kind == PING || frame.kind == GO_AWAY).await;
        let later =
            wire.hear_until(pause.max(Duration::from_millis(50)), |frame| frame.kind == GO_AWAY).await;
        if let Some(go_away) = answer.frames.iter().chain(&later.frames).find(|frame| frame.kind == GO_AWAY) {
            let (code, words) = (&go_away.payload[4..8], &go_away.payload[8..]);
            let code = u32::from_be_bytes(code.try_into().unwrap());
            assert!(wire.hear(LIMIT).await.closed);
            return Some((count, code, String::from_utf8_lossy(words).into_owned()));
        }
        assert!(answer.frames.iter().any(|frame| frame.kind == PING && frame.flags & ACK != 0), "{answer:?}");
    }
    None
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_given_up_and_one_that_does_is_not() {
    let etcd = Etcd::start();
    let sidecar = configured(&etcd, "grpc-keepalive-interval: 300ms, grpc-keepalive-timeout: 300ms");
    let alive = Channel::connect(&sidecar.url()).await.unwrap();
    let mut watching = watch(&alive, "a").await;
    let mut gone = Wire::http2(sidecar.addr(), &[]).await;
    let started = Instant::now();
    let heard = gone.hear(LIMIT).await;
    let took = started.elapsed();
    assert!(heard.closed && heard.frames.iter().any(|frame| frame.kind == PING), "{heard:?}");
    assert!(took > Duration::from_millis(550) && took < Duration::from_millis(1300), "{took:?}");
    becomes(&sidecar, "etcdlet_connections_ended_total{reason=\"keep-alive\"}", 1.0).await;
    let next = watching.next(Duration::from_secs(2)).await;
    assert!(matches!(next, Event::Silence), "{next:?}");
    assert!((metric(&sidecar, "etcdlet_connections_ended_total{reason=\"keep-alive\"}") - 1.0).abs() < 0.1);
}

#[tokio::test]
async fn a_connection_without_calls_is_told_to_go_and_one_with_calls_stays() {
    let etcd = Etcd::start();
    let sidecar = configured(&etcd, "h2-idle-timeout: 400ms");
    let (idle, busy) =
        (Channel::connect(&sidecar.url()).await.unwrap(), Channel::connect(&sidecar.url()).await.unwrap());
    let mut watching = watch(&busy, "a").await;
    // Each call begins the time anew.
    for _ in 0..4 {
        sleep(Duration::from_millis(200)).await;
        let answer = idle.unary("/etcdserverpb.KV/Range", HeaderMap::new(), b"\n\x01a").await;
        assert_eq!(answer.status().code, Some(0), "{answer:?}");
    }
    becomes(&sidecar, "etcdlet_connections_ended_total{reason=\"idle\"}", 1.0).await;
    let late = idle.unary("/etcdserverpb.KV/Range", HeaderMap::new(), b"\n\x01a").await;
    assert!(matches!(late.end, End::GoAway(h2::Reason::NO_ERROR) | End::Broken(_)), "{late:?}");
    becomes(&sidecar, "etcdlet_connections", 1.0).await;
    let next = watching.next(Duration::from_millis(500)).await;
    assert!(matches!(next, Event::Silence), "{next:?}");
}

fn configured(etcd: &Etcd, limits: &str) -> Sidecar {
    Sidecar::with_config(&format!(
        "
listen: [{{url: 'http://{{listen}}'}}]
upstream: {{endpoints: ['{}']}}
admin: {{url: 'http://{{admin}}'}}
limits: {{{limits}}}
",
        etcd.endpoint()
    ))
}

const LIMIT: Duration = Duration::from_secs(3);
