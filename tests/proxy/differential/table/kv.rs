//! Range, Put, DeleteRange.

use etcdlet::proto::etcdserverpb as pb;

use super::{DELETE, PUT, RANGE, delete, every, prefix, put, range};
use crate::differential::entry::{Entry, call};

/// Begins with an empty store: the first revision is 1.
pub(crate) fn entries() -> Vec<Entry> {
    let mut table = vec![
        call("range in an empty store", RANGE, range("a")),
        call("delete in an empty store", DELETE, delete("a")),
    ];
    table.extend(puts());
    table.extend(bad_puts());
    table.extend(ranges());
    table.extend(revisions());
    table.extend(orders());
    table.extend(filters());
    table.extend(deletes());
    table
}

fn puts() -> Vec<Entry> {
    let large = vec![b'x'; 1 << 20];
    let mut table = vec![
        call("put creates", PUT, put("a", "1")),
        call("put changes", PUT, put("a", "2")),
        call("put returns the previous value", PUT, pb::PutRequest { prev_kv: true, ..put("a", "3") }),
        call(
            "put of a new key has no previous value",
            PUT,
            pb::PutRequest { prev_kv: true, ..put("b", "1") },
        ),
        call("put keeps the value", PUT, pb::PutRequest { ignore_value: true, ..put("b", "") }),
        call("put keeps the lease", PUT, pb::PutRequest { ignore_lease: true, ..put("b", "2") }),
        call("put of an empty value", PUT, put("empty", "")),
        call(
            "put of a binary key",
            PUT,
            pb::PutRequest { key: vec![0, 0xff, 0, 7].into(), ..put("", "\u{0}") },
        ),
        call("put of a megabyte", PUT, pb::PutRequest { value: large.into(), ..put("large", "") }),
        call("range of a megabyte", RANGE, range("large")),
        call(
            "delete of a megabyte with its value",
            DELETE,
            pb::DeleteRangeRequest { prev_kv: true, ..delete("large") },
        ),
    ];
    for (key, value) in
        [("p/a", "3"), ("p/b", "1"), ("p/c", "2"), ("p/d", "1"), ("p/b", "0"), ("p", "x"), ("p0", "y")]
    {
        table.push(call(format!("put {key}={value}"), PUT, put(key, value)));
    }
    table
}

fn bad_puts() -> Vec<Entry> {
    let oversize = vec![b'x'; 1_600_000];
    vec![
        call("put of an empty key", PUT, put("", "1")),
        call(
            "put with a value to keep and one to set",
            PUT,
            pb::PutRequest { ignore_value: true, ..put("a", "1") },
        ),
        call(
            "put keeps the value of an absent key",
            PUT,
            pb::PutRequest { ignore_value: true, ..put("absent", "") },
        ),
        call(
            "put keeps the lease of an absent key",
            PUT,
            pb::PutRequest { ignore_lease: true, ..put("absent", "1") },
        ),
        call(
            "put with a lease to keep and one to set",
            PUT,
            pb::PutRequest { ignore_lease: true, lease: 5, ..put("a", "") },
        ),
        call("put with an unknown lease", PUT, pb::PutRequest { lease: 4711, ..put("a", "1") }),
        call("put beyond the request limit", PUT, pb::PutRequest { value: oversize.into(), ..put("a", "") }),
        call("a refused put leaves the key", RANGE, range("a")),
    ]
}

fn ranges() -> Vec<Entry> {
    let all = || prefix("");
    let mut table = vec![
        call("range of a key", RANGE, range("a")),
        call("range of an absent key", RANGE, range("absent")),
        call("range of an empty value", RANGE, range("empty")),
        call(
            "range of a binary key",
            RANGE,
            pb::RangeRequest { key: vec![0, 0xff, 0, 7].into(), ..range("") },
        ),
        call("range of an empty key", RANGE, range("")),
        call("range of a prefix", RANGE, prefix("p/")),
        call("range from a key", RANGE, pb::RangeRequest { range_end: vec![0].into(), ..range("p") }),
        call("range of everything", RANGE, all()),
        call("range of an empty interval", RANGE, pb::RangeRequest { range_end: "a".into(), ..range("a") }),
        call("range of a reversed interval", RANGE, pb::RangeRequest { range_end: "a".into(), ..range("p") }),
        call("range, serializable", RANGE, pb::RangeRequest { serializable: true, ..prefix("p/") }),
        call("range, keys only", RANGE, pb::RangeRequest { keys_only: true, ..prefix("p/") }),
        call("range, count only", RANGE, pb::RangeRequest { count_only: true, ..prefix("p/") }),
        call("range, count of nothing", RANGE, pb::RangeRequest { count_only: true, ..range("absent") }),
        call(
            "range, count with a limit",
            RANGE,
            pb::RangeRequest { count_only: true, limit: 1, ..prefix("p/") },
        ),
        call(
            "range, count and keys only",
            RANGE,
            pb::RangeRequest { count_only: true, keys_only: true, ..all() },
        ),
        call("range of the greatest revision", RANGE, pb::RangeRequest { revision: i64::MAX, ..range("a") }),
    ];
    for limit in [1, 2, 4, 5, -1, i64::MAX] {
        table.push(call(format!("range, limit {limit}"), RANGE, pb::RangeRequest { limit, ..prefix("p/") }));
    }
    table
}

