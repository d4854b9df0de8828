//! Every flag that a release of etcd knows is known here, with the same kind of value and the same default.

use std::collections::BTreeMap;
use std::process::{Command, Output};

use etcdlet::cli::pflag::{Fate, Flag, Kind};
use etcdlet::cli::{gateway, grpc_proxy};

use crate::support::etcd::Release;
use crate::support::sidecar::Sidecar;

/// What a help text says of a flag: the kind of its value, and its default.
type Told = BTreeMap<String, (String, Option<String>)>;

#[test]
fn every_flag_of_every_release_is_known() {
    for (group, flags) in [("grpc-proxy", grpc_proxy::GROUP.flags), ("gateway", gateway::GROUP.flags)] {
        let mut all = Told::new();
        for release in Release::installed() {
            let told = told(release.program("etcd"), group);
            assert!(told.len() >= 7, "{told:?}");
            for (name, (kind, default)) in &told {
                let flag = flags.iter().find(|flag| flag.name == name);
                let version = release.version();
                let flag = flag.unwrap_or_else(|| panic!("etcd {version} {group} start has --{name}"));
                assert_eq!(kind_name(flag), kind, "etcd {version} {group} start --{name}");
                assert_eq!(default_of(flag), *default, "etcd {version} {group} start --{name}");
            }
            all.extend(told);
        }
        let ours = told(Sidecar::command(), group);
        let names: Vec<&str> = flags.iter().map(|flag| flag.name).collect();
        assert_eq!(ours.keys().collect::<Vec<_>>(), names, "our own help shows all, sorted");
        // Older releases have fewer.
        if Release::installed().last().is_some_and(|newest| newest.is_at_least(3, 7)) {
            assert_eq!(all.keys().collect::<Vec<_>>(), names, "no flag is invented here");
        }
    }
}

#[test]
fn whatever_is_not_done_is_said_in_words() {
    let mut refused = Vec::new();
    let mut idle = Vec::new();
    for flag in grpc_proxy::GROUP.flags.iter().chain(gateway::GROUP.flags) {
        match flag.fate {
            Fate::Done => assert!(!flag.help.is_empty(), "--{}", flag.name),
            Fate::Idle(why) => {
                assert!(!why.is_empty());
                idle.push(flag.name);
            }
            Fate::Refused(instead) => {
                assert!(instead.contains("leave it out"), "--{}", flag.name);
                refused.push(flag.name);
            }
        }
    }
    assert_eq!(refused, ["enable-pprof", "experimental-leasing-prefix"]);
    let expected = [
        "data-dir",
        "dial-keepalive-time",
        "dial-keepalive-timeout",
        "experimental-enable-grpc-logging",
        "experimental-serializable-ordering",
        "max-recv-bytes",
        "max-send-bytes",
        "permit-without-stream",
        "retry-delay",
    ];
    assert_eq!(idle, expected);
}

fn told(mut program: Command, group: &str) -> Told {
    let Output { status, stdout, .. } =
        program.args([group, "start", "--help"]).output().expect("the program can be started");
    assert!(status.success());
    let text = String::from_utf8(stdout).expect("help is text");
    let flags = text.lines().filter_map(|line| line.strip_prefix("      --"));
    flags
        .map(|line| {
            let (left, help) = line.split_once("   ").unwrap_or((line, ""));
            let (name, kind) = left.split_once(' ').unwrap_or((left, ""));
            let default = help.rsplit_once(" (default ").and_then(|(_, rest)| rest.strip_suffix(')'));
            (name.to_owned(), (kind.trim().to_owned(), default.map(str::to_owned)))
        })
        .collect()
}

fn kind_name(flag: &Flag) -> &'static str {
    match flag.kind {
        Kind::Bool => "",
        Kind::Duration => "duration",
        Kind::Int => "int",
        Kind::Strings => "strings",
        Kind::Text => "string",
        Kind::Uint => "uint",
        Kind::Uint32 => "uint32",
    }
}

/// As pflag shows it: nothing for what is nothing.
fn default_of(flag: &Flag) -> Option<String> {
    match (flag.kind, flag.default) {
        (_, "" | "false" | "0" | "0s") => None,
        (Kind::Strings, default) => Some(format!("[{default}]")),
        (Kind::Text, default) => Some(format!("{default:?}")),
        (_, default) => Some(default.to_owned()),
    }
}
