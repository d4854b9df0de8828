//! Every file is used, has its place and says what it is for.

use std::collections::HashSet;

use crate::modules::reachable;
use crate::tokens::{Kind, Token, tokens};
use crate::tree::{File, assert_none, files, read, rust_files, top_level};

const TOP_LEVEL: [&str; 21] = [
    ".ci/",
    ".dockerignore",
    // A file in a linked work tree.
    ".git",
    ".git/",
    ".gitignore",
    "Cargo.lock",
    "Cargo.toml",
    "Dockerfile",
    "LICENSE",
    "README.md",
    "benches/",
    "build.rs",
    "clippy.toml",
    "config/",
    "deny.toml",
    "deploy/",
    "docs/",
    "rustfmt.toml",
    "src/",
    "target/",
    "tests/",
];

/// Crates that are built apart from this one.
const OTHER_ROOTS: [&str; 1] = ["tests/support/clients/rust/src/main.rs"];

/// Names that say nothing about what is inside.
const VAGUE_NAMES: [&str; 8] =
    ["common", "helper", "helpers", "manager", "misc", "util", "utils", "utilities"];

#[test]
fn every_rust_file_is_part_of_a_crate() {
    let files = rust_files(&["benches", "src", "tests"]);
    assert_none(&unreachable_files(&read("Cargo.toml"), &files));
}

#[test]
fn every_other_file_is_named_by_code_or_script() {
    let owners = files(&[".ci", "benches", "deploy", "src", "tests"]);
    let data: Vec<&File> = owners
        .iter()
        .filter(|file| ["benches/", "src/", "tests/"].iter().any(|it| file.path.starts_with(it)))
        .collect();
    assert_none(&unnamed_files(&data, &owners));
}

#[test]
fn every_configuration_file_is_named_by_a_test() {
    let configuration = files(&["config"]);
    let owners = rust_files(&["src", "tests"]);
    assert_none(&unnamed_files(&configuration.iter().collect::<Vec<_>>(), &owners));
}

#[test]
fn no_module_has_a_vague_name() {
    let files = rust_files(&["benches", "src", "tests"]);
    let violations: Vec<String> = files.iter().flat_map(|file| vague_names(&file.path, &file.text)).collect();
    assert_none(&violations);
}

#[test]
fn nothing_else_is_at_the_top_level() {
    assert_none(&misplaced(&top_level()));
}

#[test]
fn every_folder_says_what_it_is_for() {
    assert_none(&undocumented_folders(&rust_files(&["benches", "src", "tests"])));
}

fn unreachable_files(manifest: &str, files: &[File]) -> Vec<String> {
    let reached = reachable(&crate_roots(manifest), files);
    files
        .iter()
        .filter(|file| !reached.contains_key(&file.path))
        .map(|file| format!("{}: no crate declares this module", file.path))
        .collect()
}

/// The library, the binary, the tests and benches, which the manifest lists, and the crates beside this one.
fn crate_roots(manifest: &str) -> Vec<String> {
    let listed = manifest.lines().filter_map(|line| {
        let path = line.strip_prefix("path = \"")?;
        Some(path.trim_end().trim_end_matches('"'))
    });
    ["src/lib.rs", "src/main.rs"].into_iter().chain(listed).chain(OTHER_ROOTS).map(String::from).collect()
}

/// Data files that no owner names, neither themselves nor a folder that holds only data.
fn unnamed_files(data: &[&File], owners: &[File]) -> Vec<String> {
    let code_folders: HashSet<&str> =
        owners.iter().filter(|file| file.is_rust()).flat_map(|file| ancestors(&file.path)).collect();
    let named: Vec<(&str, Vec<&str>)> =
        owners.iter().map(|owner| (owner.path.as_str(), names(owner))).collect();
    data.iter()
        .filter(|file| !file.is_rust())
        .filter(|file| {
            !ancestors(&file.path).any(|path| {
                let name = path.rsplit('/').next().unwrap_or(path);
                !code_folders.contains(path)
                    && named.iter().any(|(owner, names)| *owner != file.path && names.contains(&name))
            })
        })
        .map(|file| format!("{}: nothing names this file", file.path))
        .collect()
}

/// A file's path, and those of the folders around it.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| path.rsplit_once('/').map(|(folder, _)| folder))
}

/// The file and folder names in a file: in its literals if it is Rust, else anywhere.
fn names(file: &File) -> Vec<&str> {
    let split = |text| str::split(text, |c: char| !c.is_alphanumeric() && !"._-".contains(c));
    if file.is_rust() {
        let literals = tokens(&file.text).into_iter().filter(|it| it.kind == Kind::Literal);
        literals.flat_map(|literal| split(literal.text)).collect()
    } else {
        split(&file.text).collect()
    }
}

