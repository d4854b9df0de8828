//! Endpoints that the DNS tells, and that change while the process runs.

mod endpoints;
mod outage;
mod resolver;

use std::time::{Duration, Instant};

use etcdlet::proto::etcdserverpb as pb;
use tokio::time::sleep;

use crate::support::dns::DnsServer;
use crate::support::grpc::{Channel, Status};
use crate::support::sidecar::Sidecar;

const PLAIN: &str = "_etcd-client._tcp.test";
const PUT: &str = "/etcdserverpb.KV/Put";

/// A sidecar that asks `dns` about `upstream`, the section's own lines.
fn in_front(dns: &DnsServer, upstream: &str) -> Sidecar {
    Sidecar::with_config(&format!(
        "
listen: [{{url: 'http://{{listen}}'}}]
admin: {{url: 'http://{{admin}}'}}
upstream:
  nameservers: ['{}']
  {upstream}
",
        dns.addr(),
    ))
}

/// The endpoints with this source that the admin port names, sorted.
fn endpoints(sidecar: &Sidecar, source: &str) -> Vec<String> {
    let (status, body) = sidecar.admin_get("/cluster");
    assert_eq!(status, 200, "{body}");
    let cluster: serde_json::Value = serde_json::from_str(&body).expect("/cluster is JSON");
    let members = cluster["members"].as_array().expect("/cluster has members").iter();
    let mut endpoints: Vec<String> = members
        .filter(|member| member["source"] == source)
        .map(|member| member["endpoint"].as_str().expect("an endpoint is text").to_owned())
        .collect();
    endpoints.sort();
    endpoints
}

/// Waits until exactly these endpoints are known from this source.
async fn endpoints_become(sidecar: &Sidecar, source: &str, expected: &[String], limit: Duration) {
    let mut expected = expected.to_vec();
    expected.sort();
    let deadline = Instant::now() + limit;
    loop {
        let actual = endpoints(sidecar, source);
        if actual == expected {
            // Whoever forwards the calls hears of it a moment later.
            sleep(Duration::from_millis(50)).await;
            return;
        }
        assert!(
            Instant::now() < deadline,
            "after {limit:?}: {actual:?}, not {expected:?}: {}",
            sidecar.log()
        );
        sleep(Duration::from_millis(20)).await;
    }
}

async fn put(channel: &Channel) -> Result<pb::PutResponse, Status> {
    let request = pb::PutRequest { key: b"k".to_vec().into(), ..Default::default() };
    channel.call(PUT, &request).await
}

/// As many calls as make it likely that every endpoint gets one.
async fn calls_succeed(channel: &Channel) {
    for round in 0..20 {
        let answer = put(channel).await;
        assert!(answer.is_ok(), "round {round}: {answer:?}");
    }
}

async fn until(limit: Duration, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !holds().await {
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// The least TTL there is, and what it takes to ask again and to connect.
const FOLLOWED: Duration = Duration::from_secs(3);
