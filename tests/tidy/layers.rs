//! A module imports only from lower layers.

use crate::paths::paths;
use crate::tokens::tokens;
use crate::tree::{assert_none, rust_files};

/// Module folders from the bottom up; those in one row do not know each other.
const LAYERS: [&[&str]; 11] = [
    &["proto", "types"],
    &["raft"],
    &["net", "storage", "telemetry", "tls"],
    &["peer", "upstream"],
    &["member"],
    &["proxy"],
    &["api"],
    &["admin", "backup", "listen"],
    &["config", "ctl"],
    &["cli"],
    &["app"],
];

#[test]
fn every_import_points_to_a_lower_layer() {
    let files = rust_files(&["src"]);
    let violations: Vec<String> =
        files.iter().flat_map(|file| layer_violations(&file.path, &file.text)).collect();
    assert_none(&violations);
}

/// `path` is relative to the repository's root.
fn layer_violations(path: &str, text: &str) -> Vec<String> {
    let module = module_path(path);
    // The crate's roots stand above the layers and may use them all.
    let Some(from) = module.first() else {
        return Vec::new();
    };
    let Some(limit) = layer(from) else {
        return vec![format!("{path}: the module `{from}` has no layer")];
    };
    let tokens = tokens(text);
    let mut violations = Vec::new();
    for named in paths(&tokens) {
        let Some(to) = root_module(&named.segments, module.len() + named.inside.len()) else {
            continue;
        };
        let line = named.line;
        if to == *from {
            continue;
        }
        match layer(to) {
            Some(layer) if layer < limit => {}
            Some(layer) => violations
                .push(format!("{path}:{line}: `{from}` (layer {limit}) uses `{to}` (layer {layer})")),
            None => violations.push(format!("{path}:{line}: `{to}` is not a module with a layer")),
        }
    }
    // Each branch of a `use` tree is a path of its own.
    violations.dedup();
    violations
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

/// The modules that a file is in, from the crate's root down: none for a root.
fn module_path(path: &str) -> Vec<&str> {
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
    let mut modules: Vec<&str> = inner.split('/').collect();
    if ["lib", "main"].contains(&inner) || modules.last() == Some(&"mod") {
        modules.pop();
    }
    modules
}

/// The crate's own top-level module that a path leads to, when named in a module of this depth.
fn root_module<'a>(segments: &[&'a str], depth: usize) -> Option<&'a str> {
    let parents = segments.iter().take_while(|segment| **segment == "super").count();
    match segments {
        // The crate itself, as in `pub(crate)`.
        ["crate"] => None,
        ["crate", to, ..] | ["etcdlet", to, ..] => Some(to),
        _ if parents > 0 && parents >= depth => segments.get(parents).copied(),
        _ => None,
    }
}

#[test]
fn an_import_from_a_higher_layer_is_found() {
    for (path, text) in [
        ("src/types/call.rs", "use crate::proxy::Stack;"),
        ("src/api/grpc.rs", "use crate::{listen, proxy};"),
        ("src/api/grpc.rs", "use crate::{types::Call, app::{self, Build}};"),
        ("src/net/mod.rs", "fn f() { crate::upstream::view() }"),
        ("src/net/mod.rs", "fn f(x: &mut Vec<crate::config::Raw>) {}"),
        ("src/net/mod.rs", "use super::app;"),
        ("src/net/socket.rs", "use super::super::app::Build;"),
        ("src/net/socket.rs", "mod inner { use super::super::super::app::Build; }"),
        ("src/net/socket.rs", "pub(in crate::app) fn f() {}"),
        ("src/net.rs", "pub use etcdlet::app;"),
        ("src/net/mod.rs", "#[cfg(test)] mod tests { use crate::proxy; }"),
    ] {
        assert_eq!(layer_violations(path, text).len(), 1, "{path}: {text}");
    }
}

#[test]
fn an_import_from_the_same_layer_is_found() {
    assert_eq!(
        layer_violations("src/peer/mod.rs", "\nuse crate::upstream::View;"),
        ["src/peer/mod.rs:2: `peer` (layer 3) uses `upstream` (layer 3)"]
    );
}

#[test]
fn an_import_that_bypasses_the_modules_is_found() {
    for text in ["use crate::*;", "use crate::Error;", "use super::*;"] {
        assert_eq!(layer_violations("src/net/mod.rs", text).len(), 1, "{text}");
    }
}

#[test]
fn a_module_without_a_layer_is_found() {
    assert_eq!(layer_violations("src/gossip/mod.rs", "").len(), 1);
    assert_eq!(layer_violations("src/gossip.rs", "").len(), 1);
}

#[test]
fn imports_from_lower_layers_and_from_the_own_module_are_allowed() {
    for (path, text) in [
        ("src/api/grpc.rs", "use crate::{types::Call, proxy::{Stack, watch}};"),
        ("src/api/grpc.rs", "use super::json; pub(crate) use crate::api::json::Gateway;"),
        ("src/api/mod.rs", "mod inner { use super::Error; }"),
        ("src/api/json/mod.rs", "use super::super::api::Error; use super::grpc;"),
        ("src/api/mod.rs", "// use crate::app;\nconst A: &str = \"crate::app\";"),
        ("src/app/build.rs", "use crate::{cli, config, listen};"),
        ("src/main.rs", "use etcdlet::app;"),
        ("src/lib.rs", "pub mod gossip; pub use crate::app::Build;"),
    ] {
        assert_eq!(layer_violations(path, text), [] as [&str; 0], "{path}: {text}");
    }
}
