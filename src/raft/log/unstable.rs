//! The end of the log that is not known to be durable.

use crate::raft::entry::Entry;
use crate::raft::index::{EntryId, LogIndex};
use crate::raft::snapshot::Snapshot;
use crate::types::ids::Term;

/// A received snapshot, and the entries behind all stored ones.
#[derive(Debug)]
pub(super) struct Unstable {
    /// With whether it is handed out.
    snapshot: Option<(Box<Snapshot>, bool)>,
    entries: Vec<Entry>,
    /// The position of the first of them, or of the next one.
    offset: LogIndex,
    /// Those below are handed out.
    given_to: LogIndex,
}

impl Unstable {
    pub(super) const fn new(offset: LogIndex) -> Self {
        Self { snapshot: None, entries: Vec::new(), offset, given_to: offset }
    }

    pub(super) const fn offset(&self) -> LogIndex {
        self.offset
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) const fn snapshot(&self) -> Option<&Snapshot> {
        match &self.snapshot {
            Some((snapshot, _)) => Some(snapshot),
            None => None,
        }
    }

    /// None if storage has to be asked.
    pub(super) fn term(&self, index: LogIndex) -> Option<Term> {
        if index >= self.offset {
            return self.entries.get(self.place(index)).map(|entry| entry.term);
        }
        self.snapshot().filter(|snapshot| snapshot.last.index == index).map(|snapshot| snapshot.last.term)
    }

    /// From `from` to `to`, both included.
    pub(super) fn slice(&self, from: LogIndex, to: LogIndex) -> &[Entry] {
        &self.entries[self.place(from)..self.place(to.next())]
    }

    fn place(&self, index: LogIndex) -> usize {
        usize::try_from(index - self.offset).expect("what is in memory can be counted")
    }

    /// These entries instead of all from the first of them on; what of those is handed out already
    /// is written over.
    pub(super) fn replace_from(&mut self, entries: &[Entry]) {
        let Some(first) = entries.first() else { return };
        if first.index <= self.offset {
            self.entries.clear();
            self.offset = first.index;
        } else {
            self.entries.truncate(self.place(first.index));
        }
        self.given_to = self.given_to.min(first.index);
        self.entries.extend_from_slice(entries);
    }

    pub(super) fn restore(&mut self, snapshot: Box<Snapshot>) {
        self.offset = snapshot.last.index.next();
        self.given_to = self.offset;
        self.entries.clear();
        self.snapshot = Some((snapshot, false));
    }

    pub(super) const fn has_snapshot_to_give(&self) -> bool {
        matches!(self.snapshot, Some((_, false)))
    }

    pub(super) const fn has_entries_to_give(&self) -> bool {
        self.given_to.0 < self.offset.0 + self.entries.len() as u64
    }

    /// What was not handed out before.
    pub(super) fn give(&mut self) -> (Option<Box<Snapshot>>, Vec<Entry>) {
        let entries = self.entries[self.place(self.given_to)..].to_vec();
        self.given_to = self.offset + self.entries.len() as u64;
        let snapshot = match &mut self.snapshot {
            Some((snapshot, given @ false)) => {
                *given = true;
                Some(snapshot.clone())
            }
            _ => None,
        };
        (snapshot, entries)
    }

    /// The log is durable up to this entry, if it is still there.
    pub(super) fn stable_to(&mut self, last: EntryId) {
        if last.index < self.offset || self.term(last.index) != Some(last.term) {
            return;
        }
        let count = self.place(last.index.next());
        self.entries.drain(..count);
        self.offset = last.index.next();
        self.given_to = self.given_to.max(self.offset);
    }

    /// The snapshot up to `index` is durable, and given back unless another came since.
    pub(super) fn stable_snapshot(&mut self, index: LogIndex) -> Option<Box<Snapshot>> {
        self.snapshot.take_if(|(snapshot, _)| snapshot.last.index == index).map(|(snapshot, _)| snapshot)
    }
}
