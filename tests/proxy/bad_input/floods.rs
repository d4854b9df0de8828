//! Floods: many frames that are cheap to send and meant to be dear to receive. They end at a limit or at the
//! sender's own pace, in bounded memory, while others are served.

use std::time::Duration;

use super::length;
use super::subject::{MIB, PUT, RANGE, Subject, WATCH, assert_answered, assert_well, settle};
use super::wire::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, LARGEST, PING, PRIORITY, SETTINGS, Wire, block,
    call_headers, frame, open_call, rst_stream, settings, whole_call, window_update,
};
use crate::support::upstream::Upstream;

/// What stops a flood.
enum End {
    /// A GOAWAY with `ENHANCE_YOUR_CALM`, or the end of the connection by which it is overtaken.
    Closed,
    /// Either, at a limit of the sidecar's own choice.
    Any,
    /// Nothing but the sidecar's speed: the frames are allowed, or cost only the stream that they are on.
    Open,
}

struct Flood {
    name: &'static str,
    /// Sent first.
    opening: Vec<u8>,
    /// Sent again and again; the number counts the repetitions.
    wave: Box<dyn Fn(u32) -> Vec<u8>>,
    waves: u32,
    end: End,
    growth_max: u64,
}

#[tokio::test]
async fn a_flood_of_frames_costs_little_memory_and_nobody_elses_calls() {
    let mut wrong = Vec::new();
    for flood in floods() {
        // A client that reads nothing of what it causes, too: its answers must not pile up.
        for reads in [true, false] {
            let name = format!("{}, {}", flood.name, if reads { "answers read" } else { "answers not read" });
            let subject = Subject::start().await;
            let bystander = subject.channel().await;
            let closed = send(&subject, &flood, reads, &name, &bystander).await;
            let growth = subject.growth();
            println!("{name}: memory grew by {} KiB, closed: {closed}", growth >> 10);
            if growth > flood.growth_max {
                wrong
                    .push(format!("{name}: memory grew by {growth} bytes, allowed are {}", flood.growth_max));
            }
            match flood.end {
                End::Closed if !closed => wrong.push(format!("{name}: nothing stops it")),
                End::Open if closed && reads => wrong.push(format!("{name}: the connection was closed")),
                End::Any | End::Closed | End::Open => {}
            }
            drop(bystander);
            assert_well(&subject.sidecar, &name).await;
            settle(&subject.sidecar, &name, 0).await;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_client_that_cancels_many_calls_at_once_keeps_its_connection() {
    let subject = Subject::start().await;
    let mut wire = Wire::http2(subject.sidecar.addr(), &[]).await;
    // A controller whose context ends cancels all its calls in one write; etcd itself takes any number.
    let burst: Vec<u8> = (0..500)
        .flat_map(|call| [whole_call(2 * call + 1, RANGE, b""), rst_stream(2 * call + 1, CANCEL)].concat())
        .collect();
    wire.send(&[burst, whole_call(1001, RANGE, b"")].concat()).await.expect("the connection is open");
    let heard = wire
        .hear_until(Duration::from_secs(2), |frame| frame.stream == 1001 && frame.flags & END_STREAM != 0)
        .await;
    assert_eq!((heard.go_away(), heard.closed), (None, false), "500 cancelled calls end the connection");
    drop(wire);
    subject.assert_well("cancelled calls", 0, 16 * MIB).await;
}

#[tokio::test]
async fn empty_frames_in_many_requests_end_no_connection_to_the_member() {
    let subject = Subject::passing(Upstream::start(|call| call.answer(b"")), "").await;
    // One empty frame in each of many requests, as some libraries send it: they share a connection to the member,
    // where a limit on empty frames counts all of them together.
    for _ in 0..3 {
        let mut wire = Wire::http2(subject.sidecar.addr(), &[]).await;
        let streams = (0..80u32).map(|call| 2 * call + 1);
        let begin: Vec<u8> = streams
            .clone()
            .flat_map(|stream| [open_call(stream, WATCH), frame(DATA, 0, stream, b"")].concat())
            .collect();
        wire.send(&begin).await.expect("the connection is open");
        subject.wait_for("etcdlet_upstream_streams", 80).await;
        let end: Vec<u8> = streams.flat_map(|stream| frame(DATA, END_STREAM, stream, b"")).collect();
        wire.send(&end).await.expect("the connection is open");
        let heard = wire
            .hear_until(Duration::from_secs(2), |frame| frame.stream == 159 && frame.flags & END_STREAM != 0)
            .await;
        let answered = heard.frames.iter().filter(|frame| frame.kind == DATA).count();
        assert_eq!((answered, heard.closed), (80, false));
    }
    assert!(subject.upstream.connections_accepted() <= 2, "empty frames ended connections to the member");
    subject.assert_well("empty frames", 0, 16 * MIB).await;
}

/// Sends a flood; returns whether the sidecar closed the connection.
async fn send(
    subject: &Subject,
    flood: &Flood,
    reads: bool,
    name: &str,
    bystander: &crate::support::grpc::Channel,
) -> bool {
    let mut wire = Wire::http2(subject.sidecar.addr(), &[]).await;
    let mut failed = wire.send(&flood.opening).await.is_err();
    let waves = flood.waves * length() as u32;
    let mut first = 0;
    while first < waves && !failed {
        let chunk: Vec<u8> = (first..waves.min(first + WAVES_A_WRITE)).flat_map(&flood.wave).collect();
        failed = wire.send(&chunk).await.is_err();
        first += WAVES_A_WRITE;
        if reads {
            failed |= wire.hear(Duration::ZERO).await.closed;
        }
        assert_answered(bystander, name).await;
    }
    let heard = wire.hear(Duration::from_millis(if failed { 10 } else { 300 })).await;
    if let Some(code) = heard.go_away() {
        assert!([PROTOCOL_ERROR, ENHANCE_YOUR_CALM].contains(&code), "{name}: GOAWAY {code}");
    }
    // A flood that does not read may also be held back by the kernel's buffers: then it only waits.
    heard.closed
}

fn floods() -> Vec<Flood> {
    let call = || block(call_headers(PUT));
    let flood = |name, opening, wave: fn(u32) -> Vec<u8>, waves, end, growth_max| Flood {
        name,
        opening,
        wave: Box::new(wave),
        waves,
        end,
        growth_max,
    };
    vec![
        // Their headers may be 16 MiB long, as etcd's own; what they are decoded to comes on top.
        flood(
            "headers without end",
            frame(HEADERS, 0, 1, &call()),
            continuation,
            2_000,
            End::Closed,
            48 * MIB,
        ),
        flood(
            "empty headers without end",
            frame(HEADERS, 0, 1, &call()),
            no_continuation,
            20_000,
            End::Closed,
            8 * MIB,
        ),
        flood("a header of 4 kB again and again", Vec::new(), bomb, 20, End::Open, 48 * MIB),
        flood("calls that are reset at once", Vec::new(), reset_call, 10_000, End::Any, 16 * MIB),
        // Each is reset, and the resets are sent only as the client reads them.
        flood("malformed calls", Vec::new(), malformed_call, 100_000, End::Open, 64 * MIB),
        flood("too large windows for open calls", Vec::new(), large_window, 100_000, End::Open, 64 * MIB),
        flood("empty data", open_call(1, WATCH), |_| frame(DATA, 0, 1, b""), 10_000, End::Closed, 8 * MIB),
        flood(
            "data of one byte",
            open_call(1, PUT),
            |_| frame(DATA, 0, 1, b"\0"),
            50_000,
            End::Open,
            16 * MIB,
        ),
        flood("pings", Vec::new(), |_| frame(PING, 0, 0, &[7; 8]), 100_000, End::Closed, 8 * MIB),
        flood("settings", Vec::new(), |wave| settings(&[(4, wave)]), 50_000, End::Open, 8 * MIB),
        flood("windows", Vec::new(), |_| window_update(0, 1), 100_000, End::Open, 4 * MIB),
        flood(
            "priorities",
            Vec::new(),
            |wave| frame(PRIORITY, 0, 2 * wave + 1, &[0, 0, 0, 0, 1]),
            50_000,
            End::Open,
            4 * MIB,
        ),
        flood(
            "frames of unknown types",
            Vec::new(),
            |_| frame(0x99, 0, 0, b"unknown"),
            100_000,
            End::Open,
            4 * MIB,
        ),
        flood("acknowledgements", Vec::new(), |_| frame(SETTINGS, 1, 0, b""), 1_000, End::Closed, 4 * MIB),
    ]
}

fn continuation(_: u32) -> Vec<u8> {
    let value = "v".repeat(16_000);
    frame(CONTINUATION, 0, 1, &block([("x-long", value.as_str())]))
}

fn no_continuation(_: u32) -> Vec<u8> {
    frame(CONTINUATION, 0, 1, b"")
}

/// One long header into the dynamic table, then sixteen thousand references to it, a byte each.
fn bomb(wave: u32) -> Vec<u8> {
    let value = "v".repeat(4_000);
    let mut long = block([("x-bomb", value.as_str())]);
    // Literal with indexing (RFC 7541, 6.2.1).
    long[0] = 0x40;
    let calls = [block(call_headers(PUT)), long].concat();
    let stream = 2 * wave + 1;
    [frame(HEADERS, 0, stream, &calls), frame(CONTINUATION, END_HEADERS, stream, &[0xbe; 16_000])].concat()
}

fn reset_call(wave: u32) -> Vec<u8> {
    [open_call(2 * wave + 1, PUT), rst_stream(2 * wave + 1, CANCEL)].concat()
}

fn malformed_call(wave: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, 2 * wave + 1, &block([(":method", "POST")]))
}

fn large_window(wave: u32) -> Vec<u8> {
    [open_call(2 * wave + 1, PUT), window_update(2 * wave + 1, LARGEST)].concat()
}

const CANCEL: u32 = 8;
const PROTOCOL_ERROR: u32 = 1;
const ENHANCE_YOUR_CALM: u32 = 11;
const WAVES_A_WRITE: u32 = 1_000;
