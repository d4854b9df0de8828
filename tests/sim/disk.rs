//! What a member has written, and what of it would survive a crash.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::Range;

use etcdlet::raft::index::EntryId;
use etcdlet::raft::wire::within;
use etcdlet::raft::{ConfState, Entry, HardState, LogIndex, Persist, Snapshot, Storage, StorageError};
use etcdlet::types::ids::Term;
use fastrand::Rng;

/// A log on a disk with a cache: writes are done in order, and are durable when they are flushed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    /// What can be read.
    written: Image,
    /// What is left after a crash, at least.
    durable: Image,
    /// Between these two, by age.
    unsynced: VecDeque<Record>,
    /// It is slow to read from: now and then it has no answer yet.
    busy: Option<RefCell<Rng>>,
}

/// The contents of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Image {
    pub hard_state: HardState,
    /// The last one received or taken.
    pub snapshot: Snapshot,
    /// The entry before the first.
    pub compacted: EntryId,
    pub entries: Vec<Entry>,
}

/// What is written as a whole or not at all.
#[derive(Clone, Debug)]
enum Record {
    Entry(Entry),
    HardState(HardState),
    /// Of another member: it replaces the log.
    Snapshot(Box<Snapshot>),
}

impl Disk {
    /// Of a member that was there from the beginning.
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        let hard_state = HardState { term: snapshot.last.term, vote: None, commit: snapshot.last.index };
        let image = Image { hard_state, compacted: snapshot.last, snapshot, entries: Vec::new() };
        Self { written: image.clone(), durable: image, unsynced: VecDeque::new(), busy: None }
    }

    pub(crate) fn write(&mut self, persist: &Persist) {
        if let Some(snapshot) = &persist.snapshot {
            self.write_record(Record::Snapshot(snapshot.clone()));
        }
        for entry in &persist.entries {
            self.write_record(Record::Entry(entry.clone()));
        }
        if let Some(hard_state) = persist.hard_state {
            self.write_record(Record::HardState(hard_state));
        }
    }

    /// Of the own state machine: the log stays. It is a file of its own, which is there as a whole or not at all, and
    /// so may be durable before the write that says that its entries are committed.
    pub(crate) fn write_checkpoint(&mut self, snapshot: &Snapshot) {
        self.written.take_checkpoint(snapshot);
        self.durable.take_checkpoint(snapshot);
    }

    fn write_record(&mut self, record: Record) {
        self.written.apply(&record);
        self.unsynced.push_back(record);
    }

    /// All that is written is durable.
    pub(crate) fn sync(&mut self) {
        for record in self.unsynced.drain(..) {
            self.durable.apply(&record);
        }
    }

    /// The cache is lost, but for what has reached the disk by itself.
    pub(crate) fn crash(&mut self, chance: &mut Rng) {
        let kept = match chance.u8(..4) {
            0 => 0,
            1 => self.unsynced.len(),
            _ => chance.usize(0..=self.unsynced.len()),
        };
        for record in self.unsynced.drain(..).take(kept) {
            self.durable.apply(&record);
        }
        self.written = self.durable.clone();
        self.busy = None;
    }

    pub(crate) fn set_busy(&mut self, chance: Option<Rng>) {
        self.busy = chance.map(RefCell::new);
    }

    fn wait(&self) -> Result<(), StorageError> {
        let waits = self.busy.as_ref().is_some_and(|chance| chance.borrow_mut().u8(..3) == 0);
        if waits { Err(StorageError::TemporarilyUnavailable) } else { Ok(()) }
    }

    /// Entries up to `index` are forgotten; the last snapshot covers them.
    pub(crate) fn compact(&mut self, index: LogIndex) {
        assert!(index <= self.durable.snapshot.last.index, "what is compacted is in a durable snapshot");
        self.written.compact(index);
        self.durable.compact(index);
    }

    pub(crate) const fn written(&self) -> &Image {
        &self.written
    }

    pub(crate) const fn durable(&self) -> &Image {
        &self.durable
    }
}

impl Image {
    fn apply(&mut self, record: &Record) {
        match record {
            Record::Entry(entry) => self.append(entry),
            Record::HardState(hard_state) => self.hard_state = *hard_state,
            Record::Snapshot(snapshot) => {
                self.compacted = snapshot.last;
                self.entries.clear();
                self.snapshot = (**snapshot).clone();
            }
        }
    }

    fn take_checkpoint(&mut self, snapshot: &Snapshot) {
        if snapshot.last.index > self.snapshot.last.index {
            self.snapshot = snapshot.clone();
        }
    }

    fn append(&mut self, entry: &Entry) {
        if entry.index > self.compacted.index {
            let kept = place(entry.index - self.compacted.index.next());
            assert!(kept <= self.entries.len(), "the log would have a gap before {}", entry.index);
            self.entries.truncate(kept);
            self.entries.push(entry.clone());
        }
    }

    fn compact(&mut self, index: LogIndex) {
        if let Some(term) = self.term(index).filter(|_| index > self.compacted.index) {
            self.entries.drain(..place(index - self.compacted.index));
            self.compacted = EntryId { term, index };
        }
    }

    pub(crate) fn last(&self) -> EntryId {
        self.entries.last().map_or(self.compacted, Entry::id)
    }

    /// None if it is compacted or not there.
    pub(crate) fn term(&self, index: LogIndex) -> Option<Term> {
        if index == self.compacted.index {
            return Some(self.compacted.term);
        }
        self.entry(index).map(|entry| entry.term)
    }

    pub(crate) fn entry(&self, index: LogIndex) -> Option<&Entry> {
        let behind = index.0.checked_sub(self.compacted.index.0 + 1)?;
        self.entries.get(place(behind))
    }
}

impl Storage for Disk {
    fn initial_state(&self) -> Result<(HardState, ConfState), StorageError> {
        Ok((self.written.hard_state, self.written.snapshot.conf_state.clone()))
    }

    fn entries(&self, range: Range<LogIndex>, bytes_max: u64) -> Result<Vec<Entry>, StorageError> {
        self.wait()?;
        let Image { compacted, entries, .. } = &self.written;
        if range.start <= compacted.index {
            return Err(StorageError::Compacted);
        }
        let first = place(range.start - compacted.index.next());
        let found = entries.get(first..first + place(range.end - range.start));
        Ok(within(found.ok_or(StorageError::Unavailable)?, bytes_max).to_vec())
    }

    fn term(&self, index: LogIndex) -> Result<Term, StorageError> {
        self.wait()?;
        if index < self.written.compacted.index {
            return Err(StorageError::Compacted);
        }
        self.written.term(index).ok_or(StorageError::Unavailable)
    }

    fn first_index(&self) -> LogIndex {
        self.written.compacted.index.next()
    }

    fn last_index(&self) -> LogIndex {
        self.written.last().index
    }

    fn snapshot(&self) -> Result<Snapshot, StorageError> {
        self.wait()?;
        Ok(self.written.snapshot.clone())
    }
}

fn place(distance: u64) -> usize {
    usize::try_from(distance).expect("a log fits into memory")
}
