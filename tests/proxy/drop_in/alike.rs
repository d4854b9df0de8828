//! The same command line, and what clients and scripts see then.

use std::process::{Command, Output};
use std::time::Duration;

use super::register::until;
use super::subject::{GRPC_PROXY_READY, Subject};
use crate::support::etcd::Etcd;
use crate::support::http;
use crate::support::sidecar::Sidecar;

#[test]
fn the_same_command_line_serves_etcdctl_alike() {
    let (direct, behind) = (Etcd::start(), Etcd::start());
    let line = |etcd: &Etcd| {
        vec![
            format!("--endpoints={}", etcd.addr()),
            "--advertise-client-url".to_owned(),
            "{listen}".to_owned(),
            "--experimental-serializable-ordering".to_owned(),
            "--max-send-bytes=1000000".to_owned(),
            "--debug=false".to_owned(),
        ]
    };
    let start = |program: &dyn Fn() -> Command, etcd: &Etcd| {
        let line = line(etcd);
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        Subject::start(program, "grpc-proxy", &line, GRPC_PROXY_READY)
    };
    let theirs = start(&|| direct.release().program("etcd"), &direct);
    let ours = start(&Sidecar::command, &behind);
    for arguments in [
        &["put", "a", "1"][..],
        &["put", "b", "2", "--prev-kv"],
        &["get", "a", "--write-out=fields", "--consistency=s"],
        &["get", "a", "--prefix", "--from-key=false"],
        &["get", "", "--prefix", "--keys-only"],
        &["del", "a"],
        &["get", "a"],
        &["put", "c", "3", "--lease=7"],
        &["member", "list"],
        &["member", "list", "--write-out=json"],
        &["user", "list"],
        &["alarm", "list"],
    ] {
        let run = |etcd: &Etcd, subject: &Subject| {
            let mut command = etcd.etcdctl();
            let output = command.arg(format!("--endpoints={}", subject.url())).args(arguments).output();
            print(&output.expect("etcdctl runs")).replace(&subject.url(), "SUBJECT")
        };
        let (theirs, ours) = (run(&direct, &theirs), run(&behind, &ours));
        // Ids of clusters, and who answered, are different things.
        let lines = |text: &str| -> Vec<String> {
            let kept = text.lines().filter(|line| !line.contains("ClusterID") && !line.contains("MemberID"));
            kept.filter(|line| !line.contains(r#""level":"#)).map(str::to_owned).collect()
        };
        assert_eq!(lines(&ours), lines(&theirs), "etcdctl {arguments:?}");
    }
    let log = ours.log();
    for line in ["listening for gRPC proxy client requests", "started gRPC proxy"] {
        assert!(theirs.log().contains(line) && log.contains(line), "{line}: {log}");
    }
    for flag in ["--experimental-serializable-ordering", "--max-send-bytes"] {
        assert_eq!(log.matches(flag).count(), 1, "{flag} is told to have no effect: {log}");
    }
    assert!(!log.contains("--debug"), "{log}");
}

#[test]
fn metrics_and_health_have_a_listener_of_their_own() {
    let etcd = Etcd::start();
    let endpoints = format!("--endpoints={}", etcd.addr());
    let line = [endpoints.as_str(), "--metrics-addr=http://{other}", "--advertise-client-url={listen}"];
    for program in [&(|| etcd.release().program("etcd")) as &dyn Fn() -> Command, &Sidecar::command] {
        let subject = Subject::start(program, "grpc-proxy", &line, "gRPC proxy listening for metrics");
        let log = subject.log();
        let (_, address) = log.split_once("gRPC proxy listening for metrics").expect("it is ready");
        let (_, address) = address.split_once("http://").expect("the line has the address");
        let address = address.split('"').next().expect("the address ends").parse().expect("it is one");
        let get = |path: &str| http::get(address, path, Duration::from_secs(5)).expect("it answers");
        let (status, body) = get("/metrics");
        assert!(status == 200 && body.contains("etcd_server_has_leader"), "{status} {body}");
        let (status, body) = get("/health");
        assert!(status == 200 && body.contains(r#""health":"true""#), "{status} {body}");
        for (path, expected) in [("/proxy/metrics", "# TYPE "), ("/proxy/health", r#""health":"true""#)] {
            // From a first look at the member on.
            until(path, &subject, || {
                let (status, body) = get(path);
                status == 200 && body.contains(expected)
            });
        }
        for path in ["/", "/version", "/v3/kv/range", "/livez"] {
            assert_eq!(get(path).0, 404, "{path}");
        }
        let output = etcd.etcdctl().arg(format!("--endpoints={address}")).args(["get", "a"]).output();
        assert!(!output.expect("etcdctl runs").status.success(), "there is no gRPC");
    }
}

fn print(output: &Output) -> String {
    let Output { status, stdout, stderr } = output;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}{}", status.success(), text(stdout), text(stderr))
}
