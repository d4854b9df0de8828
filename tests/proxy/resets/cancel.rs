//! Ends that one side chooses: cancelled calls, half-closed streams, answers that end early.

use std::future::poll_fn;
use std::time::{Duration, Instant};

use h2::Reason;
use http::HeaderMap;
use rustix::process::Signal;
use tokio::sync::mpsc;

use super::{PUT, RANGE, SNAPSHOT, WATCH, in_front};
use crate::support::grpc::{Event, PATIENCE, frame};
use crate::support::upstream::{Call, Upstream};

const PROMPT: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_call_that_its_client_cancels_is_cancelled_at_the_member() {
    for begins in [false, true] {
        let (sender, mut resets) = mpsc::channel(8);
        let upstream = Upstream::start(move |call| until_reset(call, begins, sender.clone()));
        let (_sidecar, channel) = in_front(&upstream).await;
        for path in [PUT, RANGE, SNAPSHOT, WATCH] {
            let mut stream = channel.stream(path, HeaderMap::new()).await.unwrap();
            stream.send(b"");
            if path != WATCH {
                stream.half_close();
            }
            assert_eq!(resets.recv().await, Some(None), "{path} arrives");
            // A unary answer is passed on when all of it is here.
            if begins && [SNAPSHOT, WATCH].contains(&path) {
                stream.headers(PATIENCE).await.expect("the answer begins");
            }
            stream.reset(Reason::CANCEL);
            let reset = tokio::time::timeout(PROMPT, resets.recv()).await;
            assert_eq!(reset, Ok(Some(Some(Reason::CANCEL))), "{path}, begun: {begins}");
        }
    }
}

#[tokio::test]
async fn a_client_that_vanishes_cancels_all_its_calls() {
    let (sender, mut resets) = mpsc::channel(8);
    let upstream = Upstream::start(move |call| until_reset(call, true, sender.clone()));
    let (_sidecar, channel) = in_front(&upstream).await;
    let mut streams = Vec::new();
    for path in [PUT, SNAPSHOT, WATCH] {
        let mut stream = channel.stream(path, HeaderMap::new()).await.unwrap();
        stream.send(b"");
        stream.half_close();
        assert_eq!(resets.recv().await, Some(None));
        streams.push(stream);
    }
    drop((streams, channel));
    let left = Instant::now();
    for _ in 0..3 {
        let reset = tokio::time::timeout(PROMPT, resets.recv()).await;
        assert_eq!(reset, Ok(Some(Some(Reason::CANCEL))), "after {:?}", left.elapsed());
    }
}

#[tokio::test]
async fn a_request_that_is_half_closed_goes_on_being_answered() {
    let upstream = Upstream::start(|mut call: Call| async move {
        let mut answering = call.begin().expect("the call is alive");
        let body = call.body().await;
        // The request has ended; the answer only begins.
        for part in body.chunks(6) {
            tokio::time::sleep(Duration::from_millis(50)).await;
            answering.send(part.to_vec().into());
        }
        answering.finish(0, "");
    });
    let (_sidecar, channel) = in_front(&upstream).await;
    let mut stream = channel.stream(WATCH, HeaderMap::new()).await.unwrap();
    for part in [b"1", b"2", b"3"] {
        stream.send(part);
    }
    stream.headers(PATIENCE).await.expect("headers come while the request is open");
    stream.half_close();
    let answer = stream.answer(PATIENCE).await;
    assert_eq!(answer.status().code, Some(0), "{answer:?}");
    let messages: Vec<_> = answer.messages.iter().map(|message| message.bytes.to_vec()).collect();
    assert_eq!(messages, [b"1", b"2", b"3"]);
}

