//! Headers beyond the limit.

use std::time::{Duration, Instant};

use super::subject::{MIB, PUT, RANGE, Subject, assert_answered, assert_no_panic};
use super::wire::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, Heard, Wire, block, call_headers, frame, whole_call,
};

#[tokio::test]
async fn too_many_bytes_of_headers_are_refused_with_431_and_others_go_on() {
    let subject = Subject::start().await;
    let mut wire = Wire::http2(subject.sidecar.addr(), &[]).await;
    let bystander = subject.channel().await;
    subject.forget_peak();
    // Seventeen values of 1 MiB: one above what etcd itself accepts.
    let value = "v".repeat(1 << 20);
    let headers = block(call_headers(PUT).into_iter().chain([("x-long", value.as_str()); 17]));
    for chunk in frames(1, &headers).chunks(1 << 20) {
        wire.send(chunk).await.expect("the headers are read to their end");
        assert_answered(&bystander, "while they are read").await;
    }
    assert_eq!(status(&mut wire, 1).await.as_deref(), Some("431"));
    // The same connection is still good.
    wire.send(&whole_call(3, RANGE, b"")).await.expect("the connection is open");
    let heard = wire.hear_until(LIMIT, |frame| frame.stream == 3 && frame.flags & END_STREAM != 0).await;
    assert!(heard.frames.iter().any(|frame| frame.stream == 3 && frame.kind == DATA), "{heard:?}");
    drop((wire, bystander));
    subject.assert_well("17 MiB of headers", 0, 64 * MIB).await;
}

#[tokio::test]
async fn headers_that_etcd_would_accept_do_not_hold_up_others() {
    let subject = Subject::start().await;
    let bystander = subject.channel().await;
    let mut wire = Wire::http2(subject.sidecar.addr(), &[]).await;
    let value = "v".repeat(1 << 20);
    let headers = block(call_headers(RANGE).into_iter().chain([("x-long", value.as_str()); 8]));
    let mut longest = Duration::ZERO;
    for chunk in frames(1, &headers).chunks(1 << 20) {
        wire.send(chunk).await.expect("the headers are read");
        let started = Instant::now();
        assert_answered(&bystander, "while they are read").await;
        longest = longest.max(started.elapsed());
    }
    wire.send(&frame(DATA, END_STREAM, 1, &[0; 5])).await.expect("the connection is open");
    for _ in 0..20 {
        let started = Instant::now();
        assert_answered(&bystander, "while they are passed on").await;
        longest = longest.max(started.elapsed());
    }
    let heard = wire.hear_until(LIMIT, |frame| frame.flags & END_STREAM != 0 && frame.stream == 1).await;
    println!("the longest call of others took {longest:?}");
    assert!(longest < Duration::from_secs(1), "others waited {longest:?}");
    assert!(!heard.closed, "{heard:?}");
    drop((wire, bystander));
    subject.assert_well("8 MiB of headers", 0, 48 * MIB).await;
}

#[tokio::test]
async fn as_many_names_as_a_map_can_hold_are_passed_on_or_refused() {
    let subject = Subject::start().await;
    // The map of headers holds 24,576 names; the sidecar adds one of its own.
    for names in [24_574, 24_575, 24_576, 24_577, 24_578, 40_000] {
        let bystander = subject.channel().await;
        let mut wire = Wire::http2(subject.sidecar.addr(), &[]).await;
        let call = call_headers(RANGE);
        let regular = call.iter().filter(|(name, _)| !name.starts_with(':')).count();
        let names: Vec<String> = (regular..names).map(|index| format!("x-{index}")).collect();
        let headers = block(call.into_iter().chain(names.iter().map(|name| (name.as_str(), "1"))));
        wire.send(&[frames(1, &headers), frame(DATA, END_STREAM, 1, &[0; 5])].concat())
            .await
            .expect("they are read");
        let answer = status(&mut wire, 1).await;
        let blow = format!("{} names", regular + names.len());
        assert_no_panic(&subject.sidecar, &blow);
        assert!(matches!(answer.as_deref(), Some("200" | "431")), "{blow}: {answer:?}");
        assert_answered(&bystander, &blow).await;
        drop((wire, bystander));
        subject.assert_well(&blow, 0, 32 * MIB).await;
    }
}

/// The `:status` of the answer on a stream; `None` if the stream ended otherwise.
async fn status(wire: &mut Wire, stream: u32) -> Option<String> {
    let heard: Heard =
        wire.hear_until(LIMIT, |frame| frame.stream == stream && frame.flags & END_STREAM != 0).await;
    let head = heard.frames.iter().find(|frame| frame.stream == stream && frame.kind == HEADERS)?;
    // It comes first: a static entry, or the static name with a value in Huffman code (RFC 7541, 6.1 and 6.2.1).
    match head.payload.as_slice() {
        [0x88, ..] => Some("200".to_owned()),
        [0x48, 0x83, 0x69, 0x90, 0xff, ..] => Some("431".to_owned()),
        other => Some(format!("{:x?}", &other[..other.len().min(16)])),
    }
}

/// A block of headers in frames of the largest size.
fn frames(stream: u32, block: &[u8]) -> Vec<u8> {
    let count = block.chunks(FRAME_SIZE).count();
    let frames = block.chunks(FRAME_SIZE).enumerate().map(|(index, chunk)| {
        let kind = if index == 0 { HEADERS } else { CONTINUATION };
        frame(kind, if index + 1 == count { END_HEADERS } else { 0 }, stream, chunk)
    });
    frames.collect::<Vec<_>>().concat()
}

const FRAME_SIZE: usize = 16_384;
const LIMIT: Duration = Duration::from_secs(5);
