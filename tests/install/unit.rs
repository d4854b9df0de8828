//! The units under a real systemd, which takes away from etcdlet all that they say, and hears from it when it is
//! ready.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::static_binary;
use crate::support::tools::installed;

/// Ports are free in there: the network is its own.
const CONFIGURATION: &str = "
listen:
  - url: http://127.0.0.1:2379
  - url: unix:///run/etcdlet/etcdlet.sock
    mode: 0660
    group: etcdlet-clients
upstream: {endpoints: ['http://127.0.0.1:12379']}
";

const BEGIN: &str = r#"
set -euxo pipefail
/session/etcd --data-dir /run/etcd --listen-client-urls http://127.0.0.1:12379 \
    --advertise-client-urls http://127.0.0.1:12379 --listen-peer-urls http://127.0.0.1:12380 >/session/etcd.log 2>&1 &
for try in {1..100}; do
    if /session/etcdctl --endpoints 127.0.0.1:12379 endpoint health 2>/dev/null; then break; fi
    sleep 0.1
done
"#;

#[test]
fn the_service_runs_with_no_more_than_its_unit_allows() {
    let output = session(
        "
        # Comes back when etcdlet has said that it is ready.
        systemctl start etcdlet.service
        /session/etcdctl put key value
        test \"$(/session/etcdctl get --print-value-only key)\" = value
        test \"$(stat --format '%a %G' /run/etcdlet/etcdlet.sock)\" = '660 etcdlet-clients'
        curl --fail --silent --unix-socket /run/etcdlet/etcdlet.sock http://etcd/version
        pid=$(systemctl show --property MainPID --value etcdlet.service)
        grep -E '^(CapBnd|NoNewPrivs|Seccomp):' /proc/$pid/status
        test \"$(stat --format %U /proc/$pid)\" = etcdlet
        systemctl reload etcdlet.service
        /session/etcdctl get key
        test \"$(systemctl show --property MainPID --value etcdlet.service)\" = $pid
        systemctl stop etcdlet.service
        test \"$(systemctl show --property Result --value etcdlet.service)\" = success
        echo it is done
        ",
    );
    for line in ["CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2", "it is done"] {
        assert!(output.lines().any(|it| it == line), "no {line:?} in\n{output}");
    }
}

#[test]
fn a_frozen_service_is_started_again() {
    let output = session(
        "
        mkdir --parents /run/systemd/system/etcdlet.service.d
        printf '[Service]\\nWatchdogSec=1s\\n' >/run/systemd/system/etcdlet.service.d/impatient.conf
        systemctl daemon-reload
        systemctl start etcdlet.service
        pid=$(systemctl show --property MainPID --value etcdlet.service)
        kill -STOP $pid
        for try in {1..100}; do
            now=$(systemctl show --property MainPID --value etcdlet.service)
            if [[ $now != 0 && $now != $pid ]] && systemctl is-active etcdlet.service; then break; fi
            sleep 0.1
        done
        /session/etcdctl put key value
        test \"$(systemctl show --property NRestarts --value etcdlet.service)\" = 1
        echo it is done
        ",
    );
    assert!(output.lines().any(|it| it == "it is done"), "{output}");
}

#[test]
fn a_restart_behind_the_socket_refuses_nobody() {
    let output = session(
        "
        systemctl start etcdlet.socket
        test \"$(systemctl is-active etcdlet.service || true)\" = inactive
        # The first connection starts it.
        /session/etcdctl put key value
        systemctl is-active etcdlet.service
        for restart in 1 2 3; do
            systemctl restart --no-block etcdlet.service
            for call in 1 2 3 4 5; do /session/etcdctl get key; done
        done
        systemctl is-active etcdlet.service
        echo it is done
        ",
    );
    assert!(output.lines().any(|it| it == "it is done"), "{output}");
}

/// Runs these commands beside an etcd, as a service of that systemd, and gives what they printed.
fn session(commands: &str) -> String {
    let directory = tempfile::Builder::new().prefix("boot-").tempdir().expect("a directory can be made");
    let at = |name: &str| directory.path().join(name);
    fs::copy(static_binary(), at("etcdlet")).expect("the binary can be copied");
    for program in ["etcd", "etcdctl"] {
        let from = installed(Path::new("etcd/default/bin").join(program));
        fs::copy(from, at(program)).expect("a program can be copied");
    }
    fs::write(at("etcdlet.yaml"), CONFIGURATION).expect("a file can be written");
    fs::write(at("session"), format!("{BEGIN}{commands}")).expect("a file can be written");
    let boot = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/install/boot.sh");
    let ended = Command::new("unshare").arg("--mount").arg(boot).arg(directory.path()).output();
    let ended = ended.expect("unshare can be started");
    let read = |name: &str| fs::read_to_string(at(name)).unwrap_or_default();
    let said = String::from_utf8_lossy(&ended.stderr);
    format!("{}\n{}\n{}\n{said}{}", read("output"), read("log"), read("console"), ended.status)
}