fn revisions() -> Vec<Entry> {
    let mut table = Vec::new();
    for revision in [-1, 0, 1, 2, 3, 9, 14, 1000] {
        table.push(call(format!("range at {revision}"), RANGE, pb::RangeRequest { revision, ..prefix("") }));
        let count = pb::RangeRequest { revision, count_only: true, serializable: true, ..range("a") };
        table.push(call(format!("count at {revision}, serializable"), RANGE, count));
    }
    table
}

fn orders() -> Vec<Entry> {
    let mut table = Vec::new();
    for ((target_name, target), (order_name, order)) in every(&TARGETS, &ORDERS) {
        let sorted = pb::RangeRequest { sort_target: target, sort_order: order, ..prefix("p/") };
        let name = format!("range by {target_name}, {order_name}");
        table.push(call(name.clone(), RANGE, sorted.clone()));
        table.push(call(format!("{name}, limit 2"), RANGE, pb::RangeRequest { limit: 2, ..sorted.clone() }));
        table.push(call(format!("{name}, keys only"), RANGE, pb::RangeRequest { keys_only: true, ..sorted }));
    }
    for number in [-1, 9] {
        let order = pb::RangeRequest { sort_order: number, ..prefix("p/") };
        table.push(call(format!("range in an unknown order {number}"), RANGE, order));
    }
    table
}

/// Only for etcd from 3.6 on: older ones die of it.
pub(crate) fn unknown_targets() -> Vec<Entry> {
    let by = |number| pb::RangeRequest { sort_target: number, ..prefix("") };
    [-1, 9]
        .into_iter()
        .map(|number| call(format!("range by an unknown target {number}"), RANGE, by(number)))
        .collect()
}

fn filters() -> Vec<Entry> {
    let everything = || prefix("");
    let mut table = Vec::new();
    for revision in [-1, 2, 10, 13, 1000] {
        let filters = [
            ("min mod", pb::RangeRequest { min_mod_revision: revision, ..everything() }),
            ("max mod", pb::RangeRequest { max_mod_revision: revision, ..everything() }),
            ("min create", pb::RangeRequest { min_create_revision: revision, ..everything() }),
            ("max create", pb::RangeRequest { max_create_revision: revision, ..everything() }),
        ];
        for (filter, request) in filters {
            table.push(call(format!("range, {filter} revision {revision}"), RANGE, request.clone()));
            let limited = pb::RangeRequest { limit: 1, ..request };
            table.push(call(format!("range, {filter} revision {revision}, limit 1"), RANGE, limited));
        }
    }
    let several = pb::RangeRequest {
        min_mod_revision: 9,
        max_mod_revision: 14,
        min_create_revision: 8,
        max_create_revision: 12,
        count_only: true,
        ..everything()
    };
    table.push(call("count ignores the filters", RANGE, several.clone()));
    table.push(call("range, every filter", RANGE, pb::RangeRequest { count_only: false, ..several }));
    table
}

fn deletes() -> Vec<Entry> {
    let end = |request: pb::RangeRequest| pb::DeleteRangeRequest {
        key: request.key,
        range_end: request.range_end,
        prev_kv: false,
    };
    vec![
        call("delete of an empty key", DELETE, delete("")),
        call("delete of an absent key", DELETE, delete("absent")),
        call("delete of a key", DELETE, delete("a")),
        call("a deleted key is gone", RANGE, range("a")),
        call("a deleted key is still in the past", RANGE, pb::RangeRequest { revision: 4, ..range("a") }),
        call("put after delete creates again", PUT, pb::PutRequest { prev_kv: true, ..put("a", "9") }),
        call("range after delete and put", RANGE, range("a")),
        call("delete with its value", DELETE, pb::DeleteRangeRequest { prev_kv: true, ..delete("b") }),
        call(
            "delete of an absent key with its value",
            DELETE,
            pb::DeleteRangeRequest { prev_kv: true, ..delete("b") },
        ),
        call(
            "delete of a reversed interval",
            DELETE,
            pb::DeleteRangeRequest { range_end: "a".into(), ..delete("p") },
        ),
        call("delete of a prefix", DELETE, pb::DeleteRangeRequest { prev_kv: true, ..end(prefix("p/")) }),
        call(
            "delete from a key",
            DELETE,
            pb::DeleteRangeRequest { range_end: vec![0].into(), ..delete("p0") },
        ),
        call("range of what is left", RANGE, prefix("")),
        call("delete of everything", DELETE, end(prefix(""))),
        call("range of nothing", RANGE, prefix("")),
    ]
}

const TARGETS: [(&str, i32); 5] = [("key", 0), ("version", 1), ("create", 2), ("mod", 3), ("value", 4)];
const ORDERS: [(&str, i32); 3] = [("no order", 0), ("ascending", 1), ("descending", 2)];
