//! Requests on a listener with a namespace: none gets out of it, however its bytes are put.

use bytes::Bytes;
use prost::Message;

use super::engine::Target;
use crate::proto::etcdserverpb::request_op::Request;
use crate::proto::etcdserverpb::watch_request::RequestUnion;
use crate::proto::etcdserverpb::{DeleteRangeRequest, PutRequest, RangeRequest, TxnRequest, WatchRequest};
use crate::proxy::namespace::edited_request;

const PREFIX: &[u8] = b"/n/";
const END: &[u8] = b"/n0";

#[test]
fn no_key_of_a_request_is_outside_of_its_namespace() {
    let words: &[&[u8]] = &[b"\x0a\x01a", b"\x12\x01\0", b"\x1a\x01k", b"\x12\x04\x12\x02\x0a\0"];
    let target = Target { name: "namespace", words };
    target.run(|input| {
        let paths = ["KV/Range", "KV/Put", "KV/DeleteRange", "KV/Txn", "Watch/Watch"];
        let edited = paths.map(|path| edited_request(PREFIX, &format!("/etcdserverpb.{path}"), input));
        let [range, put, delete, txn, watch] = edited.each_ref().map(Option::as_deref);
        if let Some(Ok(range)) = range.map(RangeRequest::decode) {
            assert_within(&range.key, &range.range_end);
        }
        if let Some(Ok(put)) = put.map(PutRequest::decode) {
            assert_within(&put.key, &Bytes::new());
        }
        if let Some(Ok(delete)) = delete.map(DeleteRangeRequest::decode) {
            assert_within(&delete.key, &delete.range_end);
        }
        if let Some(Ok(txn)) = txn.map(TxnRequest::decode) {
            assert_txn_within(&txn);
        }
        if let Some(Ok(watch)) = watch.map(WatchRequest::decode)
            && let Some(RequestUnion::CreateRequest(create)) = &watch.request_union
        {
            assert!(
                !create.key.is_empty() || create.range_end.is_empty(),
                "an empty key is the first of all"
            );
            assert_within(&create.key, &create.range_end);
        }
        edited.map(|edited| edited.map(|edited| edited.len() - input.len().min(edited.len())))
    });
}

fn assert_txn_within(txn: &TxnRequest) {
    for compare in &txn.compare {
        assert_within(&compare.key, &compare.range_end);
    }
    for operation in txn.success.iter().chain(&txn.failure) {
        match &operation.request {
            Some(Request::RequestDeleteRange(delete)) => assert_within(&delete.key, &delete.range_end),
            Some(Request::RequestPut(put)) => assert_within(&put.key, &Bytes::new()),
            Some(Request::RequestRange(range)) => assert_within(&range.key, &range.range_end),
            Some(Request::RequestTxn(txn)) => assert_txn_within(txn),
            None => {}
        }
    }
}

/// etcd refuses what has an empty key.
fn assert_within(key: &[u8], end: &[u8]) {
    assert!(key.is_empty() || key.starts_with(PREFIX), "{:?}", key.escape_ascii().to_string());
    let ends = end.is_empty() || end.starts_with(PREFIX) || end == END;
    assert!(ends, "{:?}", end.escape_ascii().to_string());
}
