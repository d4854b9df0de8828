//! Which codes of the member pass, and which would mislead a client.

use std::time::{Duration, Instant};

use http::HeaderMap;

use super::{PUT, RANGE, SHORT, WATCH, call, in_front, in_front_of};
use crate::support::grpc::{End, Status, frame, metadata};
use crate::support::upstream::{Call, Upstream};

const CANCELLED: u32 = 1;
const DEADLINE_EXCEEDED: u32 = 4;

/// etcd's Go client sends any call again on these two codes, mutations included.
#[tokio::test]
async fn cancelled_and_deadline_exceeded_become_unavailable_while_the_client_waits() {
    for code in [CANCELLED, DEADLINE_EXCEEDED] {
        for trailers_only in [true, false] {
            let upstream = Upstream::start(move |call| answer(call, code, trailers_only));
            let (_sidecar, channel) = in_front_of(&[&upstream], SHORT).await;
            for timeout in [None, Some("20S")] {
                let metadata =
                    timeout.map_or_else(HeaderMap::new, |timeout| metadata(&[("grpc-timeout", timeout)]));
                for path in [PUT, RANGE, WATCH] {
                    let before = upstream.calls();
                    let answer = channel.unary(path, metadata.clone(), b"").await;
                    let status = answer.status();
                    assert_eq!(status.code, Some(14), "{path} {code} {timeout:?}: {status:?}");
                    assert!(status.message.starts_with("etcdlet: "), "{status:?}");
                    assert!(status.message.ends_with("the member's text"), "{status:?}");
                    assert_eq!(answer.is_trailers_only(), trailers_only);
                    if path == PUT {
                        assert_eq!(upstream.calls() - before, 1, "{path} was sent again");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn they_stay_when_the_clients_own_deadline_has_passed() {
    for code in [CANCELLED, DEADLINE_EXCEEDED] {
        for trailers_only in [true, false] {
            let upstream = Upstream::start(move |call| async move {
                tokio::time::sleep(Duration::from_millis(105)).await;
                answer(call, code, trailers_only).await;
            });
            let (_sidecar, channel) = in_front(&upstream).await;
            let members = Status { code: Some(code), message: "the member's text".into() };
            let etcdlets =
                Status { code: Some(DEADLINE_EXCEEDED), message: "context deadline exceeded".into() };
            // On a busy machine the member may come too late even for etcdlet's patience.
            let mut seen = false;
            for _ in 0..5 {
                let status = channel.unary(PUT, metadata(&[("grpc-timeout", "100m")]), b"").await.status();
                assert!(status == members || status == etcdlets, "{status:?}");
                seen |= status == members;
            }
            assert!(seen, "the member's own answer never passes");
        }
    }
}

#[tokio::test]
async fn a_deadline_that_passes_without_an_answer_is_exceeded_soon_after() {
    let upstream = Upstream::start(|call: Call| async move {
        std::future::pending::<()>().await;
        drop(call);
    });
    let (_sidecar, channel) = in_front(&upstream).await;
    for path in [PUT, RANGE, WATCH] {
        let started = Instant::now();
        let status = channel.unary(path, metadata(&[("grpc-timeout", "200m")]), b"").await.status();
        assert_eq!(
            status,
            Status { code: Some(DEADLINE_EXCEEDED), message: "context deadline exceeded".into() }
        );
        let took = started.elapsed();
        assert!(took >= Duration::from_millis(200) && took < Duration::from_millis(800), "{path}: {took:?}");
    }
}

#[tokio::test]
async fn every_other_code_passes_with_its_text_whether_etcd_knows_it_or_not() {
    for code in [0, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 99] {
        for trailers_only in [true, false] {
            let upstream = Upstream::start(move |call| answer(call, code, trailers_only));
            let (_sidecar, channel) = in_front(&upstream).await;
            let answer = call(&channel, PUT).await;
            assert_eq!(answer.status(), Status { code: Some(code), message: "the member's text".into() });
            assert_eq!(answer.is_trailers_only(), trailers_only, "{code}");
        }
    }
}

#[tokio::test]
async fn an_answer_in_plain_http_passes_as_it_is() {
    let upstream = Upstream::start(|mut call: Call| async move {
        let mut response = http::Response::new(());
        *response.status_mut() = http::StatusCode::BAD_GATEWAY;
        response.headers_mut().insert("content-type", http::HeaderValue::from_static("text/html"));
        let mut stream = call.respond.send_response(response, false).expect("the call is alive");
        stream.send_data("<p>no".into(), true).expect("the call is alive");
    });
    let (_sidecar, channel) = in_front(&upstream).await;
    let answer = call(&channel, RANGE).await;
    assert_eq!(answer.http.map(|status| status.as_u16()), Some(502));
    assert_eq!(answer.headers["content-type"], "text/html");
    // A gRPC client takes its status from trailers, or else from HTTP's; 502 is UNAVAILABLE.
    let End::Trailers(trailers) = &answer.end else { panic!("no trailers but {:?}", answer.end) };
    assert_eq!(trailers["grpc-status"], "14");
    assert_eq!(answer.leftover, "<p>no");
}

async fn answer(mut call: Call, code: u32, trailers_only: bool) {
    call.body().await;
    if trailers_only {
        return call.refuse(code, "the member's text");
    }
    let Some(mut answering) = call.begin() else { return };
    answering.send(frame(0, b"a message"));
    answering.finish(code, "the member's text");
}
