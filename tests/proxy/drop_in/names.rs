//! `--namespace`, and what is registered in it.

use std::process::Command;

use super::subject::{GRPC_PROXY_READY, Subject};
use crate::support::etcd::Etcd;
use crate::support::sidecar::Sidecar;

#[test]
fn keys_and_registrations_are_in_the_namespace() {
    let etcd = Etcd::start();
    let endpoints = format!("--endpoints={}", etcd.addr());
    let line = [
        endpoints.as_str(),
        "--namespace=/n/",
        "--advertise-client-url={listen}",
        "--resolver-prefix=proxies",
        "--resolver-ttl=60",
    ];
    for program in [&(|| etcd.release().program("etcd")) as &dyn Fn() -> Command, &Sidecar::command] {
        let subject = Subject::start(program, "grpc-proxy", &line, GRPC_PROXY_READY);
        let mut command = etcd.etcdctl();
        command.args(["--endpoints", &subject.url(), "put", "a", "1"]);
        assert!(command.output().expect("etcdctl runs").status.success(), "{}", subject.log());
        assert_eq!(etcd.run_etcdctl(&["del", "/n/a"]).trim(), "1");
        let key = format!("/n/proxies/{}", subject.url());
        super::register::until("it is registered", &subject, || {
            etcd.run_etcdctl(&["get", &key, "--keys-only"]).trim() == key
        });
    }
}
