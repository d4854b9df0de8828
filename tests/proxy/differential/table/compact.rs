//! Compact and what it takes from reads, and RangeStream, which only etcd 3.7 has.

use etcdlet::proto::etcdserverpb as pb;

use super::{COMPACT, HASH_KV, PUT, RANGE, RANGE_STREAM, TXN, every, prefix, put, range};
use crate::differential::entry::{Entry, call};

pub(crate) fn entries() -> Vec<Entry> {
    // Physical, because the hash at the compacted revision is another one until the compaction is through.
    let compact = |revision| pb::CompactionRequest { revision, physical: true };
    let at = |revision| pb::RangeRequest { revision, ..prefix("") };
    let hash = |revision| pb::HashKvRequest { revision };
    let txn_at = |revision| pb::TxnRequest {
        success: vec![pb::RequestOp { request: Some(pb::request_op::Request::RequestRange(at(revision))) }],
        ..Default::default()
    };
    let mut table = vec![
        call("hash of the keys", HASH_KV, hash(0)),
        call("hash of the keys at a revision", HASH_KV, hash(5)),
        call("hash of the keys at a future revision", HASH_KV, hash(9999)),
        call("compact to a negative revision", COMPACT, compact(-1)),
        call("compact to 0", COMPACT, compact(0)),
        call("compact to 0 again", COMPACT, compact(0)),
        call("compact to a future revision", COMPACT, compact(9999)),
        call("compact", COMPACT, compact(10)),
        call("compact to the same revision", COMPACT, compact(10)),
        call("compact to an older revision", COMPACT, compact(4)),
        call("compact without waiting", COMPACT, pb::CompactionRequest { revision: 12, physical: false }),
        call("range at a compacted revision", RANGE, at(11)),
        call(
            "range at a compacted revision, serializable",
            RANGE,
            pb::RangeRequest { serializable: true, ..at(11) },
        ),
        call("range at the compacted revision itself", RANGE, at(12)),
        call("txn that reads at a compacted revision", TXN, txn_at(11)),
        call("hash of the keys at a compacted revision", HASH_KV, hash(5)),
        call("put after a compaction", PUT, put("after", "1")),
        call("range after a compaction", RANGE, range("after")),
    ];
    table.extend(range_stream());
    table
}

fn range_stream() -> Vec<Entry> {
    let mut table = Vec::new();
    for index in 0..30usize {
        let key = format!("s/{index:02}");
        let request = pb::PutRequest { key: key.into(), value: "v".into(), ..Default::default() };
        table.push(call(format!("range stream: key {index}"), PUT, request));
    }
    let requests = [
        ("all", prefix("s/")),
        ("everything", prefix("")),
        ("a limit", pb::RangeRequest { limit: 12, ..prefix("s/") }),
        ("one key", range("s/00")),
        ("an absent key", range("absent")),
        ("an empty key", range("")),
        ("count only", pb::RangeRequest { count_only: true, ..prefix("s/") }),
        ("a future revision", pb::RangeRequest { revision: 9999, ..prefix("s/") }),
        ("a compacted revision", pb::RangeRequest { revision: 3, ..prefix("s/") }),
        ("descending", pb::RangeRequest { sort_order: 2, ..prefix("s/") }),
        ("a filter", pb::RangeRequest { min_mod_revision: 3, ..prefix("s/") }),
    ];
    for ((name, request), serializable) in every(&requests, &[false, true]) {
        let request = pb::RangeRequest { serializable, ..request };
        table.push(call(format!("range stream: {name}, serializable {serializable}"), RANGE_STREAM, request));
    }
    table
}
