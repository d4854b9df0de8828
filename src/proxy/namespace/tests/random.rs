//! Messages by chance.

use bytes::Bytes;
use fastrand::Rng;

use super::model::PREFIX;
use crate::proto::etcdserverpb as pb;
use crate::proto::mvccpb::{Event, KeyValue};
use crate::proto::{v3electionpb as election, v3lockpb as lock};
use pb::request_op::Request;
use pb::response_op::Response;

/// A key as a client says it: short, so that they meet.
pub(super) fn key(random: &mut Rng) -> Bytes {
    (0..random.usize(..4)).map(|_| *random.choice(&[0, b'a', b'/', 0xff]).unwrap()).collect()
}

fn end(random: &mut Rng) -> Bytes {
    if random.bool() { Bytes::from_static(b"\0") } else { key(random) }
}

/// A key as a member says it.
fn full(random: &mut Rng) -> Bytes {
    [PREFIX, b"k", &key(random)].concat().into()
}

fn value(random: &mut Rng) -> Bytes {
    vec![0x0a; random.usize(..300)].into()
}

fn range(random: &mut Rng) -> pb::RangeRequest {
    pb::RangeRequest {
        key: key(random),
        range_end: end(random),
        limit: random.i64(-1..300),
        serializable: random.bool(),
        ..Default::default()
    }
}

fn put(random: &mut Rng) -> pb::PutRequest {
    let (key, value, lease) = (key(random), value(random), random.i64(..));
    pb::PutRequest { key, value, lease, prev_kv: random.bool(), ..Default::default() }
}

fn delete(random: &mut Rng) -> pb::DeleteRangeRequest {
    pb::DeleteRangeRequest { key: key(random), range_end: end(random), prev_kv: random.bool() }
}

fn compare(random: &mut Rng) -> pb::Compare {
    let target_union = match random.u8(..3) {
        0 => None,
        1 => Some(pb::compare::TargetUnion::Value(value(random))),
        _ => Some(pb::compare::TargetUnion::ModRevision(random.i64(..))),
    };
    let (result, target) = (random.i32(..4), random.i32(..5));
    pb::Compare { result, target, key: key(random), range_end: end(random), target_union }
}

fn request_op(random: &mut Rng, depth: usize) -> pb::RequestOp {
    let request = match random.u8(..5) {
        0 => None,
        1 => Some(Request::RequestRange(range(random))),
        2 => Some(Request::RequestPut(put(random))),
        3 => Some(Request::RequestDeleteRange(delete(random))),
        _ if depth == 0 => None,
        _ => Some(Request::RequestTxn(txn(random, depth - 1))),
    };
    pb::RequestOp { request }
}

pub(super) fn txn(random: &mut Rng, depth: usize) -> pb::TxnRequest {
    pb::TxnRequest {
        compare: (0..random.usize(..3)).map(|_| compare(random)).collect(),
        success: (0..random.usize(..4)).map(|_| request_op(random, depth)).collect(),
        failure: (0..random.usize(..4)).map(|_| request_op(random, depth)).collect(),
    }
}

pub(super) fn watch(random: &mut Rng) -> pb::WatchRequest {
    use pb::watch_request::RequestUnion;
    let request_union = match random.u8(..4) {
        0 => None,
        1 => Some(RequestUnion::CancelRequest(pb::WatchCancelRequest { watch_id: random.i64(..) })),
        _ => Some(RequestUnion::CreateRequest(pb::WatchCreateRequest {
            key: key(random),
            range_end: end(random),
            start_revision: random.i64(0..9),
            filters: (0..random.usize(..3)).map(|_| random.i32(..2)).collect(),
            prev_kv: random.bool(),
            fragment: random.bool(),
            ..Default::default()
        })),
    };
    pb::WatchRequest { request_union }
}

