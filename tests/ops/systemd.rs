//! The units, by the tools of systemd that need no running one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::{ROOT, read, succeed};

#[test]
fn the_units_are_valid() {
    let system = system();
    let mut verify = Command::new("systemd-analyze");
    // Of the units of systemd itself there are none in here.
    verify.args(["verify", "--man=no", "--recursive-errors=no"]).arg(root(&system)).args(UNITS);
    let output = verify.output().expect("systemd-analyze can be started: tests/run.sh installs it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{}\n{said}", output.status);
}

#[test]
fn a_unit_that_is_not_valid_is_found() {
    for (good, bad) in [("RestartSec=", "RestartSecond="), ("/usr/bin/etcdlet", "/usr/bin/another")] {
        let system = system();
        let unit = system.path().join("etc/systemd/system/etcdlet.service");
        fs::write(&unit, fs::read_to_string(&unit).unwrap().replace(good, bad)).unwrap();
        let mut verify = Command::new("systemd-analyze");
        verify.args(["verify", "--man=no", "--recursive-errors=no"]).arg(root(&system)).args(UNITS);
        assert!(!verify.output().unwrap().status.success(), "{bad}");
    }
}

/// In tenths: 2.0, where 10.0 is a service without any of it.
const EXPOSURE_MAX: &str = "20";

#[test]
fn the_service_is_hardened() {
    let unit = Path::new(ROOT).join("deploy/systemd/etcdlet.service");
    succeed(
        Command::new("systemd-analyze")
            .args(["security", "--no-pager", "--offline=true", "--threshold", EXPOSURE_MAX])
            .arg(unit),
    );
}

#[test]
fn the_user_of_the_service_is_made() {
    let system = system();
    let users = Path::new(ROOT).join("deploy/systemd/etcdlet.sysusers");
    succeed(Command::new("systemd-sysusers").arg(root(&system)).arg(users));
    let service = read("deploy/systemd/etcdlet.service");
    for (key, file) in [("User", "etc/passwd"), ("Group", "etc/group")] {
        let name = value(&service, key);
        let made = fs::read_to_string(system.path().join(file)).unwrap();
        assert!(made.lines().any(|line| line.starts_with(&format!("{name}:"))), "{name}: {made}");
    }
}

#[test]
fn the_service_may_drain_before_it_is_killed() {
    let service = read("deploy/systemd/etcdlet.service");
    let stop = value(&service, "TimeoutStopSec");
    let stop: u64 = stop.strip_suffix('s').unwrap().parse().unwrap();
    assert!(stop > drain_seconds(), "{stop}");
}

/// `drain.timeout`, which the examples do not change.
pub(crate) fn drain_seconds() -> u64 {
    crate::examples::defaults().drain.timeout.as_secs()
}

/// A file system with the units, and a program for each that they start.
fn system() -> TempDir {
    let system = tempfile::Builder::new().prefix("system-").tempdir().expect("a directory can be made");
    for folder in ["bin", "usr/bin", "etc/systemd/system"] {
        fs::create_dir_all(system.path().join(folder)).expect("a folder can be made");
    }
    for unit in UNITS {
        let from = Path::new(ROOT).join("deploy/systemd").join(unit);
        fs::copy(from, system.path().join("etc/systemd/system").join(unit)).expect("a unit can be copied");
    }
    // Only looked at.
    for program in ["usr/bin/etcdlet", "bin/kill"] {
        let path = system.path().join(program);
        fs::write(&path, "#!/bin/sh\n").expect("a program can be written");
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("it can be made executable");
    }
    system
}

fn root(system: &TempDir) -> String {
    format!("--root={}", system.path().display())
}

fn value(unit: &str, key: &str) -> String {
    let assignment = format!("{key}=");
    let line = unit.lines().find_map(|line| line.strip_prefix(&assignment));
    line.unwrap_or_else(|| panic!("{key} is not set")).to_owned()
}

const UNITS: [&str; 2] = ["etcdlet.service", "etcdlet.socket"];
