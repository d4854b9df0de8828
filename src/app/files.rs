//! Files that are looked at again and again for a change.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Files and what they looked like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Watched(Vec<(PathBuf, Option<Stamp>)>);

/// By this a file shows that it has changed, or is another one: behind a symbolic link too, which is
/// how Kubernetes brings a new version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    /// Whoever may read it is part of this.
    changed: (i64, i64),
}

impl Watched {
    /// As they look now.
    pub fn look(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        Self::default().extended(paths)
    }

    /// These files: those that are known as they looked, others as they look now.
    pub fn extended(&self, paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let mut files: Vec<(PathBuf, Option<Stamp>)> = Vec::new();
        for path in paths {
            if files.iter().any(|(other, _)| *other == path) {
                continue;
            }
            let known = self.0.iter().find(|(known, _)| *known == path).cloned();
            files.push(known.unwrap_or_else(|| (path.clone(), Stamp::of(&path))));
        }
        Self(files)
    }

    /// The same files as they look now.
    pub fn again(&self) -> Self {
        Self::look(self.0.iter().map(|(path, _)| path.clone()))
    }
}

impl Stamp {
    /// `None` where there is none to be seen.
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn every_way_to_bring_a_new_version_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("plain"), "1").unwrap();
        fs::create_dir(at("v1")).unwrap();
        fs::create_dir(at("v2")).unwrap();
        fs::write(at("v1/key"), "1").unwrap();
        fs::write(at("v2/key"), "1").unwrap();
        symlink("v1", at("..data")).unwrap();
        symlink("..data/key", at("key")).unwrap();
        let mut seen = Watched::look([at("plain"), at("key"), at("missing")]);
        let mut has_changed = || {
            let now = seen.again();
            std::mem::replace(&mut seen, now.clone()) != now
        };
        assert!(!has_changed());
        // As Kubernetes does it: the links stay, what they lead to is another.
        symlink("v2", at("..data.new")).unwrap();
        fs::rename(at("..data.new"), at("..data")).unwrap();
        assert!(has_changed());
        // As an editor does it.
        fs::write(at("plain.new"), "2").unwrap();
        fs::rename(at("plain.new"), at("plain")).unwrap();
        assert!(has_changed());
        // In place.
        fs::write(at("plain"), "23").unwrap();
        assert!(has_changed());
        fs::write(at("missing"), "").unwrap();
        assert!(has_changed());
        fs::remove_file(at("key")).unwrap();
        assert!(has_changed());
        assert!(!has_changed());
    }
}