pub(super) fn named(random: &mut Rng) -> (lock::LockRequest, lock::UnlockRequest, election::CampaignRequest) {
    let lease = random.i64(..);
    (
        lock::LockRequest { name: key(random), lease },
        lock::UnlockRequest { key: key(random) },
        election::CampaignRequest { name: key(random), lease, value: value(random) },
    )
}

pub(super) fn proclaim(random: &mut Rng) -> election::ProclaimRequest {
    let leader = election::LeaderKey {
        name: key(random),
        key: key(random),
        rev: random.i64(..),
        lease: random.i64(..),
    };
    election::ProclaimRequest { leader: random.bool().then_some(leader), value: value(random) }
}

fn header(random: &mut Rng) -> Option<pb::ResponseHeader> {
    let header = pb::ResponseHeader { cluster_id: 1, member_id: 2, revision: random.i64(1..), raft_term: 3 };
    random.bool().then_some(header)
}

fn key_value(random: &mut Rng) -> KeyValue {
    let (key, value) = (full(random), value(random));
    KeyValue { key, value, mod_revision: random.i64(..), ..Default::default() }
}

pub(super) fn ranged(random: &mut Rng) -> pb::RangeResponse {
    let kvs = (0..random.usize(..5)).map(|_| key_value(random)).collect();
    pb::RangeResponse { header: header(random), kvs, more: random.bool(), count: random.i64(0..9) }
}

pub(super) fn put_done(random: &mut Rng) -> pb::PutResponse {
    pb::PutResponse { header: header(random), prev_kv: random.bool().then(|| key_value(random)) }
}

pub(super) fn deleted(random: &mut Rng) -> pb::DeleteRangeResponse {
    let prev_kvs = (0..random.usize(..5)).map(|_| key_value(random)).collect();
    pb::DeleteRangeResponse { header: header(random), deleted: random.i64(..9), prev_kvs }
}

fn response_op(random: &mut Rng, depth: usize) -> pb::ResponseOp {
    let response = match random.u8(..5) {
        0 => None,
        1 => Some(Response::ResponseRange(ranged(random))),
        2 => Some(Response::ResponsePut(put_done(random))),
        3 => Some(Response::ResponseDeleteRange(deleted(random))),
        _ if depth == 0 => None,
        _ => Some(Response::ResponseTxn(txn_done(random, depth - 1))),
    };
    pb::ResponseOp { response }
}

pub(super) fn txn_done(random: &mut Rng, depth: usize) -> pb::TxnResponse {
    let responses = (0..random.usize(..5)).map(|_| response_op(random, depth)).collect();
    pb::TxnResponse { header: header(random), succeeded: random.bool(), responses }
}

pub(super) fn watched(random: &mut Rng) -> pb::WatchResponse {
    let events = (0..random.usize(..6))
        .map(|_| Event {
            r#type: random.i32(..2),
            kv: Some(key_value(random)),
            prev_kv: random.bool().then(|| key_value(random)),
        })
        .collect();
    let (watch_id, fragment) = (random.i64(..9), random.bool());
    pb::WatchResponse { header: header(random), watch_id, fragment, events, ..Default::default() }
}

pub(super) fn time_to_live(random: &mut Rng) -> pb::LeaseTimeToLiveResponse {
    let keys = (0..random.usize(..6))
        .map(|_| match random.u8(..3) {
            0 => key(random),
            1 => Bytes::from_static(PREFIX),
            _ => full(random),
        })
        .collect();
    pb::LeaseTimeToLiveResponse { header: header(random), id: 1, ttl: 2, granted_ttl: 3, keys }
}

pub(super) fn campaigned(random: &mut Rng) -> election::CampaignResponse {
    let leader = election::LeaderKey { name: full(random), key: full(random), rev: 4, lease: random.i64(..) };
    election::CampaignResponse { header: header(random), leader: Some(leader) }
}

pub(super) fn led(random: &mut Rng) -> election::LeaderResponse {
    election::LeaderResponse { header: header(random), kv: Some(key_value(random)) }
}
