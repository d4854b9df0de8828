//! How the cluster is watched, seen from outside: by `/cluster` on the admin port, and by who answers.

mod advertised;
mod auth;
mod defragmentation;
mod lag;
mod learner;
mod outage;
mod single;
mod spread;

use std::time::{Duration, Instant};

use etcdlet::proto::etcdserverpb as pb;
use http::HeaderMap;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::sleep;

use crate::observability::metric;
use crate::support::etcd::{Cluster, Etcd};
use crate::support::grpc::{Channel, Status, Stream};
use crate::support::load::{PUT, RANGE};
use crate::support::sidecar::Sidecar;

/// A client that wants to know who answered: every result is the id of a member.
#[derive(Clone)]
struct Client {
    channel: Channel,
    metadata: HeaderMap,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    Linearizable,
    Serializable,
}

impl Client {
    async fn connect(url: &str) -> Self {
        let channel = Channel::connect(url).await.expect("it accepts");
        Self { channel, metadata: HeaderMap::new() }
    }

    async fn get(&self, read: Read) -> Result<u64, Status> {
        let serializable = read == Read::Serializable;
        let request = pb::RangeRequest { key: KEY.into(), serializable, ..Default::default() };
        let answer: pb::RangeResponse =
            self.channel.call_with(RANGE, self.metadata.clone(), &request).await?;
        Ok(answer.header.expect("every answer has a header").member_id)
    }

    async fn put(&self) -> Result<u64, Status> {
        let request = pb::PutRequest { key: KEY.into(), value: "v".into(), ..Default::default() };
        let answer: pb::PutResponse = self.channel.call_with(PUT, self.metadata.clone(), &request).await?;
        Ok(answer.header.expect("every answer has a header").member_id)
    }

    /// So many calls of each kind, one after another; none may fail. Who answered them.
    async fn call_all(&self, count: usize) -> Vec<u64> {
        let mut members = Vec::new();
        for number in 0..count {
            for answer in [self.put().await, self.get(Read::Linearizable).await, self.read().await] {
                members.push(answer.unwrap_or_else(|status| panic!("call {number}: {status:?}")));
            }
        }
        members
    }

    async fn read(&self) -> Result<u64, Status> {
        self.get(Read::Serializable).await
    }

    /// A watch of the key, once it is created.
    async fn watch(&self) -> Stream {
        let path = "/etcdserverpb.Watch/Watch";
        let mut stream = self.channel.stream(path, self.metadata.clone()).await.expect("a stream opens");
        let create = pb::WatchCreateRequest { key: KEY.into(), ..Default::default() };
        let union = pb::watch_request::RequestUnion::CreateRequest(create);
        stream.send_message(&pb::WatchRequest { request_union: Some(union) });
        let created: pb::WatchResponse = stream.next_message(SOON).await;
        assert!(created.created, "{created:?}");
        stream
    }
}

/// The ids of the members, in the order of the cluster's.
async fn ids(cluster: &Cluster) -> Vec<u64> {
    let mut ids = Vec::new();
    for member in &cluster.members {
        ids.push(Client::connect(&member.endpoint()).await.read().await.expect("a healthy member answers"));
    }
    ids
}

/// The configuration of a sidecar with these lines in its section `upstream`.
fn config(endpoints: &[String], upstream: &str) -> String {
    let endpoints = endpoints.join("', '");
    format!(
        "
listen: [{{url: 'http://{{listen}}'}}]
admin: {{url: 'http://{{admin}}'}}
upstream:
  endpoints: ['{endpoints}']
  {upstream}
"
    )
}

fn view(sidecar: &Sidecar) -> Value {
    let (status, body) = sidecar.admin_get("/cluster");
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).expect("/cluster is JSON")
}

fn member<'a>(view: &'a Value, endpoint: &str) -> Option<&'a Value> {
    let members = view["members"].as_array().expect("/cluster has members");
    members.iter().find(|member| member["endpoint"] == endpoint)
}

/// How a member is: "absent", its state, or why it is out.
fn standing<'a>(view: &'a Value, endpoint: &str) -> &'a str {
    member(view, endpoint).map_or("absent", |member| {
        member["reason"].as_str().or(member["state"].as_str()).expect("a member has a state")
    })
}

fn all_are(view: &Value, endpoints: &[String], expected: &str) -> bool {
    endpoints.iter().all(|endpoint| standing(view, endpoint) == expected)
}

pub(crate) async fn view_becomes(
    sidecar: &Sidecar,
    limit: Duration,
    what: &str,
    holds: impl Fn(&Value) -> bool,
) -> Value {
    let deadline = Instant::now() + limit;
    loop {
        let view = view(sidecar);
        if holds(&view) {
            return view;
        }
        assert!(
            Instant::now() < deadline,
            "not within {limit:?}: {what}: {view:#}\nthe sidecar's log:\n{}",
            sidecar.log()
        );
        sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until all of them are in rotation and the leader is known.
async fn settles(sidecar: &Sidecar, endpoints: &[String]) {
    view_becomes(sidecar, SOON, "all is well", |view| {
        view["leader_state"] == "known" && view["suspicion"] == false && all_are(view, endpoints, "healthy")
    })
    .await;
}

/// Waits until this member answers serializable reads again.
async fn gets_reads(client: &Client, id: u64) {
    let deadline = Instant::now() + SOON;
    while client.read().await.expect("a read succeeds") != id {
        assert!(Instant::now() < deadline, "{id:x} gets no reads");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Calls that the sidecar sent to an endpoint.
fn calls(sidecar: &Sidecar, endpoint: &str) -> f64 {
    metric(sidecar, &format!("etcdlet_upstream_calls_total{{endpoint=\"{endpoint}\"}}"))
}

fn streams(sidecar: &Sidecar, endpoint: &str) -> f64 {
    metric(sidecar, &format!("etcdlet_upstream_streams{{endpoint=\"{endpoint}\"}}"))
}

fn has_leader(sidecar: &Sidecar) -> bool {
    metric(sidecar, "etcdlet_cluster_has_leader") > 0.5
}

/// Lets it run for a seventh of the time, once: repeated, it is a slow member that still answers.
async fn doze(member: &mut Etcd) {
    member.freeze();
    sleep(Duration::from_millis(60)).await;
    member.thaw();
    sleep(Duration::from_millis(10)).await;
}

/// Those that measure time don't measure each other.
static ALONE: Mutex<()> = Mutex::const_new(());

const KEY: &str = "k";
/// What takes longer is no reaction.
const SOON: Duration = Duration::from_secs(10);
