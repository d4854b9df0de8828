//! A listener with a namespace: within it, everything is as if its keys were all that there are.

mod alike;
mod escapes;
mod grpc_proxy;
mod listeners;
mod moves;

use std::time::Duration;

use etcdlet::proto::etcdserverpb as pb;
use pb::watch_request::RequestUnion;

use crate::support::grpc::{Channel, Stream};

const DELETE: &str = "/etcdserverpb.KV/DeleteRange";
const GRANT: &str = "/etcdserverpb.Lease/LeaseGrant";
const PUT: &str = "/etcdserverpb.KV/Put";
const RANGE: &str = "/etcdserverpb.KV/Range";
const TIME_TO_LIVE: &str = "/etcdserverpb.Lease/LeaseTimeToLive";
const TXN: &str = "/etcdserverpb.KV/Txn";
const WATCH: &str = "/etcdserverpb.Watch/Watch";

const SOON: Duration = Duration::from_secs(10);

async fn connect(url: &str) -> Channel {
    Channel::connect(url).await.expect("a connection is accepted")
}

async fn put(channel: &Channel, key: &str, value: &str) -> pb::PutResponse {
    let (key, value) = (key.to_owned().into(), value.to_owned().into());
    let request = pb::PutRequest { key, value, prev_kv: true, ..Default::default() };
    channel.call(PUT, &request).await.expect("a put succeeds")
}

/// All keys there are.
async fn all(channel: &Channel) -> Vec<String> {
    keys(channel, b"\0", b"\0").await
}

async fn keys(channel: &Channel, key: &'static [u8], end: &'static [u8]) -> Vec<String> {
    let request = pb::RangeRequest { key: key.into(), range_end: end.into(), ..Default::default() };
    let answer: pb::RangeResponse = channel.call(RANGE, &request).await.expect("a range succeeds");
    answer.kvs.iter().map(|kv| text(&kv.key)).collect()
}

/// A stream with one watch, which is created.
async fn watch(channel: &Channel, key: &'static [u8], range_end: &'static [u8]) -> Stream {
    let create = pb::WatchCreateRequest {
        key: key.into(),
        range_end: range_end.into(),
        prev_kv: true,
        ..Default::default()
    };
    let mut stream = channel.stream(WATCH, Default::default()).await.expect("a stream opens");
    stream.send_message(&pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) });
    let created: pb::WatchResponse = stream.next_message(SOON).await;
    assert!(created.created && !created.canceled, "{created:?}");
    stream
}

/// The keys of the next events, in one response or several.
async fn events(stream: &mut Stream, count: usize) -> Vec<String> {
    let mut keys = Vec::new();
    while keys.len() < count {
        let response: pb::WatchResponse = stream.next_message(SOON).await;
        for event in response.events {
            let key = text(&event.kv.as_ref().expect("an event has a key").key);
            if let Some(before) = event.prev_kv {
                assert_eq!(text(&before.key), key);
            }
            keys.push(key);
        }
    }
    keys
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
