//! Packages that must not come in, not even through another.

use crate::tree::{assert_none, read};

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
    assert_none(&unwanted(&read("Cargo.lock")));
}

fn unwanted(lock: &str) -> Vec<String> {
    let packages = lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    let reason = |name: &str| UNWANTED.iter().find(|(unwanted, _)| *unwanted == name).map(|(_, why)| *why);
    packages.filter_map(|name| Some(format!("{name}: {}", reason(name)?))).collect()
}

#[test]
fn an_unwanted_package_is_found() {
    let lock = "[[package]]\nname = \"ring\"\nversion = \"0.17\"\n[[package]]\nname = \"string\"\n";
    assert_eq!(unwanted(lock), ["ring: with two providers rustls cannot choose one by itself"]);
}
