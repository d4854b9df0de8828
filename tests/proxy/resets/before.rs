//! The member fails before it has answered.

use std::time::Duration;

use h2::Reason;
use http::HeaderMap;

use super::{PUT, RANGE, SNAPSHOT, call, in_front, lost, until};
use crate::support::etcd::Etcd;
use crate::support::grpc::{Answer, Channel};
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
        let (_sidecar, channel) = in_front(&upstream).await;
        for path in [PUT, RANGE, SNAPSHOT] {
            let answer = call(&channel, path).await;
            assert_eq!((answer.status(), answer.is_trailers_only()), (lost(path), true), "{reason:?} {path}");
        }
        assert_eq!(upstream.calls(), 3, "{reason:?}: a call was sent again");
    }
}

#[tokio::test]
async fn a_call_that_the_member_refused_is_unavailable_and_nothing_is_unknown() {
    let upstream = Upstream::start(|call: Call| async move { call.reset(Reason::REFUSED_STREAM) });
    let (_sidecar, channel) = in_front(&upstream).await;
    for path in [PUT, RANGE] {
        let status = call(&channel, path).await.status();
        assert_eq!(status.code, Some(14), "{status:?}");
        assert!(status.message.starts_with("etcdlet: ") && !status.message.contains("unknown"), "{status:?}");
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
        let upstream = Upstream::start(|call: Call| async move {
            std::future::pending::<()>().await;
            drop(call);
        });
        let (_sidecar, channel) = in_front(&upstream).await;
        let paths = [PUT, RANGE, SNAPSHOT];
        let calls = open(&channel, &paths);
        until(Duration::from_secs(5), "the calls arrive", || upstream.calls() == paths.len()).await;
        breaks(&upstream);
        for (path, answer) in paths.into_iter().zip(calls) {
            assert_eq!(answer.await.unwrap().status(), lost(path), "{path}, way {number}");
        }
        assert_eq!(upstream.calls(), paths.len(), "a call was sent again");
    }
}

#[tokio::test]
async fn a_member_that_is_killed_leaves_its_calls_unavailable() {
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
    for (path, answer) in paths.into_iter().zip(calls) {
        assert_eq!(answer.await.unwrap().status(), lost(path), "{path}");
    }
}

fn open(channel: &Channel, paths: &[&'static str]) -> Vec<tokio::task::JoinHandle<Answer>> {
    let spawn = |path: &&'static str| {
        let (channel, path) = (channel.clone(), *path);
        tokio::spawn(async move { channel.unary(path, HeaderMap::new(), b"\n\x01a").await })
    };
    paths.iter().map(spawn).collect()
}
