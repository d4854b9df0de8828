//! The log: what is durable, behind [`Storage`], and what is not yet, in memory.
//!
//! ```text
//!        first          applied    applying    committed            last
//!   ───────┼───────────────┼──────────┼────────────┼──────────────────┤
//!    compacted    storage            │ unstable: handed out │ not yet  │
//! ```
//!
//! Invariants: applied ≤ applying ≤ committed ≤ last; storage is read only below the unstable
//! part; nothing at or below `committed` is ever replaced.

mod apply;
#[cfg(test)]
mod tests;
mod unstable;

use apply::Applying;
use unstable::Unstable;

use super::Error;
use super::entry::Entry;
use super::index::{EntryId, LogIndex};
use super::output::{ApplyAck, PersistAck};
use super::snapshot::Snapshot;
use super::storage::{Storage, StorageError};
use super::wire::{encoded_bytes, within};
use crate::types::ids::Term;

#[derive(Debug)]
pub(crate) struct Log<S> {
    storage: S,
    unstable: Unstable,
    last: EntryId,
    committed: LogIndex,
    applying: Applying,
    /// It could not give the entries to apply when they were last asked for.
    waits_for_storage: bool,
}

impl<S: Storage> Log<S> {
    /// `applied`: how far the state machine got before.
    pub(crate) fn try_new(
        storage: S,
        committed: LogIndex,
        applied: LogIndex,
        applying_bytes_max: u64,
    ) -> Result<Self, Error> {
        let (before, index) = (storage.first_index().previous(), storage.last_index());
        let last = EntryId { term: storage.term(index)?, index };
        let applied = applied.max(before);
        // What is applied was committed, even if the write that says so was lost.
        let committed = committed.max(applied);
        if committed > index {
            return Err(Error::CommitBeyondLog { commit: committed, last: index });
        }
        let unstable = Unstable::new(index.next());
        let applying = Applying::new(applied, applying_bytes_max);
        Ok(Self { storage, unstable, last, committed, applying, waits_for_storage: false })
    }

    pub(crate) const fn storage(&self) -> &S {
        &self.storage
    }

    pub(crate) const fn storage_mut(&mut self) -> &mut S {
        &mut self.storage
    }

    pub(crate) fn first_index(&self) -> LogIndex {
        let received = self.unstable.snapshot().map(|snapshot| snapshot.last.index.next());
        received.unwrap_or_else(|| self.storage.first_index())
    }

    pub(crate) const fn last(&self) -> EntryId {
        self.last
    }

    pub(crate) const fn committed(&self) -> LogIndex {
        self.committed
    }

    pub(crate) const fn applied(&self) -> LogIndex {
        self.applying.applied()
    }

    pub(crate) fn term(&self, index: LogIndex) -> Result<Term, StorageError> {
        if index > self.last.index {
            return Err(StorageError::Unavailable);
        }
        if let Some(term) = self.unstable.term(index) {
            return Ok(term);
        }
        if index.next() < self.first_index() {
            return Err(StorageError::Compacted);
        }
        self.storage.term(index)
    }

    /// Whether the log has this entry.
    pub(crate) fn has(&self, id: EntryId) -> Result<bool, StorageError> {
        match self.term(id.index) {
            Ok(term) => Ok(term == id.term),
            Err(StorageError::Compacted | StorageError::Unavailable) => Ok(false),
            Err(later @ StorageError::TemporarilyUnavailable) => Err(later),
        }
    }

    /// The last position up to `index` whose term is not above `term`, with its term; without one
    /// from where on terms are no longer known.
    pub(crate) fn last_up_to_term(
        &self,
        mut index: LogIndex,
        term: Term,
    ) -> Result<(LogIndex, Option<Term>), StorageError> {
        while index > LogIndex::ZERO {
            match self.term(index) {
                Ok(own) if own <= term => return Ok((index, Some(own))),
                Ok(_) => index = index.previous(),
                Err(StorageError::Compacted | StorageError::Unavailable) => return Ok((index, None)),
                Err(later @ StorageError::TemporarilyUnavailable) => return Err(later),
            }
        }
        Ok((LogIndex::ZERO, None))
    }

