//! The member fails inside its answer: headers are sent, perhaps messages too.

use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use http::HeaderMap;

use super::{PUT, RANGE, SNAPSHOT, WATCH, in_front, lost};
use crate::support::etcd::Etcd;
use crate::support::grpc::{Answer, Channel, End, Event, PATIENCE, frame};
use crate::support::sidecar::Sidecar;
use crate::support::upstream::{Answering, Call, Upstream};

#[tokio::test]
async fn a_reset_inside_an_answer_becomes_trailers() {
    for reason in [
        Reason::NO_ERROR,
        Reason::PROTOCOL_ERROR,
        Reason::INTERNAL_ERROR,
        Reason::REFUSED_STREAM,
        Reason::CANCEL,
        Reason::ENHANCE_YOUR_CALM,
    ] {
        for count in [0, 1, 3] {
            broken_after(count, move |answering: Answering, _: &Upstream| answering.reset(reason)).await;
        }
    }
}

#[tokio::test]
async fn a_connection_that_breaks_inside_an_answer_becomes_trailers() {
    for count in [0, 2] {
        broken_after(count, |_, upstream| upstream.kill_connections()).await;
        broken_after(count, |_, upstream| upstream.abort_connections(Reason::INTERNAL_ERROR)).await;
        broken_after(count, |_, upstream| upstream.abort_connections(Reason::NO_ERROR)).await;
    }
}

#[tokio::test]
async fn an_answer_without_trailers_gets_some() {
    broken_after(1, |answering, _| answering.finish_bare()).await;
}

#[tokio::test]
async fn a_message_that_breaks_off_is_followed_by_trailers() {
    broken_after(1, |mut answering, upstream| {
        answering.send(Bytes::from_static(b"\0\0\0\0\x09half"));
        // Not at once, or the bytes would be thrown away with the connection.
        std::thread::sleep(Duration::from_millis(50));
        upstream.kill_connections();
    })
    .await;
}

/// Every kind of call gets headers and `count` messages, then `fault` happens; every client sees all messages and
/// then a status.
async fn broken_after(count: usize, fault: impl Fn(Answering, &Upstream)) {
    let (sender, mut answerings) = tokio::sync::mpsc::channel(1);
    let upstream = Upstream::start(move |mut call: Call| {
        let sender = sender.clone();
        async move {
            let mut answering = call.begin().expect("the call is alive");
            for number in 0..count {
                answering.send(frame(0, format!("message {number}").as_bytes()));
            }
            drop(sender.send(answering).await);
            std::future::pending::<()>().await;
            drop(call);
        }
    });
    let (_sidecar, channel) = in_front(&upstream).await;
    for path in [PUT, RANGE, SNAPSHOT, WATCH] {
        let mut stream = channel.stream(path, HeaderMap::new()).await.expect("a stream opens");
        stream.send(b"request");
        if path != WATCH {
            stream.half_close();
        }
        stream.headers(PATIENCE).await.expect("headers come before anything fails");
        let mut messages = Vec::new();
        for _ in 0..count {
            let Event::Message(message) = stream.next(PATIENCE).await else {
                panic!("{path}: a message is lost")
            };
            messages.push(message.bytes);
        }
        fault(answerings.recv().await.expect("the call has arrived"), &upstream);
        let answer = stream.answer(PATIENCE).await;
        assert!(matches!(answer.end, End::Trailers(_)), "{path} after {count}: {answer:?}");
        assert_eq!(answer.status(), lost(path), "after {count} messages");
        assert_eq!(
            messages.last().map(|bytes| bytes.to_vec()),
            count.checked_sub(1).map(|last| format!("message {last}").into_bytes())
        );
    }
}

#[tokio::test]
async fn a_watch_ends_unavailable_when_its_member_is_killed() {
    let mut etcd = Etcd::start();
    let sidecar = Sidecar::start(&etcd.endpoints());
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    let mut watch = channel.stream(WATCH, HeaderMap::new()).await.unwrap();
    // Create, with the key "a".
    watch.send(b"\n\x03\n\x01a");
    assert!(matches!(watch.next(PATIENCE).await, Event::Message(_)));
    etcd.kill();
    let Answer { end, .. } = watch.answer(PATIENCE).await;
    let End::Trailers(trailers) = end else { panic!("no trailers but {end:?}") };
    assert_eq!(trailers["grpc-status"], "14");
    assert_eq!(trailers["grpc-message"], "etcdlet: upstream connection lost");
}
