//! How far the state machine is.

use crate::raft::entry::{Entry, payload_bytes};
use crate::raft::index::LogIndex;
use crate::raft::output::ApplyAck;
use crate::raft::wire::encoded_bytes;

/// What is applied, and what is handed out for it.
#[derive(Debug)]
pub(super) struct Applying {
    applied: LogIndex,
    /// The last entry that is handed out.
    handed_out: LogIndex,
    bytes: u64,
    bytes_max: u64,
    /// The last hand-out was cut short by the limit, so one of them has to come back first.
    full: bool,
}

impl Applying {
    pub(super) const fn new(applied: LogIndex, bytes_max: u64) -> Self {
        Self { applied, handed_out: applied, bytes: 0, bytes_max, full: false }
    }

    pub(super) const fn applied(&self) -> LogIndex {
        self.applied
    }

    pub(super) const fn next(&self) -> LogIndex {
        self.handed_out.next()
    }

    pub(super) const fn bytes_left(&self) -> u64 {
        self.bytes_max.saturating_sub(self.bytes)
    }

    pub(super) fn may_go_to(&self, index: LogIndex) -> bool {
        !self.full && self.handed_out < index
    }

    /// These are handed out, of those up to `wanted`.
    pub(super) fn give(&mut self, entries: &[Entry], wanted: LogIndex) -> Option<ApplyAck> {
        let index = entries.last()?.index;
        assert_eq!(entries[0].index, self.next(), "entries are applied in order and once");
        let ack = ApplyAck { index, bytes: encoded_bytes(entries), payload_bytes: payload_bytes(entries) };
        self.handed_out = index;
        self.bytes += ack.bytes;
        self.full = self.bytes >= self.bytes_max || index < wanted;
        Some(ack)
    }

    pub(super) fn applied_to(&mut self, index: LogIndex, bytes: u64) {
        self.applied = self.applied.max(index);
        self.handed_out = self.handed_out.max(index);
        self.bytes = self.bytes.saturating_sub(bytes);
        self.full = self.bytes >= self.bytes_max;
    }
}