#[tokio::test]
async fn each_message_of_a_request_arrives_when_it_is_sent() {
    let upstream = Upstream::start(|mut call: Call| async move {
        let mut answering = call.begin().expect("the call is alive");
        while let Some(Ok(data)) = call.request.body_mut().data().await {
            answering.send(data);
        }
        answering.finish(0, "");
    });
    let (_sidecar, channel) = in_front(&upstream).await;
    let mut stream = channel.stream(WATCH, HeaderMap::new()).await.unwrap();
    for number in 0..20 {
        let sent = format!("message {number}");
        stream.send(sent.as_bytes());
        let Event::Message(message) = stream.next(Duration::from_secs(1)).await else {
            panic!("{sent} is not echoed")
        };
        assert_eq!(message.bytes, sent);
    }
    stream.half_close();
    assert_eq!(stream.answer(PATIENCE).await.status().code, Some(0));
}

/// A server that does not need the rest of the request ends the stream with NO_ERROR behind its answer (RFC 9113,
/// section 8.1): the answer counts.
#[tokio::test]
async fn an_answer_that_ends_before_its_request_is_the_answer() {
    for trailers_only in [true, false] {
        let upstream = Upstream::start(move |mut call: Call| async move {
            if trailers_only {
                return call.refuse(9, "enough");
            }
            let Some(mut answering) = call.begin() else { return };
            answering.send(frame(0, b"all"));
            answering.finish(9, "enough");
        });
        let (_sidecar, channel) = in_front(&upstream).await;
        // Which of the two frames is seen first is a matter of chance.
        for round in 0..100 {
            let path = if round % 2 == 0 { WATCH } else { PUT };
            let mut stream = channel.stream(path, HeaderMap::new()).await.unwrap();
            // Too long to be read ahead, and never ended.
            stream.send_raw(bytes::Bytes::from_static(b"\0\x00\x40\0\0begin"));
            let answer = stream.answer(PATIENCE).await;
            let status = answer.status();
            assert_eq!(
                (status.code, status.message.as_str()),
                (Some(9), "enough"),
                "round {round}: {answer:?}"
            );
            assert_eq!(answer.messages.len(), usize::from(!trailers_only));
        }
    }
}

/// In one burst, as from a client whose own caller gave up on all it had asked; etcd takes any number.
#[tokio::test]
async fn a_burst_of_cancelled_calls_costs_the_others_of_their_connection_nothing() {
    let upstream = Upstream::start(|mut call: Call| async move {
        if call.path() != WATCH {
            return call.answer(b"").await;
        }
        let mut answering = call.begin().expect("the call is alive");
        while let Some(Ok(data)) = call.request.body_mut().data().await {
            answering.send(data);
        }
    });
    let (mut sidecar, channel) = in_front(&upstream).await;
    let mut watch = channel.stream(WATCH, HeaderMap::new()).await.unwrap();
    watch.send(b"before");
    assert!(matches!(watch.next(PATIENCE).await, Event::Message(_)));
    for _ in 0..3 {
        // Calls and their ends arrive together, however busy this machine is.
        sidecar.signal(Signal::STOP);
        for _ in 0..500 {
            let mut stream = channel.stream(PUT, HeaderMap::new()).await.unwrap();
            stream.send(b"");
            tokio::task::yield_now().await;
            stream.reset(Reason::CANCEL);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        sidecar.signal(Signal::CONT);
        watch.send(b"after");
        let next = watch.next(PATIENCE).await;
        assert!(matches!(next, Event::Message(_)), "{next:?}");
        assert_eq!(channel.unary(PUT, HeaderMap::new(), b"").await.status().code, Some(0));
    }
}

/// Tells that the call came, and then by what it was reset.
async fn until_reset(mut call: Call, begins: bool, sender: mpsc::Sender<Option<Reason>>) {
    sender.send(None).await.expect("the test waits");
    let reset = if begins {
        let mut answering = call.begin().expect("the call is alive");
        poll_fn(|cx| answering.stream.poll_reset(cx)).await
    } else {
        poll_fn(|cx| call.respond.poll_reset(cx)).await
    };
    // A test that has ended needs no answer.
    let _ended = sender.send(Some(reset.unwrap_or(Reason::INTERNAL_ERROR))).await;
}
