//! What goes wrong behind etcdlet, and what its clients see of it.

mod balance;
mod before;
mod cancel;
mod codes;
mod endpoints;
mod foreign;
mod goaway;
mod hedges;
mod loops;
mod midway;
mod pair;
mod passage;
mod requests;
mod retries;
mod revisions;

use std::time::{Duration, Instant};

use http::HeaderMap;

use crate::support::grpc::{Answer, Channel, Status};
use crate::support::sidecar::Sidecar;
use crate::support::upstream::Upstream;

/// A mutation of which nothing is said but its method.
const PUT: &str = "/etcdserverpb.KV/Put";
const RANGE: &str = "/etcdserverpb.KV/Range";
const SNAPSHOT: &str = "/etcdserverpb.Maintenance/Snapshot";
const WATCH: &str = "/etcdserverpb.Watch/Watch";

/// A sidecar that passes streams one by one, in front of one scripted member, and a connection to it.
async fn in_front(upstream: &Upstream) -> (Sidecar, Channel) {
    let sidecar = Sidecar::passing(&[upstream.url()]);
    let channel = Channel::connect(&sidecar.url()).await.expect("etcdlet accepts");
    (sidecar, channel)
}

/// The same in front of several, with more in its configuration.
async fn in_front_of(upstreams: &[&Upstream], more: &str) -> (Sidecar, Channel) {
    let urls: Vec<String> = upstreams.iter().map(|upstream| upstream.url()).collect();
    let sidecar = configured(&urls, more);
    let channel = Channel::connect(&sidecar.url()).await.expect("etcdlet accepts");
    (sidecar, channel)
}

fn configured(endpoints: &[String], more: &str) -> Sidecar {
    let endpoints = endpoints.join("', '");
    Sidecar::with_config(&format!(
        "
listen: [{{url: 'http://{{listen}}'}}]
upstream: {{endpoints: ['{endpoints}']}}
admin: {{url: 'http://{{admin}}'}}
watch: {{coalesce: false}}
{more}
"
    ))
}

async fn call(channel: &Channel, path: &str) -> Answer {
    channel.unary(path, HeaderMap::new(), b"\n\x01a").await
}

fn unavailable(message: &str) -> Status {
    Status { code: Some(14), message: message.into() }
}

fn lost(path: &str) -> Status {
    match path {
        PUT => unavailable("etcdlet: upstream connection lost, outcome unknown"),
        _ => unavailable("etcdlet: upstream connection lost"),
    }
}

/// Reads go on being asked for a moment only, so that it can be seen how they end.
const SHORT: &str = "retry: {read-limit: 300ms}";

/// Waits until `holds`, without holding up the connections that run on this thread.
pub(crate) async fn until(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
