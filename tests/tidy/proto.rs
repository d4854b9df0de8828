//! The committed protobuf code is what the `.proto` files generate.

use std::collections::BTreeMap;
use std::path::Path;
use std::{env, fs};

use crate::tree::ROOT;

const REGENERATE: &str = "ETCDLET_REGENERATE";

const PROTOS: [&str; 6] =
    ["auth.proto", "health.proto", "kv.proto", "rpc.proto", "v3election.proto", "v3lock.proto"];

#[test]
fn generated_messages_are_what_the_proto_files_give() {
    let sources = Path::new(ROOT).join("src/proto");
    let committed = sources.join("generated");
    let fresh = generate(&sources);
    if env::var_os(REGENERATE).is_some() {
        replace(&committed, &fresh);
    }
    let stale = differences(&fresh, &read_folder(&committed));
    assert!(
        stale.is_empty(),
        "src/proto/generated is stale; run again with {REGENERATE}=1: {}",
        stale.join(", ")
    );
}

#[test]
fn every_proto_file_is_generated_from() {
    let sources = Path::new(ROOT).join("src/proto");
    let found = read_folder(&sources).into_keys().filter(|name| name.ends_with(".proto"));
    assert_eq!(found.collect::<Vec<_>>(), PROTOS);
}

#[test]
fn an_edited_a_missing_and_a_surplus_file_are_all_stale() {
    let files = |entries: &[(&str, &str)]| -> BTreeMap<String, String> {
        entries.iter().map(|(name, text)| (String::from(*name), String::from(*text))).collect()
    };
    let fresh = files(&[("a.rs", "1"), ("b.rs", "1"), ("c.rs", "1")]);
    let committed = files(&[("a.rs", "1"), ("b.rs", "edited"), ("d.rs", "1")]);
    assert_eq!(differences(&fresh, &committed), ["b.rs", "c.rs", "d.rs"]);
    assert!(differences(&fresh, &fresh).is_empty());
}

/// Generated files by name.
fn generate(sources: &Path) -> BTreeMap<String, String> {
    let descriptors = protox::compile(PROTOS, [sources]).expect("the .proto files are valid");
    let out = tempfile::tempdir().expect("a temporary folder can be made");
    prost_build::Config::new()
        .bytes(["."])
        .out_dir(out.path())
        .compile_fds(descriptors)
        .expect("compiled descriptors can be generated from");
    read_folder(out.path())
}

/// Names of files that are not the same on both sides.
fn differences(fresh: &BTreeMap<String, String>, committed: &BTreeMap<String, String>) -> Vec<String> {
    let mut names: Vec<&String> = fresh.keys().chain(committed.keys()).collect();
    names.sort();
    names.dedup();
    names.into_iter().filter(|name| fresh.get(*name) != committed.get(*name)).cloned().collect()
}

/// The text files directly inside a folder; none if there is no such folder.
fn read_folder(folder: &Path) -> BTreeMap<String, String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return BTreeMap::new();
    };
    entries
        .map(|entry| entry.expect("the folder can be listed").path())
        .filter(|path| path.is_file())
        .map(|path| {
            let name = path.file_name().expect("a listed file has a name");
            let text = fs::read_to_string(&path).expect("a source file is text");
            (name.to_string_lossy().into_owned(), text)
        })
        .collect()
}

fn replace(committed: &Path, fresh: &BTreeMap<String, String>) {
    if committed.exists() {
        fs::remove_dir_all(committed).expect("the generated code can be replaced");
    }
    fs::create_dir(committed).expect("the folder for generated code can be made");
    for (name, text) in fresh {
        fs::write(committed.join(name), text).expect("generated code can be written");
    }
}