    /// Entries behind the last, numbered and of the leader's term.
    pub(crate) fn append(&mut self, entries: &[Entry]) {
        let Some(newest) = entries.last() else { return };
        assert!(entries[0].index > self.committed, "a committed entry would be replaced");
        self.last = newest.id();
        self.unstable.replace_from(entries);
    }

    /// A leader's entries behind one that this log must have: gives the last position that equals
    /// the leader's, or none if it has not.
    pub(crate) fn try_append(
        &mut self,
        previous: EntryId,
        entries: &[Entry],
        commit: LogIndex,
    ) -> Result<Option<LogIndex>, Error> {
        if !self.has(previous)? {
            return Ok(None);
        }
        let consecutive = (1..).zip(entries).all(|(distance, it)| it.index == previous.index + distance);
        if !consecutive {
            return Err(Error::Gap(previous));
        }
        for (at, entry) in entries.iter().enumerate() {
            if self.has(entry.id())? {
                continue;
            }
            if entry.index <= self.committed {
                return Err(Error::CommittedConflict { leaders: entry.id(), commit: self.committed });
            }
            self.append(&entries[at..]);
            break;
        }
        let equal_to = previous.index + entries.len() as u64;
        self.commit_to(commit.min(equal_to))?;
        Ok(Some(equal_to))
    }

    /// Gives whether this is news.
    pub(crate) fn commit_to(&mut self, index: LogIndex) -> Result<bool, Error> {
        if index > self.last.index {
            return Err(Error::CommitBeyondLog { commit: index, last: self.last.index });
        }
        let more = index > self.committed;
        self.committed = index.max(self.committed);
        Ok(more)
    }

    /// A snapshot replaces the whole log; its position is committed.
    pub(crate) fn restore(&mut self, snapshot: Box<Snapshot>) {
        assert!(snapshot.last.index > self.committed, "a snapshot would replace committed entries");
        self.committed = snapshot.last.index;
        self.last = snapshot.last;
        self.unstable.restore(snapshot);
    }

    /// A snapshot that is received and not yet durable.
    pub(crate) const fn is_restoring(&self) -> bool {
        self.unstable.snapshot().is_some()
    }

    pub(crate) fn snapshot(&self) -> Result<Snapshot, StorageError> {
        match self.unstable.snapshot() {
            Some(snapshot) => Ok(snapshot.clone()),
            None => self.storage.snapshot(),
        }
    }

    /// From `from` to the end, as many as `bytes_max` allows, at least one if there is one.
    pub(crate) fn entries_from(&self, from: LogIndex, bytes_max: u64) -> Result<Vec<Entry>, StorageError> {
        if from > self.last.index { Ok(Vec::new()) } else { self.slice(from, self.last.index, bytes_max) }
    }

    /// From `from` to `to`, both included.
    fn slice(&self, from: LogIndex, to: LogIndex, bytes_max: u64) -> Result<Vec<Entry>, StorageError> {
        if from < self.first_index() {
            return Err(StorageError::Compacted);
        }
        let offset = self.unstable.offset();
        if from >= offset {
            return Ok(within(self.unstable.slice(from, to), bytes_max).to_vec());
        }
        let stored_to = to.min(offset.previous());
        let mut entries = self.storage.entries(from..stored_to.next(), bytes_max)?;
        let complete = entries.last().is_some_and(|entry| entry.index == stored_to);
        let bytes = encoded_bytes(&entries);
        if complete && to >= offset && bytes < bytes_max {
            let left = bytes_max - bytes;
            let rest = within(self.unstable.slice(offset, to), left);
            // The first is always among them; here it is not the only one.
            if encoded_bytes(rest) <= left {
                entries.extend_from_slice(rest);
            }
        }
        Ok(entries)
    }
}

