//! Txn: compares, branches, nesting, and what is refused.

use etcdlet::proto::etcdserverpb as pb;
use pb::compare::{CompareResult, CompareTarget, TargetUnion};
use pb::request_op::Request;

use super::{PUT, RANGE, TXN, delete, every, prefix, put, range};
use crate::differential::entry::{Entry, call};

pub(crate) fn entries() -> Vec<Entry> {
    let mut table = vec![
        call("txn: a key to compare with", PUT, put("t/a", "m")),
        call("txn: the same key once more", PUT, put("t/a", "m")),
        call("txn: a second key", PUT, put("t/b", "z")),
    ];
    table.extend(compares());
    table.extend(ranges_of_keys());
    table.extend(branches());
    table.extend(nested());
    table.extend(refused());
    table.push(call("txn: what is left of it all", RANGE, prefix("")));
    table
}

fn compares() -> Vec<Entry> {
    let targets: [(&str, CompareTarget, Number); 4] = [
        ("version", CompareTarget::Version, TargetUnion::Version),
        ("create", CompareTarget::Create, TargetUnion::CreateRevision),
        ("mod", CompareTarget::Mod, TargetUnion::ModRevision),
        ("lease", CompareTarget::Lease, TargetUnion::Lease),
    ];
    let mut table = Vec::new();
    for ((target_name, target, value), (result_name, result)) in every(&targets, &RESULTS) {
        for (key, number) in every(&["t/a", "t/absent"], &[0, 2]) {
            let compare = compare(key, target, result, Some(value(number)));
            table.push(call(
                format!("txn: {target_name} of {key} {result_name} {number}"),
                TXN,
                decide(vec![compare]),
            ));
        }
        let unset = compare("t/a", target, result, None);
        table.push(call(format!("txn: {target_name} {result_name} nothing"), TXN, decide(vec![unset])));
    }
    for (result_name, result) in RESULTS {
        for (key, value) in every(&["t/a", "t/absent"], &["", "m", "n"]) {
            let value = Some(TargetUnion::Value(value.into()));
            let compare = compare(key, CompareTarget::Value, result, value);
            table.push(call(format!("txn: value of {key} {result_name}"), TXN, decide(vec![compare])));
        }
    }
    table
}

fn ranges_of_keys() -> Vec<Entry> {
    let version = |result, number, end: &'static str| pb::Compare {
        range_end: end.into(),
        ..compare("t/", CompareTarget::Version, result, Some(TargetUnion::Version(number)))
    };
    vec![
        call("txn: every key of a range fits", TXN, decide(vec![version(CompareResult::Greater, 0, "t0")])),
        call(
            "txn: one key of a range does not fit",
            TXN,
            decide(vec![version(CompareResult::Equal, 2, "t0")]),
        ),
        call("txn: an empty range fits 0", TXN, decide(vec![version(CompareResult::Equal, 0, "t/A")])),
        call("txn: a reversed range", TXN, decide(vec![version(CompareResult::Equal, 0, "a")])),
    ]
}

fn branches() -> Vec<Entry> {
    let reads = vec![op(Request::RequestRange(prefix("t/"))), op(Request::RequestRange(range("absent")))];
    let writes = vec![
        op(Request::RequestPut(pb::PutRequest { prev_kv: true, ..put("t/a", "n") })),
        op(Request::RequestRange(prefix("t/"))),
        op(Request::RequestDeleteRange(pb::DeleteRangeRequest { prev_kv: true, ..delete("t/b") })),
        op(Request::RequestPut(put("t/c", "1"))),
        op(Request::RequestRange(prefix("t/"))),
    ];
    let serializable = op(Request::RequestRange(pb::RangeRequest { serializable: true, ..prefix("t/") }));
    let old = |revision| op(Request::RequestRange(pb::RangeRequest { revision, ..range("t/a") }));
    let never = || vec![compare("t/a", CompareTarget::Version, CompareResult::Less, None)];
    let txn = |success| pb::TxnRequest { success, ..Default::default() };
    vec![
        call("txn: empty", TXN, pb::TxnRequest::default()),
        call("txn: only reads", TXN, txn(reads.clone())),
        call("txn: only serializable reads", TXN, txn(vec![serializable])),
        call("txn: reads at an old revision", TXN, txn(vec![old(3)])),
        call("txn: reads at a future revision", TXN, txn(vec![old(9999)])),
        call("txn: reads behind writes", TXN, txn(writes.clone())),
        call("txn: deletes nothing", TXN, txn(vec![op(Request::RequestDeleteRange(delete("absent")))])),
        call(
            "txn: the failure branch",
            TXN,
            pb::TxnRequest { compare: never(), success: writes, failure: reads },
        ),
        call("txn: an empty failure branch", TXN, pb::TxnRequest { compare: never(), ..Default::default() }),
        call(
            "txn: a future read in the branch not taken",
            TXN,
            pb::TxnRequest { failure: vec![old(9999)], ..Default::default() },
        ),
    ]
}

