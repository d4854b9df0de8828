//! `--discovery-srv` of a cluster with TLS.
//!
//! No flag names a name server, so that each program has a resolv.conf of its own: in a mount namespace, which needs
//! root, and so does the port of a name server.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::gateway::READY;
use super::register::until;
use super::subject::{GRPC_PROXY_READY, Subject};
use super::tls::{flag, put, speaking_tls};
use crate::support::certs::Certs;
use crate::support::dns::DnsServer;
use crate::support::etcd::Etcd;
use crate::support::sidecar::Sidecar;

/// A member that is found by its records.
struct Scene {
    certs: Certs,
    etcd: Etcd,
    resolv_conf: TempDir,
    _dns: DnsServer,
}

#[test]
fn members_are_verified_by_the_targets_of_their_records() {
    for (name, served) in [(TARGET, true), (DOMAIN, false)] {
        let scene = Scene::of_member_named(name);
        let client = scene.certs.client(None);
        let (cacert, cert, key) =
            (flag("cacert", &scene.certs.ca()), flag("cert", &client.cert), flag("key", &client.key));
        let line = [DISCOVERY, "--advertise-client-url=", &cacert, &cert, &key];
        for theirs in [true, false] {
            let program = || scene.command(theirs);
            let subject = Subject::start(program, "grpc-proxy", &line, GRPC_PROXY_READY);
            let puts = || put(&scene.etcd, &["--endpoints", &subject.url()]).status.success();
            if served {
                until("calls are served", &subject, puts);
                continue;
            }
            assert!(!puts(), "{}", subject.log());
            if !theirs {
                let reason = "certificate not valid for name";
                until("the reason is told", &subject, || subject.log().contains(reason));
            }
        }
    }
}

#[test]
fn the_gateway_s_probes_verify_members_by_them_too() {
    let scene = Scene::of_member_named(TARGET);
    let ca = flag("trusted-ca-file", &scene.certs.ca());
    for theirs in [true, false] {
        let subject = Subject::start(|| scene.command(theirs), "gateway", &[DISCOVERY, &ca], READY);
        let url = format!("https://{}", subject.url());
        // Its certificate does not name the gateway's address.
        let unchecked = ["--endpoints", &url, "--insecure-transport=false", "--insecure-skip-tls-verify"];
        until("calls get through", &subject, || put(&scene.etcd, &unchecked).status.success());
        if !theirs {
            until("the member is in rotation", &subject, || subject.log().contains("member is in rotation"));
        }
    }
}

impl Scene {
    fn of_member_named(name: &str) -> Self {
        let certs = Certs::new();
        let (etcd, server) = speaking_tls(&certs);
        // The fixture goes by its address; etcd reads the files again for every connection.
        server.replace_by(&certs.server_named(&[name]));
        // As resolv.conf names no ports, each has an address of its own.
        let address = Ipv4Addr::new(127, 53, fastrand::u8(..), fastrand::u8(1..255));
        let dns = DnsServer::start_on((address, 53).into());
        dns.set_srv(&format!("_etcd-client-ssl._tcp.{DOMAIN}"), &[(0, 1, etcd.addr().port(), TARGET)], 1);
        dns.set_a(TARGET, &[Ipv4Addr::LOCALHOST], 1);
        let resolv_conf = tempfile::tempdir().expect("a temporary directory can be made");
        fs::write(resolv_conf.path().join(FILE), format!("nameserver {address}\n"))
            .expect("a file can be written");
        Self { certs, etcd, resolv_conf, _dns: dns }
    }

    /// The program, etcd's or ours, that asks the name server.
    fn command(&self, theirs: bool) -> Command {
        let program = if theirs { self.etcd.release().program("etcd") } else { Sidecar::command() };
        asking(&self.resolv_conf.path().join(FILE), &program)
    }
}

/// The same command with another resolv.conf. What it starts has the process id that is returned for it.
fn asking(resolv_conf: &Path, command: &Command) -> Command {
    let mut asking = Command::new("unshare");
    asking
        .args(["--mount", "sh", "-c", r#"mount --bind "$0" /etc/resolv.conf && exec "$@""#])
        .arg(resolv_conf)
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => asking.env(name, value),
            None => asking.env_remove(name),
        };
    }
    asking
}

const DISCOVERY: &str = "--discovery-srv=etcd.test";
const DOMAIN: &str = "etcd.test";
const TARGET: &str = "m0.etcd.test";
const FILE: &str = "resolv.conf";
