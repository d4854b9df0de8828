//! A member that takes its leave costs no call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::HeaderMap;
use tokio::time::sleep;

use super::{PUT, RANGE, WATCH, call, in_front};
use crate::support::grpc::{Channel, Event, PATIENCE, frame};
use crate::support::upstream::{Call, Upstream};

#[tokio::test]
async fn no_call_fails_while_the_member_closes_its_connections_gracefully_again_and_again() {
    let upstream = Upstream::start(|call: Call| async move {
        // Some calls are under way whenever a connection goes.
        sleep(Duration::from_millis(fastrand::u64(0..20))).await;
        call.answer(b"").await;
    });
    let (sidecar, _channel) = in_front(&upstream).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = Vec::new();
    for number in 0..8 {
        let (channel, stop) = (Channel::connect(&sidecar.url()).await.unwrap(), stop.clone());
        clients.push(tokio::spawn(async move {
            let mut calls = 0;
            while !stop.load(Ordering::Relaxed) {
                let path = if number % 2 == 0 { PUT } else { RANGE };
                let answer = call(&channel, path).await;
                assert_eq!(answer.status().code, Some(0), "call {calls} of client {number}: {answer:?}");
                calls += 1;
            }
            calls
        }));
    }
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(3) {
        sleep(Duration::from_millis(50)).await;
        upstream.go_away();
    }
    stop.store(true, Ordering::Relaxed);
    let mut calls = 0;
    for client in clients {
        calls += client.await.unwrap();
    }
    assert!(calls > 500, "{calls} calls only");
    assert!(upstream.connections_accepted() > 10, "{} connections only", upstream.connections_accepted());
}

#[tokio::test]
async fn a_call_under_way_outlives_the_goaway_of_its_connection() {
    let upstream = Upstream::start(|mut call: Call| async move {
        let mut answering = call.begin().expect("the call is alive");
        while let Some(Ok(data)) = call.request.body_mut().data().await {
            answering.send(data);
        }
        answering.send(frame(0, b"the end"));
        answering.finish(0, "");
    });
    let (_sidecar, channel) = in_front(&upstream).await;
    let mut watch = channel.stream(WATCH, HeaderMap::new()).await.unwrap();
    watch.send(b"before");
    assert!(matches!(watch.next(PATIENCE).await, Event::Message(_)));
    upstream.go_away();
    sleep(Duration::from_millis(100)).await;
    watch.send(b"after");
    let Event::Message(message) = watch.next(PATIENCE).await else { panic!("the watch ended by a GOAWAY") };
    assert_eq!(message.bytes, "after");
    // New calls find another connection at the same time.
    let accepted = upstream.connections_accepted();
    let mut second = channel.stream(WATCH, HeaderMap::new()).await.unwrap();
    second.half_close();
    assert_eq!(second.answer(PATIENCE).await.status().code, Some(0));
    assert!(upstream.connections_accepted() > accepted);
    watch.half_close();
    let answer = watch.answer(PATIENCE).await;
    assert_eq!((answer.status().code, answer.messages.len()), (Some(0), 1));
}
