//! A member that takes its leave costs no call.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use h2::Reason;
use http::HeaderMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use super::{PUT, RANGE, WATCH, call, in_front, lost};
use crate::observability::metric;
use crate::support::grpc::{Channel, Event, PATIENCE, frame};
use crate::support::sidecar::Sidecar;
use crate::support::upstream::{Call, Upstream};

/// The acknowledgement of the first GOAWAY can overtake the headers of a call that was just opened, and the second
/// GOAWAY then leaves that call out. It is told so, and sent again on another connection.
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
    for number in 0..8_u8 {
        let (channel, stop) = (Channel::connect(&sidecar.url()).await.unwrap(), stop.clone());
        clients.push(tokio::spawn(async move {
            let mut calls = 0;
            while !stop.load(Ordering::Relaxed) {
                let path = if number % 2 == 0 { PUT } else { RANGE };
                // Each for itself: equal reads would share calls.
                let answer = channel.unary(path, HeaderMap::new(), &[b'\n', 1, b'a' + number]).await;
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
    assert_eq!(upstream.calls(), calls, "a call that was answered was sent again");
    assert!(upstream.connections_accepted() > 10, "{} connections only", upstream.connections_accepted());
    let refused = retries(&sidecar, "refused");
    println!("{refused} of {calls} calls were refused and sent again");
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

/// Calls behind the last one that a GOAWAY names were not processed (RFC 9113, section 6.8).
#[tokio::test]
async fn a_call_that_a_goaway_declares_unprocessed_is_sent_again_on_another_connection() {
    let upstream = Upstream::start(|call: Call| async move { call.answer(b"").await });
    let url = first_goes_away(&upstream, 0, Reason::NO_ERROR, After::Stays).await;
    let sidecar = Sidecar::passing(&[url]);
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    assert_eq!(call(&channel, PUT).await.status().code, Some(0));
    assert_eq!(upstream.calls(), 1);
    for _ in 0..10 {
        assert_eq!(call(&channel, PUT).await.status().code, Some(0));
    }
}

/// As long as all that its client has sent is still there to be sent again.
#[tokio::test]
async fn a_stream_that_a_goaway_declares_unprocessed_is_opened_again_from_its_beginning() {
    let upstream = Upstream::start(|mut call: Call| async move {
        let mut answering = call.begin().expect("the call is alive");
        while let Some(Ok(data)) = call.request.body_mut().data().await {
            answering.send(data);
        }
        answering.finish(0, "");
    });
    let url = first_goes_away(&upstream, 0, Reason::NO_ERROR, After::Stays).await;
    let sidecar = Sidecar::passing(&[url]);
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    let mut watch = channel.stream(WATCH, HeaderMap::new()).await.unwrap();
    for sent in ["first", "second"] {
        watch.send(sent.as_bytes());
        let Event::Message(message) = watch.next(PATIENCE).await else { panic!("{sent} is lost") };
        assert_eq!(message.bytes, sent);
    }
    watch.half_close();
    assert_eq!(watch.answer(PATIENCE).await.status().code, Some(0));
    assert_eq!((upstream.calls(), retries(&sidecar, "refused")), (1, 1.0));
}

/// As etcd says to one that it takes for a nuisance, whatever it has processed by then.
#[tokio::test]
async fn a_call_that_a_goaway_covers_is_of_unknown_outcome_when_its_connection_ends() {
    const EVERY_STREAM: u32 = (1 << 31) - 1;
    for (last, reason) in [
        (1, Reason::ENHANCE_YOUR_CALM),
        (EVERY_STREAM, Reason::ENHANCE_YOUR_CALM),
        (1, Reason::NO_ERROR),
        (EVERY_STREAM, Reason::NO_ERROR),
        (1, Reason::INTERNAL_ERROR),
    ] {
        let upstream = Upstream::start(|call: Call| async move { call.answer(b"").await });
        let url = first_goes_away(&upstream, last, reason, After::Leaves).await;
        let sidecar = Sidecar::passing(&[url]);
        let channel = Channel::connect(&sidecar.url()).await.unwrap();
        assert_eq!(call(&channel, PUT).await.status(), lost(PUT), "{reason:?}, last stream {last}");
        assert_eq!(call(&channel, PUT).await.status().code, Some(0), "{reason:?}, last stream {last}");
        assert_eq!(upstream.calls(), 1, "a call was sent again");
    }
}

fn retries(sidecar: &Sidecar, reason: &str) -> f64 {
    metric(sidecar, &format!("etcdlet_retries_total{{reason=\"{reason}\"}}"))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    Leaves,
    Stays,
}

/// The URL of a member that ends by a GOAWAY the first connection on which a call comes, instead of answering it.
/// Everything else leads to `upstream`, the probes too.
async fn first_goes_away(upstream: &Upstream, last: u32, reason: Reason, after: After) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port is free");
    let (address, member) = (listener.local_addr().expect("a listener has an address"), upstream.addr());
    let gone = Arc::new(AtomicBool::new(false));
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let far = TcpStream::connect(member).await.expect("the member accepts");
            tokio::spawn(relay(near, far, gone.clone(), (last, reason), after));
        }
    });
    format!("http://{address}")
}

async fn relay(
    mut near: TcpStream,
    mut far: TcpStream,
    gone: Arc<AtomicBool>,
    (last, reason): (u32, Reason),
    after: After,
) -> io::Result<()> {
    const GOAWAY: &[u8] = b"\0\0\x08\x07\0\0\0\0\0";
    let (mut sent, mut passed, mut answered) = (Vec::new(), 0, Vec::new());
    loop {
        let length = tokio::select! {
            length = near.read_buf(&mut sent) => length?,
            length = far.read_buf(&mut answered) => length?,
        };
        if length == 0 {
            return Ok(());
        }
        near.write_all(&std::mem::take(&mut answered)).await?;
        let (before, block) = first_headers(&sent);
        far.write_all(&sent[passed..before]).await?;
        passed = before;
        let Some(block) = block else { continue };
        let is_probe = block.windows(PROBE_AGENT.len()).any(|bytes| bytes == PROBE_AGENT);
        if !is_probe && !gone.swap(true, Ordering::SeqCst) {
            break;
        }
        far.write_all(&sent[passed..]).await?;
        return tokio::io::copy_bidirectional(&mut near, &mut far).await.map(drop);
    }
    near.write_all(&[GOAWAY, &last.to_be_bytes(), &u32::from(reason).to_be_bytes()].concat()).await?;
    if after == After::Leaves {
        return near.shutdown().await;
    }
    // Open until the other side has gone.
    near.read_to_end(&mut Vec::new()).await.map(drop)
}

/// How many bytes of a client's whole frames stand before its first HEADERS, and the block of these, once they are whole.
fn first_headers(sent: &[u8]) -> (usize, Option<&[u8]>) {
    const PREFACE: usize = 24;
    const HEAD: usize = 9;
    const HEADERS: u8 = 1;
    let mut at = PREFACE;
    while let Some(head) = sent.get(at..at + HEAD) {
        let end = at + HEAD + u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        match sent.get(at + HEAD..end) {
            block if head[3] == HEADERS => return (at, block),
            Some(_) => at = end,
            None => break,
        }
    }
    (if sent.len() < at { 0 } else { at }, None)
}

/// How the name of a prober begins, in the Huffman code of HPACK (RFC 7541, appendix B): `etcdlet-prob`.
const PROBE_AGENT: &[u8] = &[0x2a, 0x49, 0x25, 0x05, 0x4a, 0xd5, 0xd8, 0x78, 0xca];
