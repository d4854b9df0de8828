//! What the log consists of.

use bytes::Bytes;

use super::index::{EntryId, LogIndex};
use crate::types::ids::Term;

/// One position of the log. Term and index of a proposal are given by the leader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    pub kind: EntryType,
    pub term: Term,
    pub index: LogIndex,
    /// Opaque for an [`EntryType::Normal`]; an encoded configuration change otherwise.
    pub data: Bytes,
}

impl Entry {
    /// A proposal with this payload.
    #[must_use]
    pub fn normal(data: Bytes) -> Self {
        Self { data, ..Self::default() }
    }

    #[must_use]
    pub const fn id(&self) -> EntryId {
        EntryId { term: self.term, index: self.index }
    }

    #[must_use]
    pub const fn is_conf_change(&self) -> bool {
        !matches!(self.kind, EntryType::Normal)
    }
}

/// What the payload of an entry is; the numbers are those of the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EntryType {
    #[default]
    Normal = 0,
    ConfChange = 1,
    ConfChangeV2 = 2,
}

/// Payload bytes, as the limits on what is in flight and what is uncommitted count them.
pub(crate) fn payload_bytes(entries: &[Entry]) -> u64 {
    entries.iter().map(|entry| entry.data.len() as u64).sum()
}
