//! The flags of keep-alives: how often clients may ping, and how they are pinged.

use std::process::Command;
use std::time::Duration;

use super::subject::{GRPC_PROXY_READY, LIMIT, Subject};
use crate::bad_input::wire::{PING, Wire};
use crate::listeners::pings::{Open, pinged};
use crate::support::etcd::Etcd;
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn who_pings_too_often_is_sent_away_as_by_etcd() {
    let etcd = Etcd::start();
    let endpoints = format!("--endpoints={}", etcd.addr());
    let line = [endpoints.as_str(), "--advertise-client-url=", "--grpc-keepalive-min-time=500ms"];
    let mut ends = Vec::new();
    for program in [&(|| etcd.release().program("etcd")) as &dyn Fn() -> Command, &Sidecar::command] {
        let subject = Subject::start(program, "grpc-proxy", &line, GRPC_PROXY_READY);
        let idle = pinged(subject.addr(), Duration::ZERO, Open::Nothing).await;
        let early = pinged(subject.addr(), Duration::from_millis(100), Open::Watch).await;
        let in_time = pinged(subject.addr(), Duration::from_millis(600), Open::Watch).await;
        assert!(idle.is_some() && early.is_some() && in_time.is_none(), "{idle:?} {early:?} {in_time:?}");
        ends.push((idle, early));
    }
    assert_eq!(ends[0], ends[1]);
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_given_up() {
    let etcd = Etcd::start();
    let endpoints = format!("--endpoints={}", etcd.addr());
    let line = [
        endpoints.as_str(),
        "--advertise-client-url=",
        "--grpc-keepalive-interval=1s",
        "--grpc-keepalive-timeout=1s",
    ];
    for program in [&(|| etcd.release().program("etcd")) as &dyn Fn() -> Command, &Sidecar::command] {
        let subject = Subject::start(program, "grpc-proxy", &line, GRPC_PROXY_READY);
        let heard = Wire::http2(subject.addr(), &[]).await.hear(LIMIT).await;
        assert!(heard.closed && heard.frames.iter().any(|frame| frame.kind == PING), "{heard:?}");
    }
}
