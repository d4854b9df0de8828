//! The table of calls, in the order in which they are made: the store's history is part of every answer.

pub(crate) mod auth;
pub(crate) mod cluster;
pub(crate) mod compact;
pub(crate) mod concurrency;
pub(crate) mod health;
pub(crate) mod kv;
pub(crate) mod lease;
pub(crate) mod maintenance;
pub(crate) mod txn;
pub(crate) mod watch;
pub(crate) mod wire;

use etcdlet::proto::etcdserverpb as pb;

use super::entry::Entry;

/// Everything, for the version that most clusters run.
pub(crate) fn whole() -> Vec<Entry> {
    let parts = [
        kv_only(),
        watch::entries(),
        lease::entries(),
        wire::entries(),
        health::entries(),
        cluster::entries(),
        maintenance::entries(),
        concurrency::entries(),
        auth::entries(),
    ];
    parts.into_iter().flatten().collect()
}

/// What etcd has since 3.6.
pub(crate) fn kv_since_3_6() -> Vec<Entry> {
    [kv_only(), kv::unknown_targets(), wire::broken_api_version()].into_iter().flatten().collect()
}

/// What every etcd since 3.4 has.
pub(crate) fn kv_only() -> Vec<Entry> {
    [kv::entries(), txn::entries(), compact::entries()].into_iter().flatten().collect()
}

fn put(key: &'static str, value: &'static str) -> pb::PutRequest {
    pb::PutRequest { key: key.into(), value: value.into(), ..Default::default() }
}

fn range(key: &'static str) -> pb::RangeRequest {
    pb::RangeRequest { key: key.into(), ..Default::default() }
}

/// All keys that begin so; of the empty prefix, all keys.
fn prefix(prefix: &'static str) -> pb::RangeRequest {
    let (key, range_end) = interval(prefix);
    pb::RangeRequest { key: key.into(), range_end: range_end.into(), ..Default::default() }
}

fn delete(key: &'static str) -> pb::DeleteRangeRequest {
    pb::DeleteRangeRequest { key: key.into(), ..Default::default() }
}

/// The keys that begin so, the way every client writes it.
fn interval(prefix: &str) -> (Vec<u8>, Vec<u8>) {
    let mut end = prefix.as_bytes().to_vec();
    match end.last_mut() {
        Some(last) => {
            *last += 1;
            (prefix.as_bytes().to_vec(), end)
        }
        None => (vec![0], vec![0]),
    }
}

fn every<A: Clone, B: Clone>(left: &[A], right: &[B]) -> Vec<(A, B)> {
    left.iter().flat_map(|a| right.iter().map(|b| (a.clone(), b.clone()))).collect()
}

const RANGE: &str = "/etcdserverpb.KV/Range";
const RANGE_STREAM: &str = "/etcdserverpb.KV/RangeStream";
const PUT: &str = "/etcdserverpb.KV/Put";
const DELETE: &str = "/etcdserverpb.KV/DeleteRange";
const TXN: &str = "/etcdserverpb.KV/Txn";
const COMPACT: &str = "/etcdserverpb.KV/Compact";
const WATCH: &str = "/etcdserverpb.Watch/Watch";
const GRANT: &str = "/etcdserverpb.Lease/LeaseGrant";
const REVOKE: &str = "/etcdserverpb.Lease/LeaseRevoke";
const KEEP_ALIVE: &str = "/etcdserverpb.Lease/LeaseKeepAlive";
const TIME_TO_LIVE: &str = "/etcdserverpb.Lease/LeaseTimeToLive";
const LEASES: &str = "/etcdserverpb.Lease/LeaseLeases";
const MEMBER_ADD: &str = "/etcdserverpb.Cluster/MemberAdd";
const MEMBER_REMOVE: &str = "/etcdserverpb.Cluster/MemberRemove";
const MEMBER_UPDATE: &str = "/etcdserverpb.Cluster/MemberUpdate";
const MEMBER_LIST: &str = "/etcdserverpb.Cluster/MemberList";
const MEMBER_PROMOTE: &str = "/etcdserverpb.Cluster/MemberPromote";
const ALARM: &str = "/etcdserverpb.Maintenance/Alarm";
const STATUS: &str = "/etcdserverpb.Maintenance/Status";
const DEFRAGMENT: &str = "/etcdserverpb.Maintenance/Defragment";
const HASH: &str = "/etcdserverpb.Maintenance/Hash";
const HASH_KV: &str = "/etcdserverpb.Maintenance/HashKV";
const SNAPSHOT: &str = "/etcdserverpb.Maintenance/Snapshot";
const MOVE_LEADER: &str = "/etcdserverpb.Maintenance/MoveLeader";
const DOWNGRADE: &str = "/etcdserverpb.Maintenance/Downgrade";
const LOCK: &str = "/v3lockpb.Lock/Lock";
const UNLOCK: &str = "/v3lockpb.Lock/Unlock";
const CAMPAIGN: &str = "/v3electionpb.Election/Campaign";
const PROCLAIM: &str = "/v3electionpb.Election/Proclaim";
const LEADER: &str = "/v3electionpb.Election/Leader";
const OBSERVE: &str = "/v3electionpb.Election/Observe";
const RESIGN: &str = "/v3electionpb.Election/Resign";
const HEALTH_CHECK: &str = "/grpc.health.v1.Health/Check";
const HEALTH_WATCH: &str = "/grpc.health.v1.Health/Watch";
