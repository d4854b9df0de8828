//! The durable part of the log, as the core reads it.

use std::ops::Range;

use super::entry::Entry;
use super::index::LogIndex;
use super::output::HardState;
use super::snapshot::{ConfState, Snapshot};
use crate::types::ids::Term;

/// The log and the state that the driver has written; it may lag behind what the core has handed
/// out, and may lose its front to compaction at any time.
///
/// The entry before [`first_index`](Self::first_index) is a snapshot's last, or 0; its term is known.
pub trait Storage {
    /// What was durable when the node starts, and the membership after the entry
    /// [`Config::applied`](super::Config::applied).
    fn initial_state(&self) -> Result<(HardState, ConfState), StorageError>;

    /// Consecutive entries from the range's start: at least one, and more as long as their encoded
    /// size stays within `bytes_max`.
    fn entries(&self, range: Range<LogIndex>, bytes_max: u64) -> Result<Vec<Entry>, StorageError>;

    /// The term of an entry, from the one before the first to the last.
    fn term(&self, index: LogIndex) -> Result<Term, StorageError>;

    fn first_index(&self) -> LogIndex;

    /// That of the entry before the first, if there is no entry.
    fn last_index(&self) -> LogIndex;

    /// One to send to a follower that needs what is compacted: it covers at least that, and one from
    /// before the follower became a member is not sent.
    fn snapshot(&self) -> Result<Snapshot, StorageError>;
}

/// Why storage gives no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    #[error("requested index is unavailable due to compaction")]
    Compacted,
    /// Ask again later: it is being prepared, or read from a slow disk.
    #[error("temporarily unavailable")]
    TemporarilyUnavailable,
    #[error("requested entry at index is unavailable")]
    Unavailable,
}
