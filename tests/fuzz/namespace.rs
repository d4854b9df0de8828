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
        // Decoders differ in what they make of pieces, so each has to be inside by itself.
        for (message, at) in [(range, RANGE), (put, PUT), (delete, RANGE), (txn, TXN), (watch, WATCH)] {
            message.into_iter().for_each(|message| assert_pieces_within(message, at));
        }
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

/// What stands in a field.
#[derive(Clone, Copy)]
enum At {
    End,
    In(&'static [(u64, At)]),
    Key,
}

const PUT: &[(u64, At)] = &[(1, At::Key)];
const RANGE: &[(u64, At)] = &[(1, At::Key), (2, At::End)];
/// Deeper ones are for the decoder that merges.
const OPERATION: At = At::In(&[(1, At::In(RANGE)), (2, At::In(PUT)), (3, At::In(RANGE))]);
const TXN: &[(u64, At)] = &[(1, At::In(&[(3, At::Key), (64, At::End)])), (2, OPERATION), (3, OPERATION)];
const WATCH: &[(u64, At)] = &[(1, At::In(RANGE))];

/// By a decoder that takes each piece of a message for all of it.
fn assert_pieces_within(mut message: &[u8], at: &[(u64, At)]) {
    while !message.is_empty() {
        let tag = varint(&mut message);
        let bytes = match tag & 7 {
            0 => {
                varint(&mut message);
                continue;
            }
            1 => take(&mut message, 8),
            2 => {
                let length = varint(&mut message);
                take(&mut message, length as usize)
            }
            5 => take(&mut message, 4),
            other => panic!("a field of type {other} was let in"),
        };
        let field = at.iter().find(|(number, _)| tag & 7 == 2 && *number == tag >> 3);
        match field {
            Some((_, At::Key)) => assert_within(bytes, b""),
            Some((_, At::End)) => assert_within(b"", bytes),
            Some((_, At::In(at))) => assert_pieces_within(bytes, at),
            None => {}
        }
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    prost::encoding::decode_varint(bytes).expect("what cannot be read is refused")
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> &'a [u8] {
    bytes.split_off(..length).expect("what is cut is refused")
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
