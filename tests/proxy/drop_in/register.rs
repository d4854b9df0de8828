//! Proxies of both kinds below one prefix.

use std::process::Command;
use std::thread;
use std::time::Instant;

use serde_json::Value;

use super::subject::{GRPC_PROXY_READY, LIMIT, POLL_INTERVAL, Subject};
use crate::support::etcd::Etcd;
use crate::support::sidecar::Sidecar;

#[test]
fn proxies_of_both_kinds_see_each_other() {
    let etcd = Etcd::start();
    let endpoints = format!("--endpoints={}", etcd.addr());
    let start = |program: &dyn Fn() -> Command, ttl: &str| {
        let ttl = format!("--resolver-ttl={ttl}");
        let line = [
            endpoints.as_str(),
            "--advertise-client-url={listen}",
            "--resolver-prefix=/proxies",
            ttl.as_str(),
        ];
        Subject::start(program, "grpc-proxy", &line, GRPC_PROXY_READY)
    };
    let theirs = start(&|| etcd.release().program("etcd"), "60");
    let mut leaving = start(&Sidecar::command, "600");
    let staying = start(&Sidecar::command, "3");

    let mut all = vec![theirs.url(), leaving.url(), staying.url()];
    all.sort();
    for subject in [&theirs, &leaving, &staying] {
        listed(&etcd, subject, &all);
    }
    let value = |subject: &Subject| {
        let value = etcd.run_etcdctl(&["get", "--print-value-only", &format!("/proxies/{}", subject.url())]);
        value.replace(&subject.url(), "URL")
    };
    assert_eq!(value(&leaving), value(&theirs), "the same form");
    assert!(!value(&theirs).trim().is_empty());

    // Its lease would have lasted for ten minutes.
    let gone = leaving.url();
    assert!(leaving.terminate().success(), "{}", leaving.log());
    assert_eq!(value(&leaving), "", "nothing is left of it: {}", leaving.log());
    all.retain(|url| *url != gone);
    listed(&etcd, &theirs, &all);
    listed(&etcd, &staying, &all);

    let lease = lease(&etcd, &staying).expect("it is registered with a lease");
    etcd.run_etcdctl(&["lease", "revoke", &format!("{lease:x}")]);
    until("it registers with another lease", &staying, || {
        self::lease(&etcd, &staying).is_some_and(|new| new != lease)
    });
    assert!(staying.log().contains("session expired"), "{}", staying.log());
    listed(&etcd, &theirs, &all);
}

/// Who looks for a proxy shall not find one that is about to stop.
#[test]
fn a_registration_is_taken_back_when_the_delay_of_a_drain_begins() {
    let etcd = Etcd::start();
    let mut sidecar = Sidecar::with_config(&format!(
        "
listen: [{{url: 'http://{{listen}}'}}]
upstream: {{endpoints: ['{}']}}
admin: {{url: 'http://{{admin}}'}}
register: {{advertise-client-url: 'here:1', prefix: /proxies, ttl: 10m}}
route: {{member-list: registered}}
drain: {{delay: 10m}}
",
        etcd.endpoint()
    ));
    let keys = || etcd.run_etcdctl(&["get", "--prefix", "--keys-only", "/proxies/"]).trim().to_owned();
    let becomes = |expected: &str, sidecar: &Sidecar| {
        let deadline = Instant::now() + LIMIT;
        while keys() != expected {
            assert!(Instant::now() < deadline, "{:?}, not {expected:?}: {}", keys(), sidecar.log());
            thread::sleep(POLL_INTERVAL);
        }
    };
    becomes("/proxies/here:1", &sidecar);
    sidecar.terminate();
    becomes("", &sidecar);
    let mut command = etcd.etcdctl();
    let output =
        command.args(["--endpoints", &sidecar.url(), "put", "a", "1"]).output().expect("etcdctl runs");
    assert!(output.status.success(), "it still serves: {output:?} {}", sidecar.log());
}

/// The lease of a proxy's key.
fn lease(etcd: &Etcd, subject: &Subject) -> Option<u64> {
    let key = format!("/proxies/{}", subject.url());
    let got: Value = serde_json::from_str(&etcd.run_etcdctl(&["get", &key, "--write-out=json"])).ok()?;
    got.get("kvs")?.get(0)?.get("lease")?.as_u64()
}

/// Waits until the member list of `subject` has exactly these client URLs.
fn listed(etcd: &Etcd, subject: &Subject, urls: &[String]) {
    until(&format!("its member list is {urls:?}"), subject, || {
        let mut command = etcd.etcdctl();
        command.arg(format!("--endpoints={}", subject.url())).args(["member", "list", "--write-out=json"]);
        let output = command.output().expect("etcdctl runs");
        let Ok(list) = serde_json::from_slice::<Value>(&output.stdout) else { return false };
        let members = list["members"].as_array().cloned().unwrap_or_default();
        let url = |member: &Value| member["clientURLs"][0].as_str().map(str::to_owned);
        let mut found: Vec<String> = members.iter().filter_map(url).collect();
        found.sort();
        assert!(members.iter().all(|member| member["name"].as_str().is_some_and(|name| !name.is_empty())));
        found == urls
    });
}

pub(super) fn until(what: &str, subject: &Subject, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} of {}: {}", subject.url(), subject.log());
        thread::sleep(POLL_INTERVAL);
    }
}