/// What is handed to the driver, and comes back as done.
impl<S: Storage> Log<S> {
    pub(crate) const fn has_unpersisted(&self) -> bool {
        self.unstable.has_snapshot_to_give() || self.unstable.has_entries_to_give()
    }

    pub(crate) fn take_unpersisted(&mut self) -> (Option<Box<Snapshot>>, Vec<Entry>) {
        self.unstable.give()
    }

    /// The end of the log, if some of it is not known to be durable.
    pub(crate) fn unstable_last(&self) -> Option<EntryId> {
        (!self.unstable.is_empty()).then_some(self.last)
    }

    /// `current`: the ack belongs to the node's present term. The entries of an earlier one may have
    /// been replaced since by others with the same index, that are not durable at all.
    ///
    /// Gives the snapshot that has replaced the log by that.
    pub(crate) fn handle_persisted(&mut self, ack: &PersistAck, current: bool) -> Option<Box<Snapshot>> {
        let PersistAck { term: _, last, snapshot } = ack;
        if let Some(last) = last
            && current
        {
            self.unstable.stable_to(*last);
        }
        let index = (*snapshot)?;
        self.applying.applied_to(index, 0);
        self.unstable.stable_snapshot(index)
    }

    fn appliable(&self, unstable_too: bool) -> LogIndex {
        let durable = if unstable_too { self.last.index } else { self.unstable.offset().previous() };
        self.committed.min(durable)
    }

    /// Whether there are committed entries that may be handed out. `unstable_too`: even those that
    /// will be durable only by what is handed out before them.
    pub(crate) fn has_appliable(&self, unstable_too: bool) -> bool {
        !self.waits_for_storage && self.may_apply(unstable_too)
    }

    fn may_apply(&self, unstable_too: bool) -> bool {
        !self.is_restoring() && self.applying.may_go_to(self.appliable(unstable_too))
    }

    /// Storage that was busy is asked again.
    pub(crate) const fn retry(&mut self) {
        self.waits_for_storage = false;
    }

    /// None as well if storage cannot give them yet.
    pub(crate) fn take_appliable(&mut self, unstable_too: bool) -> Option<(Vec<Entry>, ApplyAck)> {
        if !self.may_apply(unstable_too) {
            return None;
        }
        let to = self.appliable(unstable_too);
        let found = self.slice(self.applying.next(), to, self.applying.bytes_left());
        self.waits_for_storage = found == Err(StorageError::TemporarilyUnavailable);
        let entries = match found {
            Ok(entries) => entries,
            Err(StorageError::TemporarilyUnavailable) => return None,
            Err(lost) => panic!("committed entries from {} on: {lost}", self.applying.next()),
        };
        let ack = self.applying.give(&entries, to)?;
        Some((entries, ack))
    }

    pub(crate) fn handle_applied(&mut self, ack: &ApplyAck) {
        assert!(ack.index <= self.committed, "applied beyond what is committed");
        self.applying.applied_to(ack.index, ack.bytes);
    }

    /// Whether a configuration change is committed and not applied; none if storage cannot tell yet.
    pub(crate) fn has_unapplied_conf_change(&self) -> Option<bool> {
        let mut next = self.applied().next();
        while next <= self.committed {
            let entries = match self.slice(next, self.committed, SCAN_BYTES) {
                Ok(entries) => entries,
                Err(StorageError::TemporarilyUnavailable) => return None,
                // A snapshot that is being written stands for them.
                Err(StorageError::Compacted | StorageError::Unavailable) => return Some(false),
            };
            if entries.iter().any(Entry::is_conf_change) {
                return Some(true);
            }
            next = entries.last()?.index.next();
        }
        Some(false)
    }
}

/// Read at once when looking through unapplied entries.
const SCAN_BYTES: u64 = 1 << 20;
