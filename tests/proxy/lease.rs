//! Keep-alives through the lease hub: what clients see is what etcd says, whoever shares their streams.

mod alike;
mod auth;
mod lessor;
mod limits;
mod moves;
mod resends;
mod sharing;

use std::time::Duration;

use etcdlet::proto::etcdserverpb as pb;
use http::HeaderMap;

use crate::support::grpc::{Channel, Stream};
use crate::support::sidecar::Sidecar;

const GRANT: &str = "/etcdserverpb.Lease/LeaseGrant";
const KEEP_ALIVE: &str = "/etcdserverpb.Lease/LeaseKeepAlive";
const LEASES: &str = "/etcdserverpb.Lease/LeaseLeases";
const REVOKE: &str = "/etcdserverpb.Lease/LeaseRevoke";
const TIME_TO_LIVE: &str = "/etcdserverpb.Lease/LeaseTimeToLive";

const SOON: Duration = Duration::from_secs(5);

const REQUESTS: &str = "etcdlet_lease_requests_total";
const RENEWALS: &str = "etcdlet_lease_renewals_total";
const RESENDS: &str = "etcdlet_lease_resends_total";

/// A sidecar in front of these, with more in its configuration.
pub(crate) fn configured(endpoints: &[String], more: &str) -> Sidecar {
    let endpoints = endpoints.join("', '");
    Sidecar::with_config(&format!(
        "
listen: [{{url: 'http://{{listen}}'}}]
upstream: {{endpoints: ['{endpoints}']}}
admin: {{url: 'http://{{admin}}'}}
{more}
"
    ))
}

async fn connect(sidecar: &Sidecar) -> Channel {
    Channel::connect(&sidecar.url()).await.expect("etcdlet accepts")
}

async fn keep_alive(channel: &Channel, metadata: HeaderMap) -> Stream {
    channel.stream(KEEP_ALIVE, metadata).await.expect("a stream opens")
}

fn beat(stream: &mut Stream, id: i64) {
    stream.send_message(&pb::LeaseKeepAliveRequest { id });
}

async fn beaten(stream: &mut Stream) -> pb::LeaseKeepAliveResponse {
    stream.next_message(SOON).await
}

async fn grant(channel: &Channel, id: i64, ttl: i64) {
    let request = pb::LeaseGrantRequest { id, ttl };
    let granted: pb::LeaseGrantResponse = channel.call(GRANT, &request).await.expect("a lease is granted");
    assert_eq!(granted.id, id);
}
