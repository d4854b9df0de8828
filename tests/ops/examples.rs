//! The example configurations: each is accepted as it stands.

use std::fs;
use std::path::Path;

use etcdlet::config::{Config, Overrides, Source};

use crate::{ROOT, files_below};

/// `config/etcdlet.yaml` is the one with every key; the others are for a purpose each.
const EXAMPLES: [&str; 6] =
    ["etcdlet.yaml", "minimal.yaml", "namespace.yaml", "tcp.yaml", "tls.yaml", "watches.yaml"];

#[test]
fn every_example_is_accepted() {
    let found: Vec<String> = files_below("config").iter().map(|path| path.display().to_string()).collect();
    assert_eq!(found, EXAMPLES.map(|name| format!("config/{name}")));
    for path in found {
        accept_file(&path);
    }
}

#[test]
fn every_configuration_in_the_manifests_is_accepted() {
    let found: Vec<_> =
        files_below("deploy").into_iter().filter(|path| path.ends_with("etcdlet.yaml")).collect();
    // Those of static pods are manifests.
    let found: Vec<_> =
        found.iter().filter(|path| !path.starts_with("deploy/kubernetes/static-pod")).collect();
    assert!(found.len() >= 2, "{found:?}");
    for path in found {
        accept_file(&path.display().to_string());
    }
}

/// What the configuration says, or a panic with every error.
pub(crate) fn accept(name: &str, text: &str) {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let file = directory.path().join("etcdlet.yaml");
    fs::write(&file, text).expect("a file can be written");
    load(name, Some(&file), &Overrides::default());
}

fn accept_file(path: &str) {
    load(path, Some(&Path::new(ROOT).join(path)), &Overrides::default());
}

/// With nothing said that need not be.
pub(crate) fn defaults() -> Config {
    // Nobody's address.
    let endpoints = Some(vec!["192.0.2.1:2379".to_owned()]);
    load("the defaults", None, &Overrides { endpoints, ..Overrides::default() })
}

fn load(name: &str, file: Option<&Path>, overrides: &Overrides) -> Config {
    let source = Source::new(file.map(Path::to_owned), overrides.clone());
    let config = source.read().and_then(|document| document.resolve());
    config.unwrap_or_else(|errors| panic!("{name}: {errors}"))
}
