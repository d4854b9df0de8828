//! Twin clusters get the same calls: one directly, one through a listener with a namespace. Within it, the keys are the
//! same and the answers must be too.

use crate::differential::entry::Entry;
use crate::differential::{Twins, run, table};
use crate::etcdctl::pair::Pair;
use crate::etcdctl::{keys, life};
use crate::support::etcd::{Options, installed_lines};

/// Neither a word nor a number of bytes that others are likely to have.
const NAMESPACE: &str = "/team blue/\u{ff}";

fn options() -> Options {
    // Progress notifications come every ten minutes by default.
    Options::default().flag("--experimental-watch-progress-notify-interval=500ms")
}

#[test]
fn every_call_is_answered_as_without_a_namespace() {
    let parts =
        [table::kv_only(), table::watch::entries(), table::lease::entries(), table::concurrency::entries()];
    compare("in a namespace", options, parts.into_iter().flatten());
}

/// `RangeStream` is of 3.7.
#[test]
fn kv_calls_are_answered_as_without_a_namespace_by_etcd_of_other_lines() {
    for line in installed_lines() {
        let table =
            if ["3.4", "3.5"].contains(&&line[..]) { table::kv_only() } else { table::kv_since_3_6() };
        compare(&format!("in a namespace, etcd {line}"), || Options::default().version(&line), table);
    }
}

fn compare(title: &str, options: impl Fn() -> Options, table: impl IntoIterator<Item = Entry>) {
    let table: Vec<Entry> = table.into_iter().filter(|entry| !is_another(entry)).collect();
    run(title, &Twins::in_namespace(options, NAMESPACE), &table);
}

/// What the namespace shows in: a hash of full keys, and who refuses what cannot be decoded.
fn is_another(entry: &Entry) -> bool {
    ["hash of the keys", "watch: garbage"].iter().any(|name| entry.name.starts_with(name))
}

#[test]
fn etcdctl_prints_the_same_in_a_namespace() {
    let twins = Twins::in_namespace(options, NAMESPACE);
    let mut pair = Pair::new(&twins);
    keys::puts_and_gets(&mut pair);
    keys::transactions(&mut pair);
    keys::watches(&mut pair);
    life::leases(&mut pair);
    life::locks(&mut pair);
    life::elections(&mut pair);
    life::mirror(&mut pair);
    life::members(&mut pair);
    pair.finish();
}
