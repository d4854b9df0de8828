//! A log in memory: for tests, the simulator and benches.

use std::ops::Range;

use super::entry::Entry;
use super::index::{EntryId, LogIndex};
use super::output::{HardState, Persist};
use super::snapshot::{ConfState, Snapshot};
use super::storage::{Storage, StorageError};
use super::wire::within;
use crate::types::ids::Term;

/// Everything that is written is durable at once.
#[derive(Clone, Debug, Default)]
pub struct MemoryStorage {
    hard_state: HardState,
    /// The last one received or created; its membership is the one to start with.
    snapshot: Snapshot,
    /// The entry before the first.
    compacted: EntryId,
    entries: Vec<Entry>,
}

impl MemoryStorage {
    /// A first start with these members.
    #[must_use]
    pub fn new(conf_state: ConfState) -> Self {
        let snapshot = Snapshot { conf_state, ..Snapshot::default() };
        Self { snapshot, ..Self::default() }
    }

    /// As if the log had been replaced by this snapshot.
    #[must_use]
    pub fn from_snapshot(snapshot: Snapshot) -> Self {
        let hard_state = HardState { term: snapshot.last.term, vote: None, commit: snapshot.last.index };
        let mut storage = Self { hard_state, ..Self::default() };
        storage.replace_by(snapshot);
        storage
    }

    /// Writes all that is in it.
    pub fn persist(&mut self, persist: &Persist) {
        if let Some(snapshot) = &persist.snapshot {
            self.replace_by((**snapshot).clone());
        }
        self.append(&persist.entries);
        if let Some(hard_state) = persist.hard_state {
            self.hard_state = hard_state;
        }
    }

    /// Replaces all entries from the first of these on.
    pub fn append(&mut self, entries: &[Entry]) {
        // What is compacted already is not written again.
        let known = entries.iter().take_while(|entry| entry.index <= self.compacted.index).count();
        let entries = &entries[known..];
        if let Some(first) = entries.first() {
            let kept = usize::try_from(first.index - self.first_index()).expect("a log fits into memory");
            assert!(kept <= self.entries.len(), "the log would have a gap before {}", first.index);
            self.entries.truncate(kept);
            self.entries.extend_from_slice(entries);
        }
    }

    /// The state machine's state up to `index`, in exchange for which the log may be compacted.
    pub fn create_snapshot(&mut self, snapshot: Snapshot) {
        self.snapshot = snapshot;
    }

    /// Forgets the entries up to `index`, which a snapshot covers.
    pub fn compact(&mut self, index: LogIndex) -> Result<(), StorageError> {
        if index <= self.compacted.index {
            return Err(StorageError::Compacted);
        }
        let term = self.term(index)?;
        let count = usize::try_from(index - self.compacted.index).expect("a log fits into memory");
        self.entries.drain(..count);
        self.compacted = EntryId { term, index };
        Ok(())
    }

    fn replace_by(&mut self, snapshot: Snapshot) {
        self.compacted = snapshot.last;
        self.entries.clear();
        self.snapshot = snapshot;
    }

    pub const fn set_hard_state(&mut self, hard_state: HardState) {
        self.hard_state = hard_state;
    }

    #[must_use]
    pub const fn hard_state(&self) -> HardState {
        self.hard_state
    }

    /// Where an entry stands; none if it is compacted or not there yet.
    fn place(&self, index: LogIndex) -> Result<usize, StorageError> {
        if index < self.first_index() {
            return Err(StorageError::Compacted);
        }
        let place = usize::try_from(index - self.first_index()).expect("a log fits into memory");
        if place < self.entries.len() { Ok(place) } else { Err(StorageError::Unavailable) }
    }
}

impl Storage for MemoryStorage {
    fn initial_state(&self) -> Result<(HardState, ConfState), StorageError> {
        Ok((self.hard_state, self.snapshot.conf_state.clone()))
    }

    fn entries(&self, range: Range<LogIndex>, bytes_max: u64) -> Result<Vec<Entry>, StorageError> {
        let first = self.place(range.start)?;
        let count = usize::try_from(range.end - range.start).expect("a log fits into memory");
        let entries = self.entries.get(first..first + count).ok_or(StorageError::Unavailable)?;
        Ok(within(entries, bytes_max).to_vec())
    }

    fn term(&self, index: LogIndex) -> Result<Term, StorageError> {
        if index == self.compacted.index {
            return Ok(self.compacted.term);
        }
        self.place(index).map(|place| self.entries[place].term)
    }

    fn first_index(&self) -> LogIndex {
        self.compacted.index.next()
    }

    fn last_index(&self) -> LogIndex {
        self.compacted.index + self.entries.len() as u64
    }

    fn snapshot(&self) -> Result<Snapshot, StorageError> {
        Ok(self.snapshot.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(term: u64, index: u64) -> Entry {
        Entry { term: Term(term), index: LogIndex(index), ..Entry::default() }
    }

    fn entries(storage: &MemoryStorage) -> Vec<Entry> {
        storage.entries(storage.first_index()..storage.last_index().next(), u64::MAX).unwrap()
    }

    #[test]
    fn later_entries_replace_those_from_their_first_on() {
        let mut storage = MemoryStorage::default();
        storage.append(&[entry(1, 1), entry(1, 2), entry(1, 3)]);
        storage.append(&[entry(2, 2)]);
        assert_eq!(entries(&storage), [entry(1, 1), entry(2, 2)]);
        assert_eq!(storage.term(LogIndex(3)), Err(StorageError::Unavailable));
    }

    #[test]
    fn what_is_compacted_is_gone_but_for_the_term_of_its_last() {
        let mut storage = MemoryStorage::default();
        storage.append(&[entry(1, 1), entry(2, 2), entry(2, 3)]);
        storage.compact(LogIndex(2)).unwrap();
        assert_eq!(entries(&storage), [entry(2, 3)]);
        assert_eq!(storage.term(LogIndex(2)), Ok(Term(2)));
        assert_eq!(storage.term(LogIndex(1)), Err(StorageError::Compacted));
        assert_eq!(storage.compact(LogIndex(2)), Err(StorageError::Compacted));
        assert_eq!(storage.compact(LogIndex(4)), Err(StorageError::Unavailable));
        storage.append(&[entry(1, 1), entry(2, 2), entry(3, 3)]);
        assert_eq!(entries(&storage), [entry(3, 3)], "what is compacted is not written again");
    }
}
