//! Many at once.

use std::time::Duration;

use etcdlet::net::nofile;
use h2::Reason;
use http::HeaderMap;
use tokio::time::{Instant, sleep, timeout};

use super::length;
use super::subject::{KIB, MIB, PUT, Subject, WATCH, assert_answered};
use super::wire::{PREFACE, Wire, settings, whole_call};
use crate::support::grpc::{Channel, Event, metadata};
use crate::support::upstream::Upstream;

#[tokio::test]
async fn two_thousand_connections_are_served_at_once() {
    // Ten thousand are another test's, and both may run at once: the files of one process are limited.
    let connections = 2_000 * length().min(2);
    let subject = Subject::start().await;
    nofile::raise();
    let started = Instant::now();
    let mut open = Vec::with_capacity(connections);
    while open.len() < connections {
        // In batches below the listener's backlog.
        let batch: Vec<_> =
            (0..BATCH).map(|_| tokio::spawn(connect_and_call(subject.sidecar.url()))).collect();
        for channel in batch {
            open.push(channel.await.expect("the call is answered"));
        }
    }
    println!("{connections} connections with a call each took {:?}", started.elapsed());
    subject.wait_for("etcdlet_connections", connections as u64).await;
    for channel in open.iter().step_by(97) {
        assert_answered(channel, "an idle connection").await;
    }
    subject.assert_well("many connections", connections as u64, connections as u64 * 40 * KIB).await;
    drop(open);
    subject.assert_well("many connections closed", 0, connections as u64 * 40 * KIB).await;
}

#[tokio::test]
async fn clients_that_vanish_at_any_moment_leave_nothing_behind() {
    let subject = Subject::start().await;
    let bystander = subject.channel().await;
    let call = whole_call(1, PUT, b"value");
    let beginning = [PREFACE, &settings(&[])].concat();
    // Before its first byte, within the preface, within a request, and behind it.
    let moments =
        [Vec::new(), beginning[..9].to_vec(), [&beginning, &call[..60]].concat(), [beginning, call].concat()];
    for client in 0..2_000 * length() {
        let mut wire = Wire::connect(subject.sidecar.addr()).await;
        wire.send(&moments[client % moments.len()]).await.expect("a new connection takes a few bytes");
        if client % 3 == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        wire.vanish();
        if client % 100 == 0 {
            assert_answered(&bystander, "clients that vanish").await;
        }
    }
    drop(bystander);
    subject.assert_well("clients that vanish", 0, 8 * MIB).await;
}

#[tokio::test]
async fn ten_thousand_calls_that_give_up_after_a_millisecond_leave_nothing_behind() {
    // Slower than the clients have time.
    let upstream = Upstream::start(|mut call| async move {
        call.body().await;
        match call.path() {
            WATCH => std::future::pending().await,
            PUT => sleep(Duration::from_millis(20)).await,
            _ => {}
        }
        call.answer(b"").await;
    });
    let subject = Subject::before(upstream).await;
    subject.forget_peak();
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let channel = subject.channel().await;
        // It lives on the same connection, which must not end with the calls.
        let watch = channel.stream(WATCH, HeaderMap::new()).await.expect("a stream opens");
        clients.push((channel, watch));
    }
    for _ in 0..length() {
        let mut tasks = Vec::new();
        for (channel, _) in &clients {
            for _ in 0..AT_ONCE {
                let channel = channel.clone();
                tasks.push(tokio::spawn(async move {
                    for _ in 0..10_000 / CLIENTS / AT_ONCE {
                        give_up_after_a_millisecond(&channel).await;
                    }
                }));
            }
        }
        for task in tasks {
            task.await.expect("no client fails");
        }
        for (channel, watch) in &mut clients {
            assert_answered(channel, "calls given up").await;
            let event = watch.next(Duration::ZERO).await;
            assert!(matches!(event, Event::Silence), "a watch ended with the calls beside it: {event:?}");
        }
    }
    drop(clients);
    // Both sides of a reset call are remembered for a while, so that its late frames harm nobody.
    subject.assert_well("calls given up", 0, 80 * MIB).await;
    println!("{} calls reached the member", subject.upstream.calls());
}

async fn connect_and_call(url: String) -> Channel {
    let channel = Channel::connect(&url).await.expect("the sidecar accepts");
    timeout(Duration::from_secs(10), assert_answered(&channel, "many connections"))
        .await
        .expect("a call is answered");
    channel
}

async fn give_up_after_a_millisecond(channel: &Channel) {
    let timeout = metadata(&[("grpc-timeout", "1m")]);
    let mut stream = channel.stream(PUT, timeout).await.expect("the connection lives");
    stream.send(b"");
    stream.half_close();
    stream.next(Duration::from_millis(1)).await;
    stream.reset(Reason::CANCEL);
}

const BATCH: usize = 100;
const CLIENTS: usize = 10;
const AT_ONCE: usize = 50;
