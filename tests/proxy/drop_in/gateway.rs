//! `gateway start`: connections pass as they are, whatever is spoken on them.

use std::process::Command;

use super::subject::Subject;
use crate::support::certs::Certs;
use crate::support::etcd::{Etcd, Options};
use crate::support::sidecar::Sidecar;

pub(super) const READY: &str = "ready to proxy client requests";

#[test]
fn connections_pass_to_a_member_with_tls_and_without() {
    let certs = Certs::new();
    // Client certificates reach the member, which nobody between could show.
    let (plain, tls) = (Etcd::start(), Options::default().tls(certs.of_etcd()).start());
    let client = certs.client(None);
    for (etcd, scheme) in [(&plain, ""), (&plain, "http://"), (&tls, ""), (&tls, "https://")] {
        let endpoints = format!("--endpoints={scheme}{}", etcd.addr());
        for program in [&(|| etcd.release().program("etcd")) as &dyn Fn() -> Command, &Sidecar::command] {
            let subject = Subject::start(program, "gateway", &[&endpoints, "--retry-delay=1s"], READY);
            let is_tls = std::ptr::eq(etcd, &tls);
            let mut command = etcd.etcdctl();
            let url = format!("{}://{}", if is_tls { "https" } else { "http" }, subject.url());
            command.args(["--endpoints", &url, "--command-timeout=5s"]);
            if is_tls {
                command.arg("--cacert").arg(certs.ca());
                command.arg("--cert").arg(&client.cert).arg("--key").arg(&client.key);
            }
            let output = command.args(["put", "a", "1"]).output().expect("etcdctl runs");
            assert!(output.status.success(), "{endpoints}: {output:?} {}", subject.log());
            // Probes do, where clients see to that themselves.
            assert!(!subject.log().contains("skips authentication"), "{}", subject.log());
        }
    }
}

#[test]
fn it_ends_when_it_is_told_to() {
    let etcd = Etcd::start();
    let endpoints = format!("--endpoints={}", etcd.addr());
    let mut subject = Subject::start(Sidecar::command, "gateway", &[&endpoints], READY);
    assert!(subject.terminate().success(), "{}", subject.log());
}
