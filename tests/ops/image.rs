//! The Dockerfile: the stage that builds has all that the build reads.

use std::path::{Component, Path, PathBuf};

use crate::{files_below, read};

#[test]
fn the_image_is_built_from_all_that_the_build_reads() {
    let copied = copied();
    let inputs = inputs();
    // Otherwise nothing was understood.
    assert!(inputs.contains(&PathBuf::from("config/etcdlet.yaml")), "{inputs:?}");
    for input in inputs {
        assert!(copied.iter().any(|copied| input.starts_with(copied)), "{}: not copied", input.display());
    }
}

#[test]
fn the_context_of_the_image_has_what_is_copied_and_no_build() {
    let ignored = read(".dockerignore");
    let ignored: Vec<&str> = ignored.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(ignored.contains(&"target") && ignored.contains(&".git"), "{ignored:?}");
    for copied in copied() {
        assert!(!ignored.iter().any(|path| copied.starts_with(path)), "{}: ignored", copied.display());
    }
}

/// What the stage `build` takes out of the repository.
fn copied() -> Vec<PathBuf> {
    let dockerfile = read("Dockerfile");
    let stage = dockerfile.split("\nFROM ").find(|stage| stage.contains(" AS build\n")).expect("it builds");
    let copies = stage.lines().filter_map(|line| line.strip_prefix("COPY "));
    copies
        .flat_map(|copy| {
            let (sources, _destination) = copy.rsplit_once(' ').expect("there are two words at least");
            sources.split(' ').map(PathBuf::from).collect::<Vec<_>>()
        })
        .collect()
}

/// What is compiled, what that names, and what the manifest names.
fn inputs() -> Vec<PathBuf> {
    let mut inputs: Vec<PathBuf> = ["Cargo.toml", "Cargo.lock"].map(PathBuf::from).into();
    let manifest = read("Cargo.toml");
    // Tests depend on the package itself.
    let paths = named(&manifest, "path = \"").filter(|path| *path != ".");
    inputs.extend(paths.map(PathBuf::from));
    for file in files_below("src") {
        let text = read(&file.display().to_string());
        let folder = file.parent().expect("it is below src");
        for before in ["include_str!(\"", "include_bytes!(\"", "include!(\"", "#[path = \""] {
            inputs.extend(named(&text, before).map(|path| plain(&folder.join(path))));
        }
        inputs.push(file);
    }
    inputs
}

/// The strings that begin with `before`, which ends with a quotation mark.
fn named<'a>(text: &'a str, before: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(before).skip(1).map(|rest| rest.split('"').next().expect("there is a first part"))
}

/// Without `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}
