//! Command lines that etcd refuses, or answers with help: the same last line and the same exit code.

use std::process::{Command, Output};

use crate::support::etcd::Release;
use crate::support::sidecar::Sidecar;

#[test]
fn mistakes_are_answered_as_etcd_answers_them() {
    for line in [
        "grpc-proxy start --bogus",
        "grpc-proxy start -x",
        "grpc-proxy start -debug",
        "grpc-proxy start --listen-addr",
        "grpc-proxy start --resolver-prefix x",
        "grpc-proxy start --resolver-ttl 5",
        "grpc-proxy start --resolver-ttl x",
        "grpc-proxy start --resolver-ttl 08",
        "grpc-proxy start --resolver-ttl 0x1_",
        "grpc-proxy start --resolver-ttl=-0x8000_0000_0000_0001",
        "grpc-proxy start --resolver-ttl 0b101",
        "grpc-proxy start --resolver-prefix x --resolver-ttl 5 --advertise-client-url=",
        "grpc-proxy start --auto-tls=maybe",
        "grpc-proxy start --auto-tls --self-signed-cert-validity 0",
        "grpc-proxy start --self-signed-cert-validity=-1",
        "grpc-proxy start --max-concurrent-streams -1",
        "grpc-proxy start --max-concurrent-streams 4294967296",
        "grpc-proxy start --dial-keepalive-time 5",
        "grpc-proxy start --dial-keepalive-time 5d",
        "grpc-proxy start --dial-keepalive-time=",
        "grpc-proxy start --tls-min-version bogus",
        "grpc-proxy start --tls-min-version TLS1.3 --tls-max-version TLS1.2",
        "grpc-proxy start --tls-min-version TLS1.3 --listen-cipher-suites TLS_RSA_WITH_AES_128_CBC_SHA",
        "grpc-proxy start --=x",
        "grpc-proxy --bogus",
        "gateway start --bogus",
        "gateway start --retry-delay 5",
        "gateway start --endpoints foo",
        "gateway start --endpoints=",
        "gateway start --listen-addr 127.0.0.1:2379",
        "gateway start --listen-addr localhost:2379 --endpoints 127.0.0.1:2379",
        "gateway start --listen-addr foo",
    ] {
        let (theirs, ours) = both(line);
        assert_eq!((last_line(&ours), code(&ours)), (last_line(&theirs), code(&theirs)), "{line}");
        assert_eq!(code(&ours), Some(1), "{line}");
    }
}

#[test]
fn help_is_no_mistake() {
    for line in [
        "grpc-proxy",
        "grpc-proxy bogus",
        "grpc-proxy --help",
        "grpc-proxy start --help",
        "grpc-proxy start --listen-addr x -h",
        "gateway",
        "gateway start -h",
    ] {
        let (theirs, ours) = both(line);
        for output in [&theirs, &ours] {
            assert_eq!(code(output), Some(0), "{line}");
            assert!(output.stderr.is_empty() && !output.stdout.is_empty(), "{line}");
        }
    }
}

#[test]
fn what_is_not_supported_says_what_to_do() {
    for line in
        ["grpc-proxy start --experimental-leasing-prefix=leases/", "grpc-proxy start --enable-pprof=true"]
    {
        let ours = run(Sidecar::command(), line);
        assert_eq!(code(&ours), Some(1), "{line}");
        assert!(last_line(&ours).contains("leave it out"), "{}", last_line(&ours));
    }
}

/// Of the environment, they only hear of what they heed.
#[test]
fn what_the_environment_says_to_run_is_no_mistake() {
    let with = |name: &str, value: &str, line: &str| {
        let mut command = Sidecar::command();
        command.env(name, value);
        run(command, line)
    };
    for (name, value) in
        [("ETCDLET_THREADS", "0"), ("ETCDLET_AUTO_TLS", "maybe"), ("ETCDLET_GRPC_KEEPALIVE_INTERVAL", "0s")]
    {
        for line in ["grpc-proxy", "gateway start --help"] {
            let output = with(name, value, line);
            assert!(code(&output) == Some(0) && output.stderr.is_empty(), "{name} {line}: {output:?}");
        }
        let output = with(name, value, "gateway start --endpoints foo");
        assert_eq!(
            (code(&output), last_line(&output)),
            (Some(1), "error parsing endpoint \"foo\"".to_owned())
        );
    }
    let output = with("ETCDLET_THREADS", "0", "gateway start");
    let expected = "ETCDLET_THREADS: expected a number from 1 to 256, found \"0\"";
    assert_eq!((code(&output), last_line(&output).as_str()), (Some(1), expected));
}

fn both(line: &str) -> (Output, Output) {
    let newest = Release::installed().pop().expect("a release is installed");
    (run(newest.program("etcd"), line), run(Sidecar::command(), line))
}

fn run(mut command: Command, line: &str) -> Output {
    command.args(line.split(' ')).output().expect("the program can be started")
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

/// etcd tells some of them on its standard output, below or above its log.
fn last_line(output: &Output) -> String {
    let text = [&output.stdout[..], b"\n", &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    let mut lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('{'));
    lines.next_back().unwrap_or_default().to_owned()
}
