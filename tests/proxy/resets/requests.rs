//! Requests that are large, or slow.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use tokio::sync::Notify;

use super::{PUT, RANGE, WATCH, in_front, until};
use crate::support::grpc::{PATIENCE, frame};
use crate::support::upstream::{Call, Upstream};

#[tokio::test]
async fn a_request_beyond_the_read_ahead_limit_streams_without_being_kept() {
    const LARGE: usize = 48 << 20;
    let (go_on, received) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let (notified, count) = (go_on.clone(), received.clone());
    let upstream = Upstream::start(move |mut call: Call| {
        let (notified, count) = (notified.clone(), count.clone());
        async move {
            notified.notified().await;
            while let Some(Ok(data)) = call.request.body_mut().data().await {
                count.fetch_add(data.len(), Ordering::SeqCst);
                drop(call.request.body_mut().flow_control().release_capacity(data.len()));
            }
            call.answer(b"").await;
        }
    });
    let (sidecar, channel) = in_front(&upstream).await;
    let before = sidecar.rss_bytes();
    let mut stream = channel.stream(PUT, HeaderMap::new()).await.unwrap();
    stream.send(&vec![7; LARGE]);
    stream.half_close();
    until(Duration::from_secs(5), "the call arrives", || upstream.calls() == 1).await;
    // The member reads nothing for a while: the client has to wait, not etcdlet's memory.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let grown = sidecar.rss_bytes().saturating_sub(before);
    assert!(grown < LARGE as u64 / 4, "{grown} bytes while the member does not read");
    go_on.notify_one();
    let answer = stream.answer(PATIENCE).await;
    assert_eq!(answer.status().code, Some(0), "{answer:?}");
    assert_eq!(received.load(Ordering::SeqCst), LARGE + 5);
    let grown = sidecar.rss_bytes().saturating_sub(before);
    assert!(grown < LARGE as u64 / 4, "{grown} bytes for a request of {LARGE}");
}

#[tokio::test]
async fn a_request_that_announces_to_be_large_is_passed_on_at_once() {
    let (first, all) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (seen, count) = (first.clone(), all.clone());
    let upstream = Upstream::start(move |mut call: Call| {
        let (seen, count) = (seen.clone(), count.clone());
        async move {
            while let Some(Ok(data)) = call.request.body_mut().data().await {
                seen.store(true, Ordering::SeqCst);
                count.fetch_add(data.len(), Ordering::SeqCst);
                drop(call.request.body_mut().flow_control().release_capacity(data.len()));
            }
            call.answer(b"").await;
        }
    });
    let (_sidecar, channel) = in_front(&upstream).await;
    for path in [PUT, RANGE, WATCH] {
        first.store(false, Ordering::SeqCst);
        all.store(0, Ordering::SeqCst);
        let whole = frame(0, &vec![7; 3 << 20]);
        let mut stream = channel.stream(path, HeaderMap::new()).await.unwrap();
        stream.send_raw(whole.slice(..9));
        until(Duration::from_millis(500), "its first bytes arrive", || first.load(Ordering::SeqCst)).await;
        stream.send_raw(whole.slice(9..));
        stream.half_close();
        assert_eq!(stream.answer(PATIENCE).await.status().code, Some(0), "{path}");
        assert_eq!(all.load(Ordering::SeqCst), whole.len(), "{path}");
    }
}

/// A small request is read whole first; how it was cut into frames must not matter.
#[tokio::test]
async fn a_small_request_in_many_pieces_arrives_whole() {
    let upstream = Upstream::start(|mut call: Call| async move {
        let body = call.body().await;
        let Some(mut answering) = call.begin() else { return };
        answering.send(body);
        answering.finish(0, "");
    });
    let (_sidecar, channel) = in_front(&upstream).await;
    for path in [PUT, RANGE] {
        let whole = frame(0, b"a message in pieces");
        let mut stream = channel.stream(path, HeaderMap::new()).await.unwrap();
        for byte in &whole {
            stream.send_raw(Bytes::copy_from_slice(&[*byte]));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stream.half_close();
        let answer = stream.answer(PATIENCE).await;
        assert_eq!(answer.messages[0].bytes, "a message in pieces", "{path}");
    }
}

#[tokio::test]
async fn slow_uploads_do_not_hold_up_other_calls_of_their_connection() {
    let upstream = Upstream::start(|call: Call| async move { call.answer(b"").await });
    let (_sidecar, channel) = in_front(&upstream).await;
    let mut slow = Vec::new();
    for path in [PUT, RANGE, PUT] {
        let mut stream = channel.stream(path, HeaderMap::new()).await.unwrap();
        stream.send_raw(Bytes::from_static(b"\0\0\0\0\x09slow"));
        slow.push(stream);
    }
    for _ in 0..10 {
        let quick =
            tokio::time::timeout(Duration::from_secs(1), channel.unary(PUT, HeaderMap::new(), b"")).await;
        assert_eq!(quick.expect("it does not wait").status().code, Some(0));
    }
    for mut stream in slow {
        stream.send_raw(Bytes::from_static(b"-done"));
        stream.half_close();
        assert_eq!(stream.answer(PATIENCE).await.status().code, Some(0));
    }
}
