//! What a module must do without: protocol cores know no clock, task, socket or file.

use crate::paths::{NamedPath, paths};
use crate::tokens::{begin_with, tokens};
use crate::tree::{assert_none, rust_files};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ban {
    Clocks,
    Files,
    /// Logs above debug: what a core does not decide is news only for its driver.
    Logs,
    Metrics,
    /// A module of this crate.
    Module(&'static str),
    /// Random numbers from the environment; a generator with a seed, passed in, is pure.
    Randomness,
    Sockets,
    Tokio,
    Tonic,
}

#[test]
fn every_module_does_without_what_it_must() {
    let files = rust_files(&["src"]);
    let violations: Vec<String> =
        files.iter().flat_map(|file| purity_violations(&file.path, &file.text)).collect();
    assert_none(&violations);
}

/// Test code may do what it likes. `path` is relative to the repository's root.
fn purity_violations(path: &str, text: &str) -> Vec<String> {
    let bans = bans(path);
    let tokens = tokens(text);
    let named = paths(&tokens);
    let mut violations = Vec::new();
    for named in named.iter().filter(|named| !named.test) {
        for ban in bans.iter().filter(|ban| breaks(named, **ban)) {
            let (line, what) = (named.line, named.segments.join("::"));
            violations.push(format!("{path}:{line}: `{what}`, but no {ban:?} here"));
        }
    }
    violations
}

fn bans(path: &str) -> Vec<Ban> {
    let inner = path.trim_start_matches("src/");
    let module = inner.split(['/', '.']).next().unwrap_or_default();
    let mut bans = match module {
        "proto" | "types" => {
            vec![Ban::Clocks, Ban::Files, Ban::Metrics, Ban::Sockets, Ban::Tokio, Ban::Tonic]
        }
        "raft" => vec![Ban::Metrics, Ban::Tonic],
        "net" | "storage" | "telemetry" | "tls" => vec![Ban::Tonic],
        "api" => vec![Ban::Module("raft"), Ban::Module("storage")],
        _ => Vec::new(),
    };
    if module == "raft" || inner.ends_with("/core.rs") || inner.contains("/core/") {
        bans.extend(CORE_BANS);
    }
    bans
}

fn breaks(named: &NamedPath<'_>, ban: Ban) -> bool {
    match ban {
        Ban::Clocks => {
            named.has(&["Instant", "now"])
                || named.segments.contains(&"SystemTime")
                || is_method(named, "elapsed") && begin_with(named.after, &["(", ")"])
        }
        Ban::Files => named.has(&["std", "fs"]),
        Ban::Logs => {
            let last = named.segments.last().copied().unwrap_or_default();
            let is_log = ["error", "info", "warn"].contains(&last)
                && (begin_with(named.after, &["!"]) || named.segments[0] == "tracing");
            is_log || ["ERROR", "INFO", "WARN"].iter().any(|level| named.has(&["Level", level]))
        }
        Ban::Metrics => names_crate(named, "prometheus"),
        Ban::Module(module) => named.segments.starts_with(&["crate", module]),
        Ban::Randomness => {
            let seeded = named.has(&["Rng", "with_seed"]) || named.segments.ends_with(&["Rng"]);
            ["fastrand", "getrandom", "rand"].iter().any(|name| names_crate(named, name)) && !seeded
                || named.has(&["Rng", "new"])
                || named.has(&["Rng", "default"])
        }
        Ban::Sockets => {
            names_crate(named, "socket2") || named.segments.iter().any(|segment| SOCKETS.contains(segment))
        }
        Ban::Tokio => names_crate(named, "tokio"),
        Ban::Tonic => names_crate(named, "tonic"),
    }
}

/// A lone word is a crate only in a `use`; elsewhere it is some variable.
fn names_crate(named: &NamedPath<'_>, name: &str) -> bool {
    named.segments[0] == name && (named.imported || named.segments.len() > 1)
}

fn is_method(named: &NamedPath<'_>, name: &str) -> bool {
    named.segments == [name] && named.before.is_some_and(|before| before.is_mark("."))
}

const CORE_BANS: [Ban; 6] = [Ban::Clocks, Ban::Files, Ban::Logs, Ban::Randomness, Ban::Sockets, Ban::Tokio];

const SOCKETS: [&str; 7] =
    ["TcpListener", "TcpStream", "ToSocketAddrs", "UdpSocket", "UnixDatagram", "UnixListener", "UnixStream"];

#[test]
fn a_core_that_reaches_for_the_world_is_found() {
    for text in [
        "use tokio::time;",
        "use {bytes::Bytes, tokio};",
        "fn f() { tokio::spawn(async {}); }",
        "use std::{fs, io};",
        "fn f() { std::fs::read(path); }",
        "use std::net::TcpStream;",
        "fn f() { std::net::UdpSocket::bind(a); }",
        "use std::os::unix::net::{UnixStream};",
        "fn f() { Instant::now(); }",
        "fn f() { self.started.elapsed(); }",
        "use std::time::{Duration, SystemTime};",
        "fn f() { fastrand::u64(..); }",
        "use fastrand::Rng; fn f() { Rng::new(); }",
        "fn f() { rand::random::<u8>(); }",
        "use getrandom::fill;",
        "fn f() { tracing::info!(\"up\"); }",
        "fn f() { warn!(\"down\"); }",
        "use tracing::{debug, error};",
        "fn f() { tracing::event!(tracing::Level::INFO, \"up\"); }",
    ] {
        for path in ["src/proxy/watch/core.rs", "src/raft/log/mod.rs", "src/raft.rs"] {
            assert_eq!(purity_violations(path, text).len(), 1, "{path}: {text}");
        }
        assert!(purity_violations("src/proxy/watch/driver.rs", text).is_empty(), "{text}");
    }
}

#[test]
fn a_pure_core_may_be_told_time_and_chance() {
    let text = r#"
        use std::net::SocketAddr;
        use std::time::{Duration, Instant};
        use tracing::{debug, trace};
        // Instant::now() is the driver's.
        fn handle(now: Instant, rng: &mut fastrand::Rng, rand: u64) -> bool {
            let own = fastrand::Rng::with_seed(rand);
            debug!("info! tokio::spawn");
            self.error(rand); info(1); now.elapsed(2); level.tokio;
        }
        #[cfg(test)]
        mod tests { use tokio::time::Instant; fn f() { Instant::now(); warn!(""); } }
    "#;
    assert!(purity_violations("src/proxy/watch/core.rs", text).is_empty());
}

#[test]
fn every_layer_has_its_bans() {
    for (path, text) in [
        ("src/types/call.rs", "use tokio::sync::watch;"),
        ("src/types/status.rs", "use tonic::Status;"),
        ("src/types/ids.rs", "use prometheus::IntCounter;"),
        ("src/proto/mod.rs", "use std::fs::File;"),
        ("src/types/call.rs", "fn f() { std::time::Instant::now(); }"),
        ("src/types/call.rs", "use std::net::{SocketAddr, TcpListener};"),
        ("src/raft/node.rs", "use prometheus::IntCounter;"),
        ("src/storage/wal/mod.rs", "fn f() -> tonic::Status {}"),
        ("src/tls/mod.rs", "use tonic::transport;"),
        ("src/telemetry/mod.rs", "use tonic::transport;"),
        ("src/net/mod.rs", "use tonic::transport;"),
        ("src/api/grpc.rs", "use crate::{raft::Node, proxy};"),
        ("src/api/grpc.rs", "fn f() { crate::storage::open() }"),
    ] {
        assert_eq!(purity_violations(path, text).len(), 1, "{path}: {text}");
        assert!(purity_violations("src/member/driver.rs", text).is_empty(), "{text}");
    }
}