fn nested() -> Vec<Entry> {
    let inner = |key| pb::TxnRequest {
        compare: vec![compare(
            "t/a",
            CompareTarget::Version,
            CompareResult::Greater,
            Some(TargetUnion::Version(1)),
        )],
        success: vec![op(Request::RequestPut(put(key, "yes"))), op(Request::RequestRange(range(key)))],
        failure: vec![op(Request::RequestPut(put(key, "no")))],
    };
    let nest = |inner| pb::TxnRequest { success: vec![op(Request::RequestTxn(inner))], ..Default::default() };
    let sees_nothing_yet = pb::TxnRequest {
        success: vec![
            op(Request::RequestPut(put("t/new", "1"))),
            op(Request::RequestTxn(pb::TxnRequest {
                compare: vec![compare(
                    "t/new",
                    CompareTarget::Version,
                    CompareResult::Equal,
                    Some(TargetUnion::Version(0)),
                )],
                success: vec![op(Request::RequestRange(range("t/new")))],
                ..Default::default()
            })),
        ],
        ..Default::default()
    };
    let reads =
        pb::TxnRequest { success: vec![op(Request::RequestRange(range("t/a")))], ..Default::default() };
    vec![
        call("txn: nested", TXN, nest(inner("t/n1"))),
        call("txn: nested three deep", TXN, nest(nest(inner("t/n2")))),
        call("txn: nested reads", TXN, nest(reads)),
        call("txn: nested compares see the state before", TXN, sees_nothing_yet),
    ]
}

fn refused() -> Vec<Entry> {
    let one = |request| pb::TxnRequest { success: vec![op(request)], ..Default::default() };
    let both = |left, right| pb::TxnRequest { success: vec![op(left), op(right)], ..Default::default() };
    let many = |count| pb::TxnRequest {
        success: vec![op(Request::RequestRange(range("t/a"))); count],
        ..Default::default()
    };
    let put_a = || Request::RequestPut(put("t/a", "1"));
    let under = |request| Request::RequestTxn(one(request));
    let prefix_of_t = pb::DeleteRangeRequest { range_end: "t0".into(), ..delete("t/") };
    let ignore_value = pb::PutRequest { ignore_value: true, ..put("absent", "") };
    let compare_of_nothing = compare("", CompareTarget::Version, CompareResult::Equal, None);
    let unknown_target =
        pb::Compare { target: 9, ..compare("t/a", CompareTarget::Version, CompareResult::Equal, None) };
    let unknown_result =
        pb::Compare { result: 9, ..compare("t/a", CompareTarget::Version, CompareResult::Equal, None) };
    vec![
        call("txn: 128 operations", TXN, many(128)),
        call("txn: 129 operations", TXN, many(129)),
        call(
            "txn: 129 compares",
            TXN,
            decide(vec![compare("t/a", CompareTarget::Version, CompareResult::Greater, None); 129]),
        ),
        call(
            "txn: an operation of nothing",
            TXN,
            pb::TxnRequest { success: vec![pb::RequestOp::default()], ..Default::default() },
        ),
        call("txn: compare of an empty key", TXN, decide(vec![compare_of_nothing])),
        call("txn: compare of an unknown target", TXN, decide(vec![unknown_target])),
        call("txn: compare with an unknown result", TXN, decide(vec![unknown_result])),
        call("txn: put of an empty key", TXN, one(Request::RequestPut(put("", "1")))),
        call("txn: range of an empty key", TXN, one(Request::RequestRange(range("")))),
        call("txn: delete of an empty key", TXN, one(Request::RequestDeleteRange(delete("")))),
        call(
            "txn: put with an unknown lease",
            TXN,
            one(Request::RequestPut(pb::PutRequest { lease: 4711, ..put("t/a", "1") })),
        ),
        call("txn: put keeps an absent value", TXN, one(Request::RequestPut(ignore_value))),
        call("txn: two puts of a key", TXN, both(put_a(), put_a())),
        call("txn: put and delete of a key", TXN, both(put_a(), Request::RequestDeleteRange(delete("t/a")))),
        call(
            "txn: delete of a range with a put inside",
            TXN,
            both(Request::RequestDeleteRange(prefix_of_t), put_a()),
        ),
        call("txn: put beside a nested put", TXN, both(put_a(), under(put_a()))),
        call(
            "txn: two deletes of a key",
            TXN,
            both(Request::RequestDeleteRange(delete("x")), Request::RequestDeleteRange(delete("x"))),
        ),
        call(
            "txn: the same key in both branches",
            TXN,
            pb::TxnRequest { failure: vec![op(put_a())], ..one(put_a()) },
        ),
    ]
}

fn compare(
    key: &'static str,
    target: CompareTarget,
    result: CompareResult,
    union: Option<TargetUnion>,
) -> pb::Compare {
    pb::Compare {
        key: key.into(),
        target: target as i32,
        result: result as i32,
        target_union: union,
        ..Default::default()
    }
}

/// A transaction whose answer only tells what became of the compares.
fn decide(compare: Vec<pb::Compare>) -> pb::TxnRequest {
    pb::TxnRequest { compare, ..Default::default() }
}

fn op(request: Request) -> pb::RequestOp {
    pb::RequestOp { request: Some(request) }
}

/// Makes the value to compare with out of a number.
type Number = fn(i64) -> TargetUnion;

const RESULTS: [(&str, CompareResult); 4] = [
    ("=", CompareResult::Equal),
    (">", CompareResult::Greater),
    ("<", CompareResult::Less),
    ("!=", CompareResult::NotEqual),
];
