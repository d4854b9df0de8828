//! The way of a call through the gate and back.

use std::sync::Arc;

use bytes::Bytes;
use fastrand::Rng;
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame};
use prost::Message as _;

use super::super::flow::Flow;
use super::super::{Config, Entered, NamespaceMetrics, Namespaces};
use super::model::{Model, PREFIX};
use super::random;
use super::requests::{answer, namespace, request};
use crate::proto::etcdserverpb as pb;
use crate::telemetry::metrics::Metrics;
use crate::types::call::{Body, Broken, Call, Reply, Wire};
use crate::types::client::{Client, Peer, Terms};
use crate::types::method::Rpc;
use crate::types::status::{Code, grpc_status};

const RANGE: &str = "/etcdserverpb.KV/Range";
const WATCH: &str = "/etcdserverpb.Watch/Watch";

fn namespaces(request_bytes: usize, total_bytes: usize) -> Namespaces {
    Namespaces::new(&Config { request_bytes, total_bytes }, NamespaceMetrics::new(&Metrics::new()))
}

fn frame(message: &[u8]) -> Vec<u8> {
    [&[0], &(message.len() as u32).to_be_bytes()[..], message].concat()
}

fn body(parts: Vec<Bytes>, end: Option<HeaderMap>) -> Body {
    let data = parts.into_iter().map(|part| Ok::<_, Broken>(Frame::data(part)));
    let end = end.map(|trailers| Ok(Frame::trailers(trailers)));
    Body::stream(http_body_util::StreamBody::new(futures_util::stream::iter(data.chain(end))))
}

fn call(path: &str, body: Body) -> Call {
    let request = http::Request::post(path)
        .header("content-type", "application/grpc")
        .header("content-length", "7")
        .header("grpc-accept-encoding", "gzip");
    let (head, ()) = request.body(()).unwrap().into_parts();
    let terms = Arc::new(Terms { namespace: Bytes::from_static(PREFIX), ..Terms::default() });
    let client = Arc::new(Client { peer: Peer::Own, common_name: None, terms });
    Call { rpc: Rpc::of(path), wire: Wire::H2, head: Box::new(head), deadline: None, client, body }
}

/// The stream cut into pieces by chance.
fn cut(random: &mut Rng, stream: &[u8]) -> Vec<Bytes> {
    let mut rest = stream;
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let (part, behind) = rest.split_at(random.usize(1..=rest.len().min(40)));
        parts.push(Bytes::copy_from_slice(part));
        rest = behind;
    }
    parts
}

#[tokio::test]
async fn messages_are_edited_wherever_their_frames_are_cut() {
    let mut random = Rng::with_seed(1);
    let all = namespaces(1 << 20, 1 << 20);
    for round in 0..300 {
        let mut asked: Vec<pb::WatchRequest> = (0..4).map(|_| random::watch(&mut random)).collect();
        let mut told: Vec<pb::WatchResponse> = (0..4).map(|_| random::watched(&mut random)).collect();
        let stream: Vec<u8> = asked.iter().flat_map(|message| frame(&message.encode_to_vec())).collect();
        let parts = cut(&mut random, &stream);
        let Entered::Edited(call, way_back) = all.enter(call(WATCH, body(parts, None))) else {
            panic!("round {round}: not edited")
        };
        assert!(!call.head.headers.contains_key("grpc-accept-encoding"));
        assert!(!call.head.headers.contains_key("content-length"));
        let sent = call.body.collect().await.unwrap().to_bytes();
        asked.iter_mut().for_each(Model::edit);
        assert_eq!(decoded::<pb::WatchRequest>(&sent), asked, "round {round}");

        let stream: Vec<u8> = told.iter().flat_map(|message| frame(&message.encode_to_vec())).collect();
        let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
        let reply = Reply::grpc(body(cut(&mut random, &stream), Some(trailers)));
        let reply = way_back.leave(async { reply }).await.body.collect().await.unwrap();
        assert_eq!(grpc_status(reply.trailers().unwrap()), Some(Code::Ok));
        told.iter_mut().for_each(Model::edit);
        assert_eq!(decoded::<pb::WatchResponse>(&reply.to_bytes()), told, "round {round}");
    }
    assert_eq!(all.metrics.bytes.get(), 0);
}

fn decoded<M: prost::Message + Default>(mut stream: &[u8]) -> Vec<M> {
    let mut messages = Vec::new();
    while let Some((head, rest)) = stream.split_first_chunk::<5>() {
        let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
        messages.push(M::decode(&rest[..length]).unwrap());
        stream = &rest[length..];
    }
    messages
}

/// How a call with these bytes ends, whatever is behind.
async fn refusal(all: &Namespaces, path: &str, bytes: Vec<u8>) -> Option<(Code, String)> {
    let Entered::Edited(call, way_back) = all.enter(call(path, body(vec![bytes.into()], None))) else {
        panic!("not edited")
    };
    let behind = async move {
        // As the client of a member does, which then says that the call was given up.
        drop(call.body.collect().await);
        Reply::grpc(Body::Empty)
    };
    let reply = way_back.leave(behind).await;
    let code = grpc_status(&reply.head.headers)?;
    Some((code, reply.head.headers["grpc-message"].to_str().unwrap().to_owned()))
}