fn vague_names(path: &str, text: &str) -> Vec<String> {
    let from_path = path.split(['/', '.']).map(|name| (1, name));
    let tokens = tokens(text);
    let from_text = tokens.windows(2).filter_map(|pair| match pair {
        [keyword, Token { kind: Kind::Word, text, line, .. }] if keyword.is_word("mod") => {
            Some((*line, *text))
        }
        _ => None,
    });
    from_path
        .chain(from_text)
        .filter(|(_, name)| VAGUE_NAMES.contains(name))
        .map(|(line, name)| format!("{path}:{line}: `{name}` says nothing about what is inside"))
        .collect()
}

fn misplaced(top_level: &[String]) -> Vec<String> {
    top_level
        .iter()
        .filter(|name| !TOP_LEVEL.contains(&name.as_str()))
        .map(|name| format!("{name}: not expected at the top level"))
        .collect()
}

fn undocumented_folders(files: &[File]) -> Vec<String> {
    let mut violations: Vec<String> = files
        .iter()
        .filter(|file| file.path.ends_with("/mod.rs") && !file.text.starts_with("//!"))
        .map(|file| format!("{}: must begin with //!", file.path))
        .collect();
    let folder = |file: &File| file.path.rsplit_once('/').map(|(it, _)| String::from(it));
    let mut folders: Vec<String> = files.iter().filter_map(folder).collect();
    folders.dedup();
    violations.extend(
        folders
            .iter()
            // What is generated belongs to the folder above.
            .filter(|it| it.starts_with("src/") && !it.ends_with("/generated"))
            .filter(|it| !files.iter().any(|file| file.path == format!("{it}/mod.rs")))
            .map(|it| format!("{it}: no mod.rs")),
    );
    violations
}

#[cfg(test)]
fn file(path: &str, text: &str) -> File {
    File { path: path.into(), text: text.into() }
}

#[test]
fn a_file_outside_of_every_crate_is_found() {
    let manifest = "[[test]]\nname = \"a\"\npath = \"tests/a.rs\"\n";
    let files = [
        file("src/lib.rs", "mod used;"),
        file("src/used.rs", ""),
        file("src/unused.rs", ""),
        file("tests/a.rs", "#[path = \"a/used.rs\"] mod used;"),
        file("tests/a/used.rs", ""),
        file("tests/b.rs", ""),
    ];
    let found = unreachable_files(manifest, &files);
    let expected = ["src/unused.rs", "tests/b.rs"].map(|it| format!("{it}: no crate declares this module"));
    assert_eq!(found, expected);
}

#[test]
fn a_data_file_that_nothing_names_is_found() {
    let owners = [
        file("tests/wal/main.rs", "// dead.txt\nf(\"../data/by-code.txt\"); f(\"vectors\");"),
        file("tests/setup.sh", "cp by-script.json x # setup.sh"),
        file("tests/wal/by-code.txt", ""),
        file("tests/wal/by-script.json", ""),
        file("tests/wal/dead.txt", ""),
        file("tests/wal/vectors/a.bin", ""),
        file("tests/other/vectors/mod.rs", ""),
    ];
    let data: Vec<&File> = owners.iter().collect();
    let found = unnamed_files(&data, &owners);
    let expected = ["tests/setup.sh", "tests/wal/dead.txt"];
    assert_eq!(found, expected.map(|it| format!("{it}: nothing names this file")));
}

#[test]
fn a_vague_module_name_is_found() {
    assert_eq!(vague_names("src/utils/mod.rs", "").len(), 1);
    assert_eq!(vague_names("src/net/helpers.rs", "").len(), 1);
    assert_eq!(vague_names("src/net/mod.rs", "mod a { pub mod misc {} }").len(), 1);
    assert!(vague_names("src/net/commons.rs", "use std::util; // mod utils").is_empty());
}

#[test]
fn a_file_that_has_no_place_is_found() {
    let names = ["src/", "Cargo.toml", "notes.md", "config"].map(String::from);
    assert_eq!(misplaced(&names).len(), 2);
}

#[test]
fn a_folder_without_its_documentation_is_found() {
    let files = [
        file("src/a/mod.rs", "//! Purpose."),
        file("src/a/generated/x.rs", ""),
        file("src/b/mod.rs", "mod c;"),
        file("src/d/e.rs", ""),
        file("tests/f/main.rs", ""),
    ];
    assert_eq!(undocumented_folders(&files), ["src/b/mod.rs: must begin with //!", "src/d: no mod.rs"]);
}
