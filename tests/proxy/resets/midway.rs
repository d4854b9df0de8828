//! The member fails inside its answer: headers are sent, perhaps messages too.

use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use http::HeaderMap;
use tokio::sync::mpsc;

use super::{PUT, RANGE, SNAPSHOT, WATCH, in_front_of, lost};
use crate::support::etcd::Etcd;
use crate::support::grpc::{Answer, Channel, End, Event, PATIENCE, Stream, frame};
use crate::support::sidecar::Sidecar;
use crate::support::upstream::{Answering, Call, Upstream};

#[tokio::test]
async fn a_reset_inside_an_answer_becomes_a_status() {
    for reason in [
        Reason::NO_ERROR,
        Reason::PROTOCOL_ERROR,
        Reason::INTERNAL_ERROR,
        Reason::REFUSED_STREAM,
        Reason::CANCEL,
        Reason::ENHANCE_YOUR_CALM,
    ] {
        broken(&[0, 1, 3], move |answering: Answering, _: &Upstream| answering.reset(reason)).await;
    }
}

#[tokio::test]
async fn a_connection_that_breaks_inside_an_answer_becomes_a_status() {
    broken(&[0, 2], |_, upstream| upstream.kill_connections()).await;
    broken(&[0, 2], |_, upstream| upstream.abort_connections(Reason::INTERNAL_ERROR)).await;
    broken(&[0, 2], |_, upstream| upstream.abort_connections(Reason::NO_ERROR)).await;
}

#[tokio::test]
async fn an_answer_without_trailers_gets_some() {
    broken(&[1], |answering, _| answering.finish_bare()).await;
}

#[tokio::test]
async fn a_message_that_breaks_off_is_followed_by_trailers() {
    let fault = |mut answering: Answering, upstream: &Upstream| {
        answering.send(Bytes::from_static(b"\0\0\0\0\x09half"));
        // Not at once, or the bytes would be thrown away with the connection.
        std::thread::sleep(Duration::from_millis(50));
        upstream.kill_connections();
    };
    stream_broken_after(1, fault).await;
    large_answer_broken(fault).await;
}

/// The same fault inside answers of every kind.
async fn broken(counts: &[usize], fault: impl Fn(Answering, &Upstream)) {
    for count in counts {
        stream_broken_after(*count, &fault).await;
    }
    large_answer_broken(&fault).await;
    unary_broken(Bytes::new(), &fault).await;
    unary_broken(frame(0, b"message"), &fault).await;
}

/// The client of a stream sees its headers, then `count` messages, and after `fault` a status in trailers.
async fn stream_broken_after(count: usize, fault: impl Fn(Answering, &Upstream)) {
    let messages: Vec<Bytes> = (0..count).map(|number| format!("message {number}").into()).collect();
    let mut scene = Scene::start(messages.iter().map(|message| frame(0, message)).collect()).await;
    for path in [SNAPSHOT, WATCH] {
        let mut stream = scene.open(path).await;
        stream.headers(PATIENCE).await.expect("headers come before anything fails");
        for message in &messages {
            let Event::Message(received) = stream.next(PATIENCE).await else {
                panic!("{path}: a message is lost")
            };
            assert_eq!(received.bytes, message, "{path}");
        }
        fault(scene.answering().await, &scene.upstream);
        let answer = stream.answer(PATIENCE).await;
        assert!(matches!(answer.end, End::Trailers(_)), "{path} after {count}: {answer:?}");
        assert_eq!(answer.status(), lost(path), "after {count} messages");
    }
}

/// A unary answer whose first frame is not all of its message streams, so that it ends as a stream does.
async fn large_answer_broken(fault: impl Fn(Answering, &Upstream)) {
    let begin = Bytes::from_static(b"\0\0\x10\0\0a megabyte begins");
    let mut scene = Scene::start(vec![begin.clone()]).await;
    for path in [PUT, RANGE] {
        let mut stream = scene.open(path).await;
        stream.headers(PATIENCE).await.expect("headers come before anything fails");
        fault(scene.answering().await, &scene.upstream);
        let answer = stream.answer(PATIENCE).await;
        assert!(matches!(answer.end, End::Trailers(_)), "{path}: {answer:?}");
        assert_eq!(answer.status(), lost(path));
        assert_eq!(answer.messages.len(), 0);
    }
    assert_eq!(scene.upstream.calls(), 2, "a call was sent again whose client had seen its beginning");
}

/// The client of a small unary answer sees nothing of it before it is whole, so that the status may be all there is.
async fn unary_broken(sent: Bytes, fault: impl Fn(Answering, &Upstream)) {
    let mut scene = Scene::start(vec![sent]).await;
    for path in [PUT, RANGE] {
        let mut stream = scene.open(path).await;
        let answering = scene.answering().await;
        assert!(
            stream.headers(Duration::from_millis(20)).await.is_none(),
            "{path}: headers of half an answer"
        );
        fault(answering, &scene.upstream);
        let answer = stream.answer(PATIENCE).await;
        assert_eq!((answer.status(), answer.is_trailers_only()), (lost(path), true), "{answer:?}");
    }
}

/// A member that begins every answer in the same way, and a sidecar that asks for nothing twice.
struct Scene {
    upstream: Upstream,
    answerings: mpsc::Receiver<Answering>,
    channel: Channel,
    _sidecar: Sidecar,
}

impl Scene {
    async fn start(begin: Vec<Bytes>) -> Self {
        let (sender, answerings) = mpsc::channel(1);
        let upstream = Upstream::start(move |mut call: Call| {
            let (sender, begin) = (sender.clone(), begin.clone());
            async move {
                let mut answering = call.begin().expect("the call is alive");
                for bytes in begin.into_iter().filter(|bytes| !bytes.is_empty()) {
                    answering.send(bytes);
                }
                drop(sender.send(answering).await);
                std::future::pending::<()>().await;
                drop(call);
            }
        });
        let (sidecar, channel) = in_front_of(&[&upstream], "retry: {read-limit: 0s}").await;
        Self { upstream, answerings, channel, _sidecar: sidecar }
    }

    async fn open(&self, path: &str) -> Stream {
        let mut stream = self.channel.stream(path, HeaderMap::new()).await.expect("a stream opens");
        stream.send(b"request");
        if path != WATCH {
            stream.half_close();
        }
        stream
    }

    /// The answer that has begun.
    async fn answering(&mut self) -> Answering {
        self.answerings.recv().await.expect("the call has arrived")
    }
}

#[tokio::test]
async fn a_watch_ends_unavailable_when_its_member_is_killed() {
    let mut etcd = Etcd::start();
    let sidecar = Sidecar::passing(&etcd.endpoints());
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