#[tokio::test]
async fn what_cannot_be_kept_in_the_namespace_is_refused() {
    let all = namespaces(100, 1 << 20);
    let compressed = [&[1], &frame(b"\x0a\x01k")[1..]].concat();
    let refused = refusal(&all, RANGE, compressed).await.unwrap();
    assert!(refused.0 == Code::Unimplemented && refused.1.contains("compressed"), "{refused:?}");
    assert_eq!(refusal(&all, RANGE, frame(b"\x0a\x02k")).await.unwrap().0, Code::Internal);
    let long = frame(&[0; 101]);
    let expected = "grpc: received message larger than max (101 vs. 100)".to_owned();
    assert_eq!(refusal(&all, RANGE, long[..5].to_vec()).await, Some((Code::ResourceExhausted, expected)));
    let deep = namespaces(1 << 20, 1 << 20);
    let mut txn = Vec::new();
    for _ in 0..300 {
        let mut op = Vec::new();
        prost::encoding::bytes::encode(4, &txn, &mut op);
        txn.clear();
        prost::encoding::bytes::encode(2, &op, &mut txn);
    }
    assert_eq!(refusal(&deep, "/etcdserverpb.KV/Txn", frame(&txn)).await.unwrap().0, Code::InvalidArgument);
    assert_eq!(refusal(&all, RANGE, frame(b"\x0a\x01k")).await, None);
}

#[tokio::test]
async fn a_stream_that_becomes_bad_ends_with_a_status() {
    let all = namespaces(100, 1 << 20);
    let parts = vec![frame(b"\x0a\x00").into(), frame(b"\x0a").into()];
    let Entered::Edited(mut call, way_back) = all.enter(call(WATCH, body(parts, None))) else {
        panic!("not edited")
    };
    let first = call.body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, frame(b"\x0a\x09\x0a\x07/team/\0"));
    let endless = Body::stream(http_body_util::StreamBody::new(futures_util::stream::pending()));
    let mut reply = way_back.leave(async { Reply::grpc(endless) }).await;
    assert!(call.body.frame().await.unwrap().is_err());
    let trailers = reply.body.frame().await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(grpc_status(&trailers), Some(Code::Internal));
    assert!(reply.body.frame().await.is_none());
}

#[tokio::test]
async fn what_is_cut_off_passes_and_ends_there() {
    let all = namespaces(100, 1 << 20);
    let whole = frame(b"\x0a\x01k");
    let Entered::Edited(call, _) = all.enter(call(RANGE, body(vec![whole[..7].to_vec().into()], None)))
    else {
        panic!("not edited")
    };
    assert_eq!(call.body.collect().await.unwrap().to_bytes(), whole[..7]);
}

#[tokio::test]
async fn an_answer_that_is_not_of_the_namespace_fails() {
    let all = namespaces(100, 1 << 20);
    let Entered::Edited(_call, way_back) = all.enter(call(RANGE, Body::Empty)) else { panic!("not edited") };
    let of_others = Bytes::from(frame(b"\x12\x07\x0a\x05/them"));
    let reply = Reply::grpc(Body::Whole(of_others, Box::default()));
    let reply = way_back.leave(async { reply }).await.body.collect().await.unwrap();
    assert_eq!(grpc_status(reply.trailers().unwrap()), Some(Code::Internal));
    assert!(reply.to_bytes().is_empty());
}

#[test]
fn a_request_in_one_piece_is_known_to_be_whole() {
    let all = namespaces(100, 1 << 20);
    let whole = Body::Full(frame(b"\x0a\x01k").into());
    let Entered::Edited(mut call, _) = all.enter(call(RANGE, whole)) else { panic!("not edited") };
    assert!(!call.body.is_end_stream());
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(std::pin::Pin::new(&mut call.body).poll_frame(&mut cx).is_ready());
    assert!(call.body.is_end_stream());
}

#[test]
fn what_waits_is_limited_for_all_together() {
    let all = namespaces(1000, 100);
    let flow = || Flow::of_requests(namespace(), request(RANGE), &all);
    let (mut one, mut other) = (flow(), Flow::of_answers(namespace(), answer(RANGE), &all));
    let part = Bytes::from(frame(&[0; 200])[..60].to_vec());
    assert!(one.on_data(part.clone()).is_ok());
    assert_eq!(all.metrics.bytes.get(), 60);
    assert_eq!(other.on_data(part.clone()).unwrap_err().code, Code::ResourceExhausted);
    drop(other);
    assert!(flow().on_data(part.slice(..40)).is_ok());
    drop(one);
    assert_eq!(all.metrics.bytes.get(), 0);
}
