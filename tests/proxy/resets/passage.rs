//! What passes unchanged: metadata, unknown methods, answers of headers only.

use std::collections::BTreeMap;

use http::HeaderMap;
use tokio::sync::mpsc;

use super::{PUT, in_front};
use crate::support::grpc::{End, Status, frame, grpc_headers, header, metadata};
use crate::support::upstream::{Call, Upstream, answer_headers, status};

#[tokio::test]
async fn metadata_reaches_the_member_byte_by_byte() {
    let (sender, mut seen) = mpsc::channel(1);
    let upstream = Upstream::start(move |call: Call| {
        let sender = sender.clone();
        async move {
            sender.send(call.metadata().clone()).await.expect("the test waits");
            call.answer(b"").await;
        }
    });
    let (_sidecar, channel) = in_front(&upstream).await;
    let mut sent = odd_metadata();
    sent.extend(metadata(&[
        ("user-agent", "grpc-go/1.2.3"),
        ("grpc-timeout", "10S"),
        ("token", "some.token"),
    ]));
    assert_eq!(channel.unary(PUT, sent.clone(), b"").await.status().code, Some(0));
    let mut received = seen.recv().await.expect("the call arrived");
    assert!(received.remove("etcdlet-hop").is_some(), "the mark that finds loops: {received:?}");
    sent.extend(grpc_headers());
    assert_eq!(by_name(&received), by_name(&sent));
}

#[tokio::test]
async fn headers_and_trailers_come_back_byte_by_byte() {
    let upstream = Upstream::start(|mut call: Call| async move {
        call.body().await;
        let mut headers = answer_headers();
        headers.extend(odd_metadata());
        let Some(mut answering) = call.begin_with(headers) else { return };
        answering.send(frame(0, b"message"));
        let mut trailers = status(5, "%25 of %C3%A9");
        trailers.extend(odd_metadata());
        trailers.extend(metadata(&[("grpc-status-details-bin", "CAUSAA")]));
        answering.stream.send_trailers(trailers).expect("the call is alive");
    });
    let (_sidecar, channel) = in_front(&upstream).await;
    let answer = channel.unary(PUT, HeaderMap::new(), b"").await;
    let mut headers = answer_headers();
    headers.extend(odd_metadata());
    assert_eq!(by_name(&answer.headers), by_name(&headers));
    let mut trailers = status(5, "%25 of %C3%A9");
    trailers.extend(odd_metadata());
    trailers.extend(metadata(&[("grpc-status-details-bin", "CAUSAA")]));
    let End::Trailers(received) = answer.end else { panic!("no trailers but {:?}", answer.end) };
    assert_eq!(by_name(&received), by_name(&trailers));
}

#[tokio::test]
async fn messages_pass_byte_by_byte_compressed_or_not_well_formed_or_not() {
    let (sender, mut seen) = mpsc::channel(1);
    let upstream = Upstream::start(move |mut call: Call| {
        let sender = sender.clone();
        async move {
            let body = call.body().await;
            sender.send(body.clone()).await.expect("the test waits");
            let Some(mut answering) = call.begin() else { return };
            answering.send(body);
            answering.finish(0, "");
        }
    });
    let (_sidecar, channel) = in_front(&upstream).await;
    for path in [PUT, super::RANGE, super::WATCH, super::SNAPSHOT] {
        for sent in [
            frame(0, b""),
            frame(1, b"\x1f\x8b compressed, it says"),
            frame(0, &[0xff; 40]),
            [frame(0, b"two"), frame(0, b"messages")].concat().into(),
            [frame(0, b"one and a"), b"\0\0\0\0\x09half".as_slice().into()].concat().into(),
            b"\0\0".as_slice().into(),
            b"\xff\xff\xff\xff\xff\xff".as_slice().into(),
            bytes::Bytes::new(),
        ] {
            let mut stream = channel.stream(path, HeaderMap::new()).await.unwrap();
            stream.send_raw(sent.clone());
            stream.half_close();
            assert_eq!(seen.recv().await.expect("the call arrived"), sent, "{path}");
            let answer = stream.answer(crate::support::grpc::PATIENCE).await;
            assert_eq!(answer.status().code, Some(0), "{path} {sent:?}: {answer:?}");
            let whole: usize = answer.messages.iter().map(|message| message.bytes.len() + 5).sum();
            assert_eq!(whole + answer.leftover.len(), sent.len(), "{path}");
        }
    }
}

#[tokio::test]
async fn methods_that_are_not_known_pass_whatever_their_shape() {
    let upstream = Upstream::start(|call: Call| async move {
        let path = call.path().to_owned();
        call.answer(path.as_bytes()).await;
    });
    let (_sidecar, channel) = in_front(&upstream).await;
    for path in ["/etcdserverpb.KV/Invented", "/new.Service/Method", "/odd", "/a/b/c?d=e", "/%41"] {
        let answer = channel.unary(path, HeaderMap::new(), b"").await;
        assert_eq!(answer.status().code, Some(0), "{path}: {answer:?}");
        let expected = path.split('?').next().unwrap();
        assert_eq!(answer.messages[0].bytes, expected);
    }
}

#[tokio::test]
async fn an_answer_of_headers_only_stays_one_with_all_its_headers() {
    let upstream = Upstream::start(|mut call: Call| async move {
        call.body().await;
        let mut headers = answer_headers();
        headers.extend(odd_metadata());
        headers.extend(status(7, "no"));
        let mut response = http::Response::new(());
        *response.headers_mut() = headers;
        call.respond.send_response(response, true).expect("the call is alive");
    });
    let (_sidecar, channel) = in_front(&upstream).await;
    let answer = channel.unary(PUT, HeaderMap::new(), b"").await;
    assert!(answer.is_trailers_only(), "{answer:?}");
    assert_eq!(answer.status(), Status { code: Some(7), message: "no".into() });
    let mut headers = answer_headers();
    headers.extend(odd_metadata());
    headers.extend(status(7, "no"));
    assert_eq!(by_name(&answer.headers), by_name(&headers));
}

/// Names repeated, values empty, long, not ASCII.
fn odd_metadata() -> HeaderMap {
    let mut odd = HeaderMap::new();
    for (name, value) in [
        ("twice", b"b".as_slice()),
        ("twice", b"a"),
        ("twice", b"b"),
        ("empty", b""),
        ("long", &[b'x'; 9000]),
        ("with-spaces", b"a  b, c;d=\"e\""),
        ("not-ascii", b"\x80\xff\xfe\xe9"),
        ("tab", b"a\tb"),
        ("some-bin", b"AAECAwQF/+8"),
        ("some-bin", b"/w=="),
    ] {
        let (name, value) = header(name, value);
        odd.append(name, value);
    }
    odd
}

/// Values in their order under each name; the order of different names means nothing.
fn by_name(headers: &HeaderMap) -> BTreeMap<String, Vec<Vec<u8>>> {
    let values = |name| headers.get_all(name).iter().map(|value| value.as_bytes().to_vec()).collect();
    headers.keys().map(|name| (name.to_string(), values(name))).collect()
}
