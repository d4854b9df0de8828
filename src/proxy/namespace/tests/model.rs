//! What should become of a message, said of the decoded one.

use bytes::Bytes;

use crate::proto::etcdserverpb as pb;
use crate::proto::mvccpb::{Event, KeyValue};
use crate::proto::{v3electionpb as election, v3lockpb as lock};
use pb::request_op::Request;
use pb::response_op::Response;

pub(super) const PREFIX: &[u8] = b"/team/";
pub(super) const END: &[u8] = b"/team0";

pub(super) fn key(key: &mut Bytes) {
    if !key.is_empty() {
        *key = [PREFIX, key].concat().into();
    }
}

/// Where an empty one means something.
fn name(name: &mut Bytes) {
    *name = [PREFIX, name].concat().into();
}

pub(super) fn end(end: &mut Bytes) {
    match &end[..] {
        b"" => {}
        b"\0" => *end = Bytes::from_static(END),
        _ => key(end),
    }
}

fn stripped(key: &mut Bytes) {
    *key = Bytes::copy_from_slice(key.strip_prefix(PREFIX).expect("the test puts it there"));
}

pub(super) trait Model: std::fmt::Debug + prost::Message + Default + PartialEq {
    /// To the cluster, or from it.
    fn edit(&mut self);
}

impl Model for pb::RangeRequest {
    fn edit(&mut self) {
        key(&mut self.key);
        end(&mut self.range_end);
    }
}

impl Model for pb::PutRequest {
    fn edit(&mut self) {
        key(&mut self.key);
    }
}

impl Model for pb::DeleteRangeRequest {
    fn edit(&mut self) {
        key(&mut self.key);
        end(&mut self.range_end);
    }
}

impl Model for pb::TxnRequest {
    fn edit(&mut self) {
        for compare in &mut self.compare {
            key(&mut compare.key);
            end(&mut compare.range_end);
        }
        for op in self.success.iter_mut().chain(&mut self.failure) {
            match &mut op.request {
                Some(Request::RequestRange(range)) => range.edit(),
                Some(Request::RequestPut(put)) => put.edit(),
                Some(Request::RequestDeleteRange(delete)) => delete.edit(),
                Some(Request::RequestTxn(txn)) => txn.edit(),
                None => {}
            }
        }
    }
}

impl Model for pb::WatchRequest {
    fn edit(&mut self) {
        if let Some(pb::watch_request::RequestUnion::CreateRequest(create)) = &mut self.request_union {
            if create.key.is_empty() {
                create.key = Bytes::from_static(b"\0");
            }
            key(&mut create.key);
            end(&mut create.range_end);
        }
    }
}

impl Model for lock::LockRequest {
    fn edit(&mut self) {
        name(&mut self.name);
    }
}

impl Model for lock::UnlockRequest {
    fn edit(&mut self) {
        key(&mut self.key);
    }
}

impl Model for election::CampaignRequest {
    fn edit(&mut self) {
        name(&mut self.name);
    }
}

impl Model for election::LeaderRequest {
    fn edit(&mut self) {
        name(&mut self.name);
    }
}

impl Model for election::ProclaimRequest {
    fn edit(&mut self) {
        if let Some(leader) = &mut self.leader {
            name(&mut leader.name);
            key(&mut leader.key);
        }
    }
}

impl Model for pb::RangeResponse {
    fn edit(&mut self) {
        self.kvs.iter_mut().for_each(|kv| stripped(&mut kv.key));
    }
}

impl Model for pb::RangeStreamResponse {
    fn edit(&mut self) {
        self.range_response.iter_mut().for_each(Model::edit);
    }
}

impl Model for pb::PutResponse {
    fn edit(&mut self) {
        self.prev_kv.iter_mut().for_each(|kv| stripped(&mut kv.key));
    }
}

impl Model for pb::DeleteRangeResponse {
    fn edit(&mut self) {
        self.prev_kvs.iter_mut().for_each(|kv| stripped(&mut kv.key));
    }
}

impl Model for pb::TxnResponse {
    fn edit(&mut self) {
        for op in &mut self.responses {
            match &mut op.response {
                Some(Response::ResponseRange(range)) => range.edit(),
                Some(Response::ResponsePut(put)) => put.edit(),
                Some(Response::ResponseDeleteRange(delete)) => delete.edit(),
                Some(Response::ResponseTxn(txn)) => txn.edit(),
                None => {}
            }
        }
    }
}

impl Model for pb::WatchResponse {
    fn edit(&mut self) {
        for Event { kv, prev_kv, .. } in &mut self.events {
            kv.iter_mut().chain(prev_kv).for_each(|kv: &mut KeyValue| stripped(&mut kv.key));
        }
    }
}

impl Model for pb::LeaseTimeToLiveResponse {
    fn edit(&mut self) {
        self.keys.retain(|key| key.starts_with(PREFIX) && key != PREFIX);
        self.keys.iter_mut().for_each(stripped);
    }
}

impl Model for lock::LockResponse {
    fn edit(&mut self) {
        stripped(&mut self.key);
    }
}

impl Model for election::CampaignResponse {
    fn edit(&mut self) {
        if let Some(leader) = &mut self.leader {
            stripped(&mut leader.name);
            stripped(&mut leader.key);
        }
    }
}

impl Model for election::LeaderResponse {
    fn edit(&mut self) {
        self.kv.iter_mut().for_each(|kv| stripped(&mut kv.key));
    }
}
