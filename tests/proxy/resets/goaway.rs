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
use crate::support::grpc::{Channel, Event, PATIENCE, frame};
use crate::support::sidecar::Sidecar;
use crate::support::upstream::{Call, Upstream};

/// The acknowledgement of the first GOAWAY can overtake the headers of a call that was just opened, and the second
/// GOAWAY then leaves that call out. It is told so, and nothing else ever happens.
#[tokio::test]
async fn no_outcome_is_unknown_while_the_member_closes_its_connections_gracefully_again_and_again() {
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
            let (mut calls, mut refused) = (0, 0);
            while !stop.load(Ordering::Relaxed) {
                let path = if number % 2 == 0 { PUT } else { RANGE };
                let answer = call(&channel, path).await;
                let status = answer.status();
                if status.message == "etcdlet: the member refused the call, not processed" {
                    refused += 1;
                } else {
                    assert_eq!(status.code, Some(0), "call {calls} of client {number}: {answer:?}");
                }
                calls += 1;
            }
            (calls, refused)
        }));
    }
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(3) {
        sleep(Duration::from_millis(50)).await;
        upstream.go_away();
    }
    stop.store(true, Ordering::Relaxed);
    let (mut calls, mut refused) = (0, 0);
    for client in clients {
        let (its_calls, its_refused) = client.await.unwrap();
        calls += its_calls;
        refused += its_refused;
    }
    println!("{refused} of {calls} calls were refused");
    assert!(calls > 500, "{calls} calls only");
    assert!(refused * 100 <= calls, "{refused} of {calls} calls were refused");
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

/// Calls behind the last one that a GOAWAY names were not processed (RFC 9113, section 6.8).
#[tokio::test]
async fn a_call_that_a_goaway_declares_unprocessed_is_not_of_unknown_outcome() {
    let upstream = Upstream::start(|call: Call| async move { call.answer(b"").await });
    let url = first_goes_away(&upstream, 0, Reason::NO_ERROR, After::Stays).await;
    let sidecar = Sidecar::start(&[url]);
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    let status = call(&channel, PUT).await.status();
    assert!(status.code == Some(0) || !status.message.contains("unknown"), "{status:?}");
    for _ in 0..10 {
        assert_eq!(call(&channel, PUT).await.status().code, Some(0));
    }
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
        let sidecar = Sidecar::start(&[url]);
        let channel = Channel::connect(&sidecar.url()).await.unwrap();
        assert_eq!(call(&channel, PUT).await.status(), lost(PUT), "{reason:?}, last stream {last}");
        assert_eq!(call(&channel, PUT).await.status().code, Some(0), "{reason:?}, last stream {last}");
        assert_eq!(upstream.calls(), 1, "a call was sent again");
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    Leaves,
    Stays,
}

/// The URL of a member whose first connection, once a call has come, ends by a GOAWAY; all others lead to `upstream`.
async fn first_goes_away(upstream: &Upstream, last: u32, reason: Reason, after: After) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port is free");
    let (address, member) = (listener.local_addr().expect("a listener has an address"), upstream.addr());
    tokio::spawn(async move {
        if let Ok((first, _)) = listener.accept().await {
            tokio::spawn(go_away(first, last, reason, after));
        }
        while let Ok((mut near, _)) = listener.accept().await {
            let mut far = TcpStream::connect(member).await.expect("the member accepts");
            tokio::spawn(async move { drop(tokio::io::copy_bidirectional(&mut near, &mut far).await) });
        }
    });
    format!("http://{address}")
}

/// Greets, waits for a call, and takes its leave.
async fn go_away(mut socket: TcpStream, last: u32, reason: Reason, after: After) -> io::Result<()> {
    const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
    const SETTINGS_ACK: &[u8] = b"\0\0\0\x04\x01\0\0\0\0";
    const PING_ACK: &[u8] = b"\0\0\x08\x06\x01\0\0\0\0";
    const GOAWAY: &[u8] = b"\0\0\x08\x07\0\0\0\0\0";
    const HEADERS: u8 = 1;
    const PING: u8 = 6;
    let mut preface = [0; 24];
    socket.read_exact(&mut preface).await?;
    socket.write_all(&[SETTINGS, SETTINGS_ACK].concat()).await?;
    loop {
        let mut head = [0; 9];
        socket.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        socket.read_exact(&mut payload).await?;
        match head[3] {
            HEADERS => break,
            PING => socket.write_all(&[PING_ACK, &payload].concat()).await?,
            _ => {}
        }
    }
    socket.write_all(&[GOAWAY, &last.to_be_bytes(), &u32::from(reason).to_be_bytes()].concat()).await?;
    if after == After::Leaves {
        return socket.shutdown().await;
    }
    // Open until the other side has gone.
    socket.read_to_end(&mut Vec::new()).await.map(drop)
}
