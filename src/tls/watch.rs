//! Whether files are others than they were.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What was seen of a set of files. Whoever has one decides when to look.
#[derive(Default)]
pub struct Watch {
    /// `None` for a file that was not there.
    seen: BTreeMap<PathBuf, Option<Stamp>>,
}

/// Changes when a file is written or another one takes its place, also behind a symbolic link, by
/// which Kubernetes replaces the files of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Watch {
    /// Whether any of them is new, gone or another one than when it was looked at last; at the first
    /// look every one is. To be called before the files are read: what comes later is found next time.
    pub fn look(&mut self, paths: &[PathBuf]) -> bool {
        let now: BTreeMap<_, _> = paths.iter().map(|path| (path.clone(), Stamp::of(path))).collect();
        let changed = now != self.seen;
        self.seen = now;
        changed
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let data = fs::metadata(path).ok()?;
        Some(Self {
            device: data.dev(),
            inode: data.ino(),
            length: data.len(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_change_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let paths = [dir.path().join("a"), dir.path().join("b")];
        fs::write(&paths[0], "1").unwrap();
        let mut watch = Watch::default();
        assert!(watch.look(&paths));
        assert!(!watch.look(&paths));
        // One that was not there.
        fs::write(&paths[1], "1").unwrap();
        assert!(watch.look(&paths) && !watch.look(&paths));
        // Longer.
        fs::write(&paths[1], "22").unwrap();
        assert!(watch.look(&paths) && !watch.look(&paths));
        // Another one of the same length, by a rename.
        fs::write(dir.path().join("new"), "33").unwrap();
        fs::rename(dir.path().join("new"), &paths[1]).unwrap();
        assert!(watch.look(&paths) && !watch.look(&paths));
        fs::remove_file(&paths[0]).unwrap();
        assert!(watch.look(&paths) && !watch.look(&paths));
        // A set of other files.
        assert!(watch.look(&paths[1..]) && !watch.look(&paths[1..]));
    }

    #[test]
    fn a_secret_of_kubernetes_changes_by_its_link() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for version in ["1", "2"] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("tls.crt"), "same length").unwrap();
        }
        symlink("1", at("..data")).unwrap();
        symlink("..data/tls.crt", at("tls.crt")).unwrap();
        let mut watch = Watch::default();
        let paths = [at("tls.crt")];
        watch.look(&paths);
        symlink("2", at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        assert!(watch.look(&paths) && !watch.look(&paths));
    }
}
