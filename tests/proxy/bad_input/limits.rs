//! The configured limits hold, and who is within them notices nothing.

use std::time::Duration;

use super::subject::{RANGE, Subject, WATCH, assert_answered};
use super::wire::{DATA, END_STREAM, Wire, open_call, whole_call};
use crate::support::upstream::Upstream;

#[tokio::test]
async fn connections_over_the_limit_are_closed_at_once_and_counted() {
    let upstream = Upstream::start(|call| call.answer(b""));
    let subject = Subject::with_limits(upstream, "connections: 3").await;
    let mut within = Vec::new();
    for _ in 0..3 {
        let channel = subject.channel().await;
        assert_answered(&channel, "within the limit").await;
        within.push(channel);
    }
    let before = subject.metric(REFUSED);
    for _ in 0..20 {
        let mut over = Wire::connect(subject.sidecar.addr()).await;
        let (text, closed) = over.hear_text(Duration::from_millis(500)).await;
        assert!(closed && text.is_empty(), "{closed} {text:?}");
        for channel in &within {
            assert_answered(channel, "others over the limit").await;
        }
    }
    assert_eq!(subject.metric(REFUSED), before + 20);
    assert_eq!(subject.metric("etcdlet_connections"), 3);
    // One that leaves makes room.
    within.pop();
    subject.wait_for("etcdlet_connections", 2).await;
    assert_answered(&subject.channel().await, "room again").await;
}

#[tokio::test]
async fn streams_over_the_limit_are_refused_and_the_others_go_on() {
    let upstream = Upstream::start(|mut call| async move {
        if call.path() == WATCH {
            call.body().await;
        }
        call.answer(b"").await;
    });
    let subject = Subject::passing(upstream, "streams-per-connection: 5").await;
    let mut wire = Wire::http2(subject.sidecar.addr(), &[]).await;
    let open: Vec<u8> = (0..5).flat_map(|call| open_call(2 * call + 1, WATCH)).collect();
    wire.send(&open).await.expect("the connection is open");
    subject.wait_for("etcdlet_streams", 5).await;
    wire.send(&whole_call(11, RANGE, b"")).await.expect("the connection is open");
    let heard = wire.hear_until(LIMIT, |frame| frame.stream == 11).await;
    assert_eq!(heard.reset_of(11), Some(REFUSED_STREAM), "{heard:?}");
    // The first ends, and its place is free.
    wire.send(&super::wire::frame(DATA, END_STREAM, 1, b"")).await.expect("the connection is open");
    let heard = wire.hear_until(LIMIT, |frame| frame.stream == 1 && frame.flags & END_STREAM != 0).await;
    assert!(!heard.closed, "{heard:?}");
    wire.send(&whole_call(13, RANGE, b"")).await.expect("the connection is open");
    let heard = wire.hear_until(LIMIT, |frame| frame.stream == 13 && frame.flags & END_STREAM != 0).await;
    assert!(heard.frames.iter().any(|frame| frame.stream == 13 && frame.kind == DATA), "{heard:?}");
    assert_eq!(subject.metric("etcdlet_streams"), 4);
    drop(wire);
    subject.assert_well("too many streams", 0, 4 << 20).await;
}

const LIMIT: Duration = Duration::from_secs(2);
const REFUSED: &str = "etcdlet_connections_refused_total{reason=\"limit\"}";
const REFUSED_STREAM: u32 = 7;
