//! What goes wrong behind etcdlet, and what its clients see of it.

mod balance;
mod before;
mod cancel;
mod codes;
mod endpoints;
mod goaway;
mod loops;
mod midway;
mod passage;
mod requests;

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

/// A sidecar in front of one scripted member, and a connection to it.
async fn in_front(upstream: &Upstream) -> (Sidecar, Channel) {
    let sidecar = Sidecar::start(&[upstream.url()]);
    let channel = Channel::connect(&sidecar.url()).await.expect("etcdlet accepts");
    (sidecar, channel)
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

/// Waits until `holds`, without holding up the connections that run on this thread.
async fn until(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
