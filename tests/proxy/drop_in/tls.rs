//! The flags of TLS: to the cluster, and for clients.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use rustls::SupportedProtocolVersion;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::version::{TLS12, TLS13};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::time::ASN1Time;

use super::register::until;
use super::subject::{GRPC_PROXY_READY, Subject};
use crate::http1::client::Connection;
use crate::support::certs::{Certs, Pair};
use crate::support::etcd::{Etcd, Options, Release, Tls};
use crate::support::process::Signal;
use crate::support::sidecar::Sidecar;
use crate::support::tools::python;

#[test]
fn the_cluster_is_verified_unless_told_otherwise() {
    let (certs, others) = (Certs::new(), Certs::new());
    let (etcd, _) = speaking_tls(&certs);
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

#[test]
fn with_a_ca_clients_show_a_certificate_of_it_that_is_not_revoked() {
    let (certs, others) = (Certs::new(), Certs::new());
    let (etcd, server) = (Etcd::start(), certs.server());
    let (known, revoked, foreign) = (certs.client(None), certs.client(None), others.client(None));
    let list = certs.directory().join("clients.crl");
    fs::write(&list, certs.revocation_list(&[&revoked]).der()).expect("a list can be written");
    let line = [
        format!("--endpoints={}", etcd.addr()),
        "--advertise-client-url=".to_owned(),
        flag("cert-file", &server.cert),
        flag("key-file", &server.key),
        flag("trusted-ca-file", &certs.ca()),
        flag("client-crl-file", &list),
    ];
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    for program in [&(|| etcd.release().program("etcd")) as &dyn Fn() -> Command, &Sidecar::command] {
        let subject = Subject::start(program, "grpc-proxy", &line, GRPC_PROXY_READY);
        let url = format!("https://{}", subject.url());
        for (shown, served) in
            [(Some(&known), true), (Some(&revoked), false), (Some(&foreign), false), (None, false)]
        {
            let mut target = vec!["--endpoints".to_owned(), url.clone(), flag("cacert", &certs.ca())];
            if let Some(pair) = shown {
                target.extend([flag("cert", &pair.cert), flag("key", &pair.key)]);
            }
            let target: Vec<&str> = target.iter().map(String::as_str).collect();
            let output = put(&etcd, &target);
            assert_eq!(output.status.success(), served, "{shown:?}: {output:?} {}", subject.log());
        }
    }
}

#[test]
fn a_certificate_is_made_where_none_is_given() {
    let etcd = Etcd::start();
    let newest = Release::installed().pop().expect("a release is installed");
    let endpoints = format!("--endpoints={}", etcd.addr());
    let line = [endpoints.as_str(), "--advertise-client-url=", "--auto-tls", "--self-signed-cert-validity=2"];
    for program in [&(|| newest.program("etcd")) as &dyn Fn() -> Command, &Sidecar::command] {
        let subject = Subject::start(program, "grpc-proxy", &line, GRPC_PROXY_READY);
        let url = format!("https://{}", subject.url());
        let unchecked = ["--endpoints", &url, "--insecure-transport=false", "--insecure-skip-tls-verify"];
        let output = put(&etcd, &unchecked);
        assert!(output.status.success(), "{output:?} {}", subject.log());
        let output = put(&etcd, &["--endpoints", &url]);
        assert!(!output.status.success(), "nobody has signed it: {output:?}");
        assert_eq!(days_left(subject.addr().port()), 2 * 365);
    }
}

#[tokio::test]
async fn only_the_versions_that_were_named_are_spoken() {
    let certs = Certs::new();
    let (etcd, server) = (Etcd::start(), certs.server());
    let newest = Release::installed().pop().expect("a release is installed");
    let endpoints = format!("--endpoints={}", etcd.addr());
    let (cert, key) = (flag("cert-file", &server.cert), flag("key-file", &server.key));
    for (named, refused, accepted) in
        [("--tls-min-version=TLS1.3", &TLS12, &TLS13), ("--tls-max-version=TLS1.2", &TLS13, &TLS12)]
    {
        let line = [endpoints.as_str(), "--advertise-client-url=", &cert, &key, named];
        for program in [&(|| newest.program("etcd")) as &dyn Fn() -> Command, &Sidecar::command] {
            let subject = Subject::start(program, "grpc-proxy", &line, GRPC_PROXY_READY);
            let url = format!("https://{}", subject.url());
            let config = |version: &'static SupportedProtocolVersion| {
                certs.client_config_of(default_provider(), &[version], None, &["h2"])
            };
            let connected = Connection::open_tls(&url, config(accepted)).await;
            assert!(connected.is_ok(), "{named}: {:?} {}", connected.err(), subject.log());
            assert!(Connection::open_tls(&url, config(refused)).await.is_err(), "{named}");
        }
    }
}

/// Flags do not change, and there is no file that could.
#[test]
fn a_reload_takes_a_renewed_certificate_and_leaves_the_rest_as_it_is() {
    let (certs, others) = (Certs::new(), Certs::new());
    let (etcd, server) = (Etcd::start(), certs.server());
    let endpoints = format!("--endpoints={}", etcd.addr());
    let (cert, key) = (flag("cert-file", &server.cert), flag("key-file", &server.key));
    let line = [endpoints.as_str(), "--advertise-client-url=", &cert, &key];
    let mut subject = Subject::start(Sidecar::command, "grpc-proxy", &line, GRPC_PROXY_READY);
    let url = format!("https://{}", subject.url());
    let serves = |ca: &Path| put(&etcd, &["--endpoints", &url, &flag("cacert", ca)]).status.success();
    assert!(serves(&certs.ca()), "{}", subject.log());
    server.replace_by(&others.server());
    subject.signal(Signal::HUP);
    until("the new certificate is shown", &subject, || serves(&others.ca()));
    let log = subject.log();
    assert!(log.contains("the configuration is taken over") && !log.contains("wait for a restart"), "{log}");
    assert!(!log.contains("all stays as it was"), "{log}");
}

/// How long the certificate that is shown there is valid.
fn days_left(port: u16) -> i64 {
    let script = "import ssl, sys; print(ssl.get_server_certificate(('127.0.0.1', int(sys.argv[1]))))";
    let output = python().args(["-c", script, &port.to_string()]).output().expect("python runs");
    let (_, pem) = x509_parser::pem::parse_x509_pem(&output.stdout).expect("a certificate is shown");
    let (_, certificate) = X509Certificate::from_der(&pem.contents).expect("it can be read");
    let left = certificate.validity().not_after.timestamp() - ASN1Time::now().timestamp();
    (left + 3600) / 86_400
}

/// With its certificate.
pub(super) fn speaking_tls(certs: &Certs) -> (Etcd, Pair) {
    let server = certs.server();
    let tls = Tls {
        cert_file: server.cert.clone(),
        key_file: server.key.clone(),
        trusted_ca_file: certs.ca(),
        client_cert_auth: false,
        client: None,
    };
    (Options::default().tls(tls).start(), server)
}

pub(super) fn put(etcd: &Etcd, target: &[&str]) -> Output {
    let mut command = etcd.etcdctl();
    command.args(target).args(["--command-timeout=3s", "put", "a", "1"]);
    command.output().expect("etcdctl runs")
}

pub(super) fn flag(name: &str, path: &Path) -> String {
    format!("--{name}={}", path.display())
}
