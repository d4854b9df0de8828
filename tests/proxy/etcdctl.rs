//! The programs that people and scripts use, unchanged, through the sidecar: the real etcdctl, whose output must be
//! the same as that of a direct twin, and etcd3 for Python, which asserts what it sees itself.
//!
//! Not run: `etcdctl check perf` and `check datascale`, which take a minute each and measure instead of test; the
//! benches do that better.

pub(crate) mod keys;
pub(crate) mod life;
pub(crate) mod pair;
mod text;

use std::process::Output;

use crate::differential::Twins;
use crate::support::etcd::{Etcd, Options};
use crate::support::sidecar::Sidecar;
use crate::support::tools::python;
use pair::Pair;

#[test]
fn etcdctl_prints_the_same_through_the_sidecar() {
    // Progress notifications come every ten minutes by default.
    let options = || Options::default().flag("--experimental-watch-progress-notify-interval=300ms");
    let twins = Twins::start(options);
    let mut pair = Pair::new(&twins);
    keys::puts_and_gets(&mut pair);
    keys::transactions(&mut pair);
    keys::hashes(&mut pair);
    keys::watches(&mut pair);
    life::leases(&mut pair);
    life::locks(&mut pair);
    life::elections(&mut pair);
    life::mirror(&mut pair);
    life::members(&mut pair);
    life::maintenance(&mut pair);
    life::users(&mut pair);
    pair.finish();
}

#[test]
fn the_python_client_works_through_the_sidecar() {
    let etcd = Etcd::start();
    let sidecar = Sidecar::start(&[etcd.endpoint()]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proxy/python_client.py");
    let output = python()
        .arg(script)
        .arg(sidecar.addr().ip().to_string())
        .arg(sidecar.addr().port().to_string())
        .output()
        .expect("python runs");
    let Output { status, stdout, stderr } = &output;
    assert!(status.success(), "{}{}", String::from_utf8_lossy(stdout), String::from_utf8_lossy(stderr));
}
