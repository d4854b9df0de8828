//! Three real members behind one sidecar: who answers what, and what the sidecar knows of them.
//!
//! `ETCDLET_LONG=1` makes the counts ten times as high.

mod admin;
mod alarms;
mod load;
mod read_your_writes;
mod restore;
mod routing;
pub(crate) mod shown;
mod traffic;

use std::time::Duration;

use etcdlet::proto::etcdserverpb as pb;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::time::{Instant, sleep};

use crate::support::etcd::{Cluster, Etcd};
use crate::support::grpc::{Channel, Status};
use crate::support::sidecar::Sidecar;

const LEASE_GRANT: &str = "/etcdserverpb.Lease/LeaseGrant";
const LEASE_LEASES: &str = "/etcdserverpb.Lease/LeaseLeases";
const LEASE_REVOKE: &str = "/etcdserverpb.Lease/LeaseRevoke";
const PUT: &str = "/etcdserverpb.KV/Put";
const RANGE: &str = "/etcdserverpb.KV/Range";
const STATUS: &str = "/etcdserverpb.Maintenance/Status";
const TXN: &str = "/etcdserverpb.KV/Txn";

/// For a test that neither measures nor disturbs.
async fn beside_others() -> RwLockReadGuard<'static, ()> {
    TURN.read().await
}

/// For a test that others of this folder would disturb, or that would disturb them.
async fn alone() -> RwLockWriteGuard<'static, ()> {
    TURN.write().await
}

static TURN: RwLock<()> = RwLock::const_new(());

/// A sidecar that knows all the members of `cluster` and their leader.
async fn in_front(cluster: &Cluster) -> Sidecar {
    let sidecar = Sidecar::start(&cluster.endpoints());
    all_known(&sidecar, cluster.members.len()).await;
    sidecar
}

/// Waits until so many members are healthy and have a name, and one of them leads.
async fn all_known(sidecar: &Sidecar, members: usize) {
    shown::until(sidecar, Duration::from_secs(15), "all members are known", |shown| {
        let known = shown.members.iter().filter(|it| it.healthy() && it.name.is_some()).count();
        known == members && shown.leader.is_some()
    })
    .await;
}

async fn connect(sidecar: &Sidecar) -> Channel {
    Channel::connect(&sidecar.url()).await.expect("the sidecar accepts")
}

async fn connect_to(member: &Etcd) -> Channel {
    Channel::connect(&member.endpoint()).await.expect("the member accepts")
}

async fn put(channel: &Channel, key: &str, value: &str) -> Result<pb::PutResponse, Status> {
    let request =
        pb::PutRequest { key: key.to_owned().into(), value: value.to_owned().into(), ..Default::default() };
    channel.call(PUT, &request).await
}

fn range(key: &str, serializable: bool) -> pb::RangeRequest {
    pb::RangeRequest { key: key.to_owned().into(), serializable, ..Default::default() }
}

async fn get(channel: &Channel, key: &str, serializable: bool) -> Result<pb::RangeResponse, Status> {
    channel.call(RANGE, &range(key, serializable)).await
}

/// Calls of this method that reached `member` so far, streams that are open and what it refused included.
fn started(member: &Etcd, method: &str) -> u64 {
    started_by_method(member).into_iter().filter(|(name, _)| name == method).map(|(_, count)| count).sum()
}

/// The same for every method that was called at all.
fn started_by_method(member: &Etcd) -> Vec<(String, u64)> {
    let count = |line: &str| {
        let (labels, count) = line.strip_prefix("grpc_server_started_total{")?.rsplit_once("} ")?;
        let (_, method) = labels.split_once("grpc_method=\"")?;
        let (method, _) = method.split_once('"')?;
        let count: f64 = count.parse().expect("a count is a number");
        (count > 0.0).then(|| (method.to_owned(), count as u64))
    };
    member.metrics().lines().filter_map(count).collect()
}

/// The methods that were called at `member` for others than the sidecar itself, which asks every member how it is and,
/// a few times, reads a key that there is not.
fn asked_for_clients(member: &Etcd) -> Vec<(String, u64)> {
    let by_itself =
        |method: &str, count| matches!(method, "MemberList" | "Status") || method == "Range" && count < 20;
    started_by_method(member).into_iter().filter(|(method, count)| !by_itself(method, *count)).collect()
}

/// Waits until `holds`, and says how long that took.
async fn until(limit: Duration, what: &str, mut holds: impl AsyncFnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        sleep(Duration::from_millis(20)).await;
    }
    began.elapsed()
}
