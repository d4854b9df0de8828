//! Why a node does not do what it was asked for.

use super::confchange::ConfChangeError;
use super::index::{EntryId, LogIndex};
use super::storage::StorageError;
use crate::types::ids::MemberId;

/// Texts are etcd's where it has one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The leader counts on entries that this node has acknowledged and does not have: its disk
    /// has lost them, and it must not go on.
    #[error(
        "commit index {commit} is behind the last entry {last}: was the log corrupted, truncated, or lost?"
    )]
    CommitBeyondLog { commit: LogIndex, last: LogIndex },
    /// The leader has another entry where this node has a committed one.
    #[error("entry {leaders} of the leader conflicts with a committed one (commit index {commit})")]
    CommittedConflict { leaders: EntryId, commit: LogIndex },
    #[error(transparent)]
    ConfChange(#[from] ConfChangeError),
    #[error("configuration of raft: {0}")]
    Config(&'static str),
    /// Entries of an append do not follow each other.
    #[error("entries after {0} are not consecutive")]
    Gap(EntryId),
    /// A snapshot of more entries than a log can have.
    #[error("a snapshot up to {0}")]
    ImplausibleSnapshot(EntryId),
    /// Another member goes by this node's id.
    #[error("a message of another member in the name of this one")]
    OwnName,
    #[error("raft: cannot step as peer not found")]
    PeerNotFound(MemberId),
    #[error("raft proposal dropped")]
    ProposalDropped(DropReason),
    #[error("storage of the log: {0}")]
    Storage(#[from] StorageError),
}

/// Why a proposal was dropped; it may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// This node knows no leader.
    NoLeader,
    /// It follows, and was told not to forward.
    NotForwarded,
    /// The leader is being replaced.
    Transferring,
    /// More is uncommitted than the limit allows.
    TooMuchUncommitted,
    /// The leader is no longer a member.
    Removed,
}
