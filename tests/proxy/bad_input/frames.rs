//! HTTP/2 that breaks its rules (RFC 9113) costs the connection, or the stream, that breaks them.

use std::time::Duration;

use super::subject::{KIB, PUT, RANGE, Subject, assert_answered};
use super::wire::{
    ACK, CONTINUATION, DATA, DEFAULT_WINDOW, ENABLE_PUSH, END_HEADERS, END_STREAM, GO_AWAY, HEADERS, Heard,
    INITIAL_WINDOW_SIZE, LARGEST, MAX_FRAME_SIZE, PADDED, PING, PREFACE, PRIORITY, PUSH_PROMISE, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, Wire, block, call_headers, frame, frame_of_length, open_call, rst_stream,
    settings, whole_call, window_update,
};

#[tokio::test]
async fn malformed_http2_ends_its_own_connection_by_the_rules_and_no_other() {
    let subject = Subject::start().await;
    let bystander = subject.channel().await;
    let mut wrong = Vec::new();
    for (name, bytes, expected) in
        [preface(), bad_settings(), stream_ids(), lengths(), order(), compression(), windows()].concat()
    {
        let mut wire = Wire::connect(subject.sidecar.addr()).await;
        // An early end of the connection shows in what is heard.
        drop(wire.send(&bytes).await);
        let heard = wire.hear(HEARING_LIMIT).await;
        let end = heard.closed.then(|| heard.go_away());
        // Where the rules have a closer word, PROTOCOL_ERROR says the same to a client.
        if end != Some(Some(expected)) && end != Some(Some(PROTOCOL_ERROR)) {
            wrong.push(format!("{name}: expected GOAWAY {expected} and the end, got {end:?}"));
        }
        assert_answered(&bystander, name).await;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    subject.assert_well("malformed HTTP/2", 1, 4096 * KIB).await;
}

#[tokio::test]
async fn a_malformed_call_is_reset_and_its_connection_goes_on() {
    let subject = Subject::start().await;
    let mut wrong = Vec::new();
    for (name, bytes, expected) in malformed_calls() {
        let mut wire = Wire::http2(subject.sidecar.addr(), &[]).await;
        drop(wire.send(&bytes).await);
        drop(wire.send(&whole_call(5, RANGE, b"")).await);
        let heard =
            wire.hear_until(HEARING_LIMIT, |frame| frame.stream == 5 && frame.flags & END_STREAM != 0).await;
        let answered = heard.frames.iter().any(|frame| frame.stream == 5 && frame.kind == DATA);
        if !answered || heard.reset_of(3) != Some(expected) {
            wrong.push(format!(
                "{name}: expected the reset {expected} and an answer on the next stream, got {heard:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    subject.assert_well("malformed calls", 0, 4096 * KIB).await;
}

#[tokio::test]
async fn what_http2_tells_a_server_to_ignore_is_ignored() {
    let subject = Subject::start().await;
    for (name, bytes) in ignored() {
        let mut wire = Wire::http2(subject.sidecar.addr(), &[]).await;
        wire.send(&[bytes, whole_call(9, RANGE, b"")].concat()).await.expect(name);
        let heard =
            wire.hear_until(HEARING_LIMIT, |frame| frame.stream == 9 && frame.flags & END_STREAM != 0).await;
        assert!(is_answered(&heard, 9), "{name}: {heard:?}");
    }
    subject.assert_well("ignored frames", 0, 4096 * KIB).await;
}

#[tokio::test]
async fn a_client_that_stalls_within_its_first_bytes_is_closed_when_the_handshake_time_is_up() {
    let subject = Subject::start().await;
    let before = subject.metric(TIMEOUTS);
    let beginnings: [&[u8]; 4] = [b"", b"P", b"PRI * HT", &PREFACE[..23]];
    for beginning in beginnings {
        let mut wire = Wire::connect(subject.sidecar.addr()).await;
        wire.send(beginning).await.expect("a new connection takes a few bytes");
        let started = tokio::time::Instant::now();
        let (_, closed) = wire.hear_text(Duration::from_secs(3)).await;
        let name = String::from_utf8_lossy(beginning).into_owned();
        assert!(closed, "{name:?}: still open");
        let after = started.elapsed();
        assert!(
            after > Duration::from_millis(800) && after < Duration::from_secs(2),
            "{name:?}: after {after:?}"
        );
    }
    assert_eq!(subject.metric(TIMEOUTS), before + beginnings.len() as u64);
    subject.assert_well("partial prefaces", 0, 1024 * KIB).await;
}

type Case = (&'static str, Vec<u8>, u32);

fn preface() -> Vec<Case> {
    vec![
        ("garbage after the preface", [PREFACE, &[0xff; 64]].concat(), FRAME_SIZE_ERROR),
        ("text after the preface", [PREFACE, b"GET / HTTP/1.1\r\n\r\n"].concat(), FRAME_SIZE_ERROR),
    ]
}

fn bad_settings() -> Vec<Case> {
    let with = |name, id, value, code| (name, [PREFACE.to_vec(), settings(&[(id, value)])].concat(), code);
    vec![
        with("ENABLE_PUSH of 2", ENABLE_PUSH, 2, PROTOCOL_ERROR),
        with("a window of 2^31", INITIAL_WINDOW_SIZE, LARGEST + 1, FLOW_CONTROL_ERROR),
        with("frames below the least size", MAX_FRAME_SIZE, 16_383, PROTOCOL_ERROR),
        with("frames above the largest size", MAX_FRAME_SIZE, 1 << 24, PROTOCOL_ERROR),
        after("settings on a stream", &frame(SETTINGS, 0, 1, &[]), PROTOCOL_ERROR),
        after("settings of five bytes", &frame(SETTINGS, 0, 0, &[0; 5]), FRAME_SIZE_ERROR),
        after("an acknowledgement with settings in it", &frame(SETTINGS, ACK, 0, &[0; 6]), FRAME_SIZE_ERROR),
        after("acknowledged too often", &frame(SETTINGS, ACK, 0, &[]).repeat(3), PROTOCOL_ERROR),
    ]
}

fn stream_ids() -> Vec<Case> {
    vec![
        after("a call on stream 0", &open_call(0, PUT), PROTOCOL_ERROR),
        after("a call on an even stream", &open_call(2, PUT), PROTOCOL_ERROR),
        after("a call on a lower stream", &[open_call(7, PUT), open_call(5, PUT)].concat(), PROTOCOL_ERROR),
        after("data on stream 0", &frame(DATA, 0, 0, b"data"), PROTOCOL_ERROR),
        after("data on an idle stream", &frame(DATA, 0, 1, b"data"), PROTOCOL_ERROR),
        after("a reset of stream 0", &rst_stream(0, 8), PROTOCOL_ERROR),
        after("a reset of an idle stream", &rst_stream(1, 8), PROTOCOL_ERROR),
        after("a window for an idle stream", &window_update(1, 1), PROTOCOL_ERROR),
        after("a ping on a stream", &frame(PING, 0, 1, &[0; 8]), PROTOCOL_ERROR),
        after("a push by a client", &frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]), PROTOCOL_ERROR),
    ]
}

fn lengths() -> Vec<Case> {
    let open = open_call(1, PUT);
    vec![
        after("a frame above the size allowed", &frame(PING, 0, 0, &[0; 16_385]), FRAME_SIZE_ERROR),
        after("a length of 16 MiB", &frame_of_length((1 << 24) - 1, DATA, 0, 1, b""), FRAME_SIZE_ERROR),
        after(
            "a reset of three bytes",
            &[&open[..], &frame(RST_STREAM, 0, 1, &[0; 3])].concat(),
            FRAME_SIZE_ERROR,
        ),
        after("a ping of seven bytes", &frame(PING, 0, 0, &[0; 7]), FRAME_SIZE_ERROR),
        after("a window of three bytes", &frame(WINDOW_UPDATE, 0, 0, &[0; 3]), FRAME_SIZE_ERROR),
        after("a farewell of seven bytes", &frame(GO_AWAY, 0, 0, &[0; 7]), FRAME_SIZE_ERROR),
        after(
            "padding longer than its frame",
            &[&open[..], &frame(DATA, PADDED, 1, &[9, 1])].concat(),
            PROTOCOL_ERROR,
        ),
    ]
}

fn order() -> Vec<Case> {
    let begun = frame(HEADERS, 0, 1, &block(call_headers(PUT)));
    let cut = |name, bytes: &[u8], code| after(name, &[&begun[..], bytes].concat(), code);
    vec![
        after("more headers without any", &frame(CONTINUATION, END_HEADERS, 1, &[]), PROTOCOL_ERROR),
        cut("a ping between headers", &frame(PING, 0, 0, &[0; 8]), PROTOCOL_ERROR),
        cut("data between headers", &frame(DATA, 0, 1, b"data"), PROTOCOL_ERROR),
        cut("more headers of another stream", &frame(CONTINUATION, END_HEADERS, 3, &[]), PROTOCOL_ERROR),
    ]
}

fn compression() -> Vec<Case> {
    let with = |name, block: &[u8]| after(name, &frame(HEADERS, END_HEADERS, 1, block), COMPRESSION_ERROR);
    vec![
        with("the header of index 0", &[0x80]),
        with("a header beyond the table", &[0xff, 0x80, 0x01]),
        with("an index without end", &[0xff; 64]),
        with("a string cut short", &[0x00, 0x05, b'a']),
        with("a broken Huffman code", &[0x00, 0x84, 0xff, 0xff, 0xff, 0xff, 0x01, b'a']),
        with("a table larger than allowed", &[0x3f, 0xe1, 0xff, 0x03]),
    ]
}

fn windows() -> Vec<Case> {
    vec![
        after("no more window", &window_update(0, 0), PROTOCOL_ERROR),
        after("too large a window", &window_update(0, LARGEST), FLOW_CONTROL_ERROR),
        // By the rules these three could cost the stream alone.
        after(
            "no more window for a call",
            &[open_call(1, PUT), window_update(1, 0)].concat(),
            PROTOCOL_ERROR,
        ),
        after(
            "a name in capitals",
            &frame(HEADERS, END_HEADERS, 1, &block([("X-Name", "1")])),
            PROTOCOL_ERROR,
        ),
        after(
            "an unknown pseudo-header",
            &frame(HEADERS, END_HEADERS, 1, &block([(":name", "1")])),
            PROTOCOL_ERROR,
        ),
    ]
}

fn malformed_calls() -> Vec<(&'static str, Vec<u8>, u32)> {
    let with = |name, headers: &[(&str, &str)]| {
        (name, frame(HEADERS, END_HEADERS, 3, &block(headers.iter().copied())), PROTOCOL_ERROR)
    };
    let call = call_headers(PUT);
    let and = |name, header: (&'static str, &'static str)| with(name, &[&call[..], &[header]].concat());
    let open = |bytes: Vec<u8>| [open_call(3, PUT), bytes].concat();
    vec![
        and("a pseudo-header behind others", (":path", "/")),
        and("a header of connections", ("connection", "close")),
        and("a transfer encoding", ("transfer-encoding", "chunked")),
        and("te that is not trailers", ("te", "gzip")),
        with("no path", &[&call[..2], &call[3..]].concat()),
        with("no method", &call[1..]),
        with("two methods", &[&call[..1], &call[..]].concat()),
        with("a status", &[&[(":status", "200")], &call[..]].concat()),
        ("too large a window", open(window_update(3, LARGEST)), FLOW_CONTROL_ERROR),
        (
            "trailers that are not the end",
            open(frame(HEADERS, END_HEADERS, 3, &block([("a", "b")]))),
            PROTOCOL_ERROR,
        ),
        (
            "more data than the length given",
            [
                frame(HEADERS, END_HEADERS, 3, &block(call.into_iter().chain([("content-length", "3")]))),
                frame(DATA, 0, 3, b"data"),
            ]
            .concat(),
            PROTOCOL_ERROR,
        ),
    ]
}

fn ignored() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("frames of an unknown type", frame(0x77, 0xff, 1, b"whatever")),
        ("unknown settings", settings(&[(0x77, 5), (0xff, 0)])),
        ("the least window", settings(&[(INITIAL_WINDOW_SIZE, DEFAULT_WINDOW)])),
        ("a priority of an idle stream", frame(PRIORITY, 0, 5, &[0, 0, 0, 1, 7])),
        ("a reset of a call that ended", [open_call(3, PUT), rst_stream(3, 8), rst_stream(3, 8)].concat()),
        (
            "a window for a call that ended",
            [open_call(3, PUT), rst_stream(3, 8), window_update(3, 1)].concat(),
        ),
        ("unknown flags", frame(PING, 0xfe, 0, &[0; 8])),
        ("a padded frame without data", [open_call(3, PUT), frame(DATA, PADDED, 3, &[3, 0, 0, 0])].concat()),
    ]
}

/// Bytes behind a good beginning.
fn after(name: &'static str, bytes: &[u8], code: u32) -> Case {
    (name, [PREFACE.to_vec(), settings(&[]), bytes.to_vec()].concat(), code)
}

fn is_answered(heard: &Heard, stream: u32) -> bool {
    heard.frames.iter().any(|frame| frame.stream == stream && frame.kind == DATA)
}

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const FRAME_SIZE_ERROR: u32 = 6;
const COMPRESSION_ERROR: u32 = 9;

const HEARING_LIMIT: Duration = Duration::from_secs(2);
const TIMEOUTS: &str = "etcdlet_connections_refused_total{reason=\"timeout\"}";
