//! The member fails before it has answered: reads are asked for again, mutations are not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use h2::Reason;
use http::HeaderMap;

use super::{PUT, RANGE, SHORT, SNAPSHOT, call, in_front, in_front_of, lost, unavailable, until};
use crate::support::etcd::Etcd;
use crate::support::grpc::{Answer, Channel, Status};
use crate::support::sidecar::Sidecar;
use crate::support::upstream::{Call, Upstream};

#[tokio::test]
async fn a_reset_by_the_member_becomes_unavailable() {
    for reason in [
        Reason::NO_ERROR,
        Reason::PROTOCOL_ERROR,
        Reason::INTERNAL_ERROR,
        Reason::STREAM_CLOSED,
        Reason::CANCEL,
        Reason::ENHANCE_YOUR_CALM,
    ] {
        let upstream = Upstream::start(move |mut call: Call| async move {
            call.body().await;
            call.reset(reason);
        });
        let (_sidecar, channel) = in_front_of(&[&upstream], SHORT).await;
        for path in [PUT, RANGE, SNAPSHOT] {
            let before = upstream.calls();
            let answer = call(&channel, path).await;
            assert_eq!((answer.status(), answer.is_trailers_only()), (lost(path), true), "{reason:?} {path}");
            let sent = upstream.calls() - before;
            assert!(if path == PUT { sent == 1 } else { sent > 1 }, "{reason:?} {path}: sent {sent} times");
        }
    }
}

#[tokio::test]
async fn a_call_that_the_member_refused_is_unavailable_and_nothing_is_unknown() {
    let upstream = Upstream::start(|call: Call| async move { call.reset(Reason::REFUSED_STREAM) });
    let (_sidecar, channel) = in_front_of(&[&upstream], SHORT).await;
    for path in [PUT, RANGE] {
        let before = upstream.calls();
        let status = call(&channel, path).await.status();
        assert_eq!(status, unavailable("etcdlet: the member refused the call, not processed"), "{path}");
        assert!(upstream.calls() - before > 1, "{path} is not sent again");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_becomes_unavailable() {
    let breaks: [fn(&Upstream); 4] = [
        Upstream::kill_connections,
        |upstream| upstream.abort_connections(Reason::INTERNAL_ERROR),
        |upstream| upstream.abort_connections(Reason::NO_ERROR),
        |upstream| {
            upstream.go_away();
            // So that the GOAWAY, behind which the calls might still end well, is seen before the end.
            std::thread::sleep(Duration::from_millis(100));
            upstream.kill_connections();
        },
    ];
    for (number, breaks) in breaks.into_iter().enumerate() {
        let paths = [PUT, RANGE, SNAPSHOT];
        let count = Arc::new(AtomicUsize::new(0));
        let counter = count.clone();
        let upstream = Upstream::start(move |call: Call| {
            let number = counter.fetch_add(1, Ordering::SeqCst);
            async move {
                if number >= paths.len() {
                    return call.answer(b"").await;
                }
                std::future::pending::<()>().await;
                drop(call);
            }
        });
        let (_sidecar, channel) = in_front(&upstream).await;
        let calls = open(&channel, &paths);
        until(Duration::from_secs(5), "the calls arrive", || upstream.calls() == paths.len()).await;
        breaks(&upstream);
        for (path, answer) in paths.into_iter().zip(calls) {
            let status = answer.await.unwrap().status();
            let expected =
                if path == PUT { lost(path) } else { Status { code: Some(0), message: String::new() } };
            assert_eq!(status, expected, "{path}, way {number}");
        }
        // The reads, once more.
        assert_eq!(upstream.calls(), paths.len() + 2, "way {number}");
    }
}

#[tokio::test]
async fn a_member_that_is_killed_loses_its_mutations_and_answers_its_reads_when_it_is_back() {
    let mut etcd = Etcd::start();
    let sidecar = Sidecar::start(&etcd.endpoints());
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    for path in [PUT, RANGE] {
        assert_eq!(call(&channel, path).await.status().code, Some(0));
    }
    etcd.freeze();
    // A signal reaches all of its threads within a moment only.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let paths = [PUT, RANGE];
    let calls = open(&channel, &paths);
    tokio::time::sleep(Duration::from_millis(200)).await;
    etcd.kill();
    let [put, range] = calls.try_into().expect("two calls");
    assert_eq!(put.await.unwrap().status(), lost(PUT));
    etcd.restart();
    let status = range.await.unwrap().status();
    assert_eq!(status.code, Some(0), "{status:?}: {}", sidecar.log());
}

fn open(channel: &Channel, paths: &[&'static str]) -> Vec<tokio::task::JoinHandle<Answer>> {
    let spawn = |path: &&'static str| {
        let (channel, path) = (channel.clone(), *path);
        tokio::spawn(async move { channel.unary(path, HeaderMap::new(), b"\n\x01a").await })
    };
    paths.iter().map(spawn).collect()
}
