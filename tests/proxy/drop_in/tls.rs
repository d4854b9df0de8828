//! The flags of TLS: to the cluster, and for clients.

use std::path::Path;
use std::process::{Command, Output};

use super::subject::{GRPC_PROXY_READY, Subject};
use crate::support::certs::Certs;
use crate::support::etcd::{Etcd, Options, Tls};
use crate::support::sidecar::Sidecar;

#[test]
fn the_cluster_is_verified_unless_told_otherwise() {
    let (certs, others) = (Certs::new(), Certs::new());
    let etcd = speaking_tls(&certs);
    // Without a scheme, as etcd's client takes them where it has certificates.
    let endpoints = format!("--endpoints={}", etcd.addr());
    let (right, wrong) = (flag("cacert", &certs.ca()), flag("cacert", &others.ca()));
    for (flags, served) in [
        (vec![right.as_str()], true),
        (vec!["--insecure-skip-tls-verify"], true),
        (vec![wrong.as_str(), "--insecure-skip-tls-verify"], true),
        (vec![wrong.as_str()], false),
    ] {
        let theirs = || etcd.release().program("etcd");
        let mut programs: Vec<&dyn Fn() -> Command> = vec![&Sidecar::command];
        // With a CA alone, etcd's proxy looks for a certificate of its own, and ends.
        if flags == ["--insecure-skip-tls-verify"] {
            programs.push(&theirs);
        }
        for program in programs {
            let line = [vec![endpoints.as_str(), "--advertise-client-url={listen}"], flags.clone()].concat();
            let subject = Subject::start(program, "grpc-proxy", &line, GRPC_PROXY_READY);
            let output = put(&etcd, &["--endpoints", &subject.url()]);
            assert_eq!(output.status.success(), served, "{flags:?}: {output:?} {}", subject.log());
            let told = subject.log().contains("skips authentication of etcd server TLS certificates");
            assert_eq!(told, flags.contains(&"--insecure-skip-tls-verify"), "{}", subject.log());
        }
    }
}

#[test]
fn clients_find_the_certificate_that_was_given() {
    let certs = Certs::new();
    let (etcd, server) = (Etcd::start(), certs.server());
    let endpoints = format!("--endpoints={}", etcd.addr());
    let (cert, key) = (flag("cert-file", &server.cert), flag("key-file", &server.key));
    let line = [endpoints.as_str(), "--advertise-client-url=", &cert, &key];
    for program in [&(|| etcd.release().program("etcd")) as &dyn Fn() -> Command, &Sidecar::command] {
        let subject = Subject::start(program, "grpc-proxy", &line, GRPC_PROXY_READY);
        let url = format!("https://{}", subject.url());
        let output = put(&etcd, &["--endpoints", &url, &flag("cacert", &certs.ca())]);
        assert!(output.status.success(), "{output:?} {}", subject.log());
    }
}

fn speaking_tls(certs: &Certs) -> Etcd {
    let server = certs.server();
    let tls = Tls {
        cert_file: server.cert,
        key_file: server.key,
        trusted_ca_file: certs.ca(),
        client_cert_auth: false,
        client: None,
    };
    Options::default().tls(tls).start()
}

fn put(etcd: &Etcd, target: &[&str]) -> Output {
    let mut command = etcd.etcdctl();
    command.args(target).args(["--command-timeout=3s", "put", "a", "1"]);
    command.output().expect("etcdctl runs")
}

fn flag(name: &str, path: &Path) -> String {
    format!("--{name}={}", path.display())
}
