//! The files of one side, read together.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::TlsError;

/// What was in them at one time. Equal to another when nothing has changed in between.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Files(Arc<[(PathBuf, Vec<u8>)]>);

impl Files {
    pub fn read(paths: &[PathBuf]) -> Result<Self, TlsError> {
        let read = |path: &PathBuf| match std::fs::read(path) {
            Ok(bytes) => Ok((path.clone(), bytes)),
            Err(source) => Err(TlsError::Read { path: path.clone(), source }),
        };
        paths.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Of one that was read.
    pub fn bytes(&self, path: &Path) -> &[u8] {
        let found = self.0.iter().find(|(read, _)| read == path);
        &found.expect("every file that is looked into has been read").1
    }
}
