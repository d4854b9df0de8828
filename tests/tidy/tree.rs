//! The repository's files.

use std::fs;
use std::path::Path;

/// The repository's root folder.
pub(crate) const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[derive(Debug)]
pub(crate) struct File {
    /// Relative to the root, with forward slashes.
    pub path: String,
    /// Empty if the file is not text.
    pub text: String,
}

impl File {
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Its file name and the names of the folders that it is in.
    pub(crate) fn components(&self) -> impl Iterator<Item = &str> {
        self.path.split('/')
    }
}

/// Every file in these folders and in the folders inside; a folder that does not exist has none.
pub(crate) fn files(folders: &[&str]) -> Vec<File> {
    let mut found = Vec::new();
    for folder in folders {
        collect(folder, &mut found);
    }
    found.sort_by(|left, right| left.path.cmp(&right.path));
    found
}

/// Every Rust file in these folders and in the folders inside.
pub(crate) fn rust_files(folders: &[&str]) -> Vec<File> {
    files(folders).into_iter().filter(File::is_rust).collect()
}

/// The names of the files and folders at the root, folders with a slash at the end.
pub(crate) fn top_level() -> Vec<String> {
    entries("")
}

/// One file that must exist.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).expect("the file exists and is text")
}

/// Fails with one violation a line.
#[track_caller]
pub(crate) fn assert_none(violations: &[String]) {
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

fn collect(folder: &str, found: &mut Vec<File>) {
    for name in entries(folder) {
        match name.strip_suffix('/') {
            Some(inner) => collect(&format!("{folder}/{inner}"), found),
            None => {
                let path = format!("{folder}/{name}");
                let bytes = fs::read(Path::new(ROOT).join(&path)).expect("a listed file is read");
                found.push(File { path, text: String::from_utf8(bytes).unwrap_or_default() });
            }
        }
    }
}

fn entries(folder: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(Path::new(ROOT).join(folder)) else {
        return Vec::new();
    };
    entries
        .map(|entry| {
            let path = entry.expect("the folder can be listed").path();
            let name = path.file_name().expect("a listed file has a name").to_string_lossy();
            if path.is_dir() { format!("{name}/") } else { name.into_owned() }
        })
        .collect()
}
