//! Packages that must not come in, not even through another.

use std::process::Command;

use crate::tree::{ROOT, assert_none};

/// With the reason of each.
const UNWANTED: &[(&str, &str)] = &[
    ("native-tls", "TLS is rustls"),
    ("openssl-sys", "TLS is rustls"),
    ("ring", "with two providers rustls cannot choose one by itself"),
    ("serde_yml", "unsound (RUSTSEC-2025-0068)"),
    ("trust-dns-resolver", "renamed; no longer maintained"),
];

#[test]
fn no_unwanted_package_is_depended_on() {
    assert_none(&unwanted(&packages()));
}

/// What is built here, one package a line: the lock file also names what no feature asks for.
fn packages() -> String {
    cargo_tree(&["--edges", "all"])
}

#[test]
fn known_bugs_are_in_the_tests_and_in_no_release() {
    let features = |edges| cargo_tree(&["--depth", "0", "--edges", edges, "--format", "{f}"]);
    assert_eq!(features("all").trim(), "raft-bugs");
    assert_eq!(features("normal,build").trim(), "");
}

fn cargo_tree(arguments: &[&str]) -> String {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--prefix", "none"])
        .args(arguments)
        .current_dir(ROOT)
        .output()
        .expect("cargo can be started");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    String::from_utf8(tree.stdout).expect("cargo writes UTF-8")
}

fn unwanted(tree: &str) -> Vec<String> {
    let mut packages: Vec<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    packages.sort_unstable();
    packages.dedup();
    let reason = |name: &str| UNWANTED.iter().find(|(unwanted, _)| *unwanted == name).map(|(_, why)| *why);
    packages.into_iter().filter_map(|name| Some(format!("{name}: {}", reason(name)?))).collect()
}

#[test]
fn an_unwanted_package_is_found() {
    let tree = "etcdlet v0.1.0\nring v0.17.0\nstring v0.3.0\nring v0.17.0 (*)\n";
    assert_eq!(unwanted(tree), ["ring: with two providers rustls cannot choose one by itself"]);
}
