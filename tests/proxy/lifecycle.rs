//! How the process starts, serves and ends.

mod drain;
mod limits;
mod streams;

use std::time::Duration;

use etcdlet::proto::etcdserverpb as pb;
use http::HeaderMap;

use crate::support::grpc::{Channel, Stream};
use crate::support::sidecar::Sidecar;

/// A sidecar in front of `endpoint` with more in its configuration.
fn configured(endpoint: &str, more: &str) -> Sidecar {
    Sidecar::with_config(&format!(
        "
listen: [{{url: 'http://{{listen}}'}}]
upstream: {{endpoints: ['{endpoint}']}}
admin: {{url: 'http://{{admin}}'}}
{more}
"
    ))
}

/// A watch whose creation was confirmed.
pub(crate) async fn watch(channel: &Channel, key: &'static str) -> Stream {
    let mut stream =
        channel.stream("/etcdserverpb.Watch/Watch", HeaderMap::new()).await.expect("a stream opens");
    let create = pb::WatchCreateRequest { key: key.into(), ..Default::default() };
    let union = pb::watch_request::RequestUnion::CreateRequest(create);
    stream.send_message(&pb::WatchRequest { request_union: Some(union) });
    assert!(stream.next_message::<pb::WatchResponse>(Duration::from_secs(5)).await.created);
    stream
}
