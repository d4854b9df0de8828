//! Where the scripts in this folder put what they install.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The build directory: cargo gives its test targets only the `tmp` folder inside it.
pub(crate) fn build_directory() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("cargo's folder for tests is inside the build directory")
}

/// A program below the build directory; panics when it was never installed, because a test that skips itself
/// proves nothing.
pub(crate) fn installed(path: impl AsRef<Path>) -> PathBuf {
    let path = build_directory().join(path);
    assert!(path.exists(), "{} is missing: tests/run.sh installs what the tests need", path.display());
    path
}

/// Python with the etcd3 client.
pub(crate) fn python() -> Command {
    Command::new(installed("tools/python/bin/python"))
}

/// For the benches, which run `tests/support/tools.sh haproxy` first.
pub(crate) fn haproxy() -> Command {
    Command::new(installed("tools/haproxy/bin/haproxy"))
}
