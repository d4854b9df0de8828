//! What surrounds the program: its units, manifests, examples and alerts.

mod alerts;
mod examples;
mod image;
mod kubernetes;
mod migration;
mod systemd;

// Not all of the support module, so that this compiles in seconds.
#[path = "../support/tools.rs"]
#[allow(dead_code, reason = "every test binary uses its own part of the fixtures")]
mod tools;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The text of a file of the repository.
fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file below a folder of the repository, relative to its root, in order.
fn files_below(folder: &str) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(Path::new(ROOT).join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.expect("a folder can be read");
        let path = format!("{folder}/{}", entry.file_name().display());
        if entry.path().is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(PathBuf::from(path));
        }
    }
    found.sort();
    found
}

/// What it printed; panics with what it said when it fails.
fn succeed(command: &mut Command) -> String {
    let output =
        command.output().unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display()));
    let (said, printed) =
        (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout).into_owned());
    assert!(output.status.success(), "{command:?}: {}\n{said}{printed}", output.status);
    printed
}
