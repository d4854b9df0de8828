//! The log against a naive one: a list, and where it is committed, durable and applied.

use bytes::Bytes;
use fastrand::Rng;

use super::*;
use crate::raft::memory::MemoryStorage;
use crate::raft::output::Persist;
use crate::raft::snapshot::ConfState;

fn id(term: u64, index: u64) -> EntryId {
    EntryId { term: Term(term), index: LogIndex(index) }
}

fn entry(term: u64, index: u64) -> Entry {
    Entry {
        term: Term(term),
        index: LogIndex(index),
        data: Bytes::from_static(b"0123456789"),
        ..Entry::default()
    }
}

fn empty(applying_bytes_max: u64) -> Log<MemoryStorage> {
    Log::try_new(MemoryStorage::default(), LogIndex(0), LogIndex(0), applying_bytes_max).unwrap()
}

/// With entries of these terms, from 1 on, of which the first few are durable.
fn log(terms: &[u64], durable: usize) -> Log<MemoryStorage> {
    let entries: Vec<Entry> = (1..).zip(terms).map(|(index, term)| entry(*term, index)).collect();
    let mut storage = MemoryStorage::default();
    storage.append(&entries[..durable]);
    let mut log = Log::try_new(storage, LogIndex(0), LogIndex(0), u64::MAX).unwrap();
    log.append(&entries[durable..]);
    log
}

fn ack(term: u64, last: EntryId) -> PersistAck {
    PersistAck { term: Term(term), last: Some(last), snapshot: None }
}

#[test]
fn entries_go_behind_one_that_matches_and_over_those_that_do_not() {
    for (previous, terms, result, last) in [
        (id(2, 3), &[2, 3][..], Some(5), id(3, 5)),
        (id(1, 1), &[][..], Some(1), id(2, 3)),
        (id(1, 1), &[2][..], Some(2), id(2, 3)),
        (id(1, 1), &[2, 2, 2][..], Some(4), id(2, 4)),
        (id(1, 1), &[3][..], Some(2), id(3, 2)),
        (id(0, 0), &[1, 3][..], Some(2), id(3, 2)),
        (id(1, 2), &[3][..], None, id(2, 3)),
        (id(2, 4), &[3][..], None, id(2, 3)),
    ] {
        for durable in 0..=3 {
            let mut log = log(&[1, 2, 2], durable);
            let first = previous.index.0 + 1;
            let entries: Vec<Entry> = (first..).zip(terms).map(|(index, term)| entry(*term, index)).collect();
            let appended = log.try_append(previous, &entries, LogIndex(0)).unwrap();
            assert_eq!((appended, log.last()), (result.map(LogIndex), last), "{previous} {terms:?}");
        }
    }
}

#[test]
fn a_committed_entry_is_never_replaced() {
    let mut log = log(&[1, 2, 2], 1);
    log.commit_to(LogIndex(2)).unwrap();
    let conflict = Err(Error::CommittedConflict { leaders: id(3, 2), commit: LogIndex(2) });
    assert_eq!(log.try_append(id(1, 1), &[entry(3, 2)], LogIndex(2)), conflict);
    assert_eq!(log.last(), id(2, 3));
}

#[test]
fn the_commit_index_goes_no_further_than_what_equals_the_leaders_log() {
    let mut log = log(&[1, 2, 2], 3);
    log.try_append(id(1, 1), &[entry(2, 2)], LogIndex(9)).unwrap();
    assert_eq!(log.committed(), LogIndex(2));
    let beyond = Err(Error::CommitBeyondLog { commit: LogIndex(4), last: LogIndex(3) });
    assert_eq!(log.commit_to(LogIndex(4)), beyond);
    assert_eq!(log.commit_to(LogIndex(1)), Ok(false));
    assert_eq!(log.committed(), LogIndex(2));
}

#[test]
fn entries_with_a_gap_are_refused() {
    let gap = Err(Error::Gap(id(1, 1)));
    assert_eq!(log(&[1], 1).try_append(id(1, 1), &[entry(1, 3)], LogIndex(0)), gap);
}

#[test]
fn terms_that_are_too_new_are_skipped() {
    let log = log(&[1, 1, 4, 4, 5], 2);
    for (index, term, found) in [
        (5, 5, (5, Some(5))),
        (5, 4, (4, Some(4))),
        (5, 3, (2, Some(1))),
        (2, 9, (2, Some(1))),
        (5, 0, (0, None)),
        (7, 9, (7, None)),
    ] {
        let expected = (LogIndex(found.0), found.1.map(Term));
        assert_eq!(log.last_up_to_term(LogIndex(index), Term(term)), Ok(expected), "{index} {term}");
    }
}

#[test]
fn a_late_ack_of_what_was_replaced_makes_nothing_durable() {
    let mut log = log(&[1, 1], 0);
    log.take_unpersisted();
    log.try_append(id(1, 1), &[entry(2, 2)], LogIndex(0)).unwrap();
    log.handle_persisted(&ack(1, id(1, 2)), true);
    assert_eq!(log.unstable_last(), Some(id(2, 2)));
    log.handle_persisted(&ack(2, id(2, 2)), false);
    assert_eq!(log.unstable_last(), Some(id(2, 2)), "it is of a term that is over");
    log.handle_persisted(&ack(2, id(2, 2)), true);
    assert_eq!(log.unstable_last(), None);
}

#[test]
fn what_replaces_entries_under_way_is_handed_out_again() {
    let mut log = log(&[1, 1, 1], 0);
    assert_eq!(log.take_unpersisted().1.len(), 3);
    assert!(!log.has_unpersisted());
    log.try_append(id(1, 1), &[entry(2, 2)], LogIndex(0)).unwrap();
    assert_eq!(log.take_unpersisted().1, [entry(2, 2)]);
}

#[test]
fn a_snapshot_replaces_the_log_and_is_applied_when_it_is_durable() {
    let mut log = log(&[1, 1], 2);
    let last = id(3, 9);
    log.restore(Box::new(Snapshot { last, ..Snapshot::default() }));
    assert_eq!((log.first_index(), log.last(), log.committed()), (LogIndex(10), last, LogIndex(9)));
    assert_eq!(log.term(LogIndex(9)), Ok(Term(3)));
    assert_eq!(log.term(LogIndex(2)), Err(StorageError::Compacted));
    log.append(&[entry(3, 10)]);
    log.commit_to(LogIndex(10)).unwrap();
    assert!(!log.has_appliable(true), "the snapshot comes first");
    let (snapshot, entries) = log.take_unpersisted();
    let persist = Persist { snapshot, entries, ..Persist::default() };
    log.storage_mut().persist(&persist);
    log.handle_persisted(&PersistAck { term: Term(3), last: None, snapshot: Some(LogIndex(9)) }, false);
    assert_eq!(log.applied(), LogIndex(9));
    assert_eq!(log.take_appliable(true).unwrap().0, [entry(3, 10)]);
}

#[test]
fn what_is_handed_out_to_be_applied_is_limited_by_what_has_not_come_back() {
    let two = encoded_bytes(&[entry(1, 1), entry(1, 2)]);
    let mut log = empty(two);
    log.append(&(1..=5).map(|index| entry(1, index)).collect::<Vec<_>>());
    log.commit_to(LogIndex(5)).unwrap();
    assert!(!log.has_appliable(false), "nothing is durable");
    let (first, ack) = log.take_appliable(true).unwrap();
    assert_eq!(first.len(), 2);
    assert!(log.take_appliable(true).is_none());
    log.handle_applied(&ack);
    assert_eq!((log.applied(), log.take_appliable(true).unwrap().0.len()), (LogIndex(2), 2));
}

#[test]
fn one_entry_is_handed_out_however_large_it_is() {
    let log = log(&[1, 1, 1], 1);
    assert_eq!(log.entries_from(LogIndex(1), 0).unwrap().len(), 1);
    assert_eq!(log.entries_from(LogIndex(2), 0).unwrap().len(), 1);
    assert_eq!(log.entries_from(LogIndex(4), 0).unwrap().len(), 0);
}

#[test]
fn a_row_of_entries_does_not_show_where_it_is_stored() {
    let one = encoded_bytes(&[entry(1, 1)]);
    for durable in 0..=6 {
        let log = log(&[1; 6], durable);
        for (from, bytes_max, count) in
            [(1, u64::MAX, 6), (3, u64::MAX, 4), (1, 3 * one, 3), (2, 3 * one + 1, 3)]
        {
            let entries = log.entries_from(LogIndex(from), bytes_max).unwrap();
            let expected: Vec<Entry> = (from..from + count).map(|index| entry(1, index)).collect();
            assert_eq!(entries, expected, "{durable} {from} {bytes_max}");
        }
    }
}

/// What a follower keeps, as a list.
#[derive(Default)]
struct Naive {
    terms: Vec<u64>,
    committed: usize,
}

impl Naive {
    fn append(&mut self, previous: usize, terms: &[u64], commit: usize) {
        for (index, term) in (previous + 1..).zip(terms) {
            if self.terms.get(index - 1) != Some(term) {
                self.terms.truncate(index - 1);
                self.terms.push(*term);
            }
        }
        self.committed = self.committed.max(commit.min(previous + terms.len()));
    }
}

/// Leaders in a row send parts of their logs; writes are acknowledged late or never, and the front
/// is compacted. Whatever is applied is what was committed, in order.
#[test]
fn any_row_of_appends_and_writes_ends_as_in_a_list() {
    for seed in 0..300 {
        let mut chance = Rng::with_seed(seed);
        let (mut log, mut naive) = (empty(200), Naive::default());
        let mut leader: Vec<u64> = Vec::new();
        let (mut term, mut writes, mut applied) = (1, Vec::new(), 0);
        for _ in 0..200 {
            match chance.u8(..8) {
                0 => {
                    // The next leader has what is committed, and perhaps more of what is here.
                    term += 1;
                    leader = naive.terms[..chance.usize(naive.committed..=naive.terms.len())].to_vec();
                    leader.push(term);
                }
                1..=3 if !leader.is_empty() => {
                    (0..chance.usize(..3)).for_each(|_| leader.push(*leader.last().unwrap()));
                    let equal =
                        leader.iter().zip(&naive.terms).take_while(|(left, right)| left == right).count();
                    let from = chance.usize(naive.committed..=equal.max(naive.committed));
                    let to = chance.usize(from..=leader.len());
                    let commit = chance.usize(..=leader.len());
                    let entries: Vec<Entry> = (from..to).map(|at| entry(leader[at], at as u64 + 1)).collect();
                    let previous = id(from.checked_sub(1).map_or(0, |at| leader[at]), from as u64);
                    let index = log.try_append(previous, &entries, LogIndex(commit as u64)).unwrap();
                    assert_eq!(index, Some(LogIndex(to as u64)));
                    naive.append(from, &leader[from..to], commit);
                }
                4 | 5 => {
                    let (snapshot, entries) = log.take_unpersisted();
                    let last = log.unstable_last();
                    log.storage_mut().persist(&Persist { snapshot, entries, ..Persist::default() });
                    writes.extend(last.map(|last| ack(term, last)));
                }
                6 if !writes.is_empty() => {
                    let write = writes.remove(0);
                    let current = write.term == Term(term);
                    log.handle_persisted(&write, current);
                }
                _ => {
                    if let Some((entries, ack)) = log.take_appliable(false) {
                        for entry in &entries {
                            assert_eq!(entry.index, LogIndex(applied + 1));
                            assert_eq!(entry.term, Term(naive.terms[applied as usize]));
                            applied += 1;
                        }
                        log.handle_applied(&ack);
                        let compacted = LogIndex(chance.u64(..=applied));
                        if compacted >= log.storage().first_index() {
                            log.storage_mut().compact(compacted).unwrap();
                        }
                    }
                }
            }
            let last = id(naive.terms.last().copied().unwrap_or_default(), naive.terms.len() as u64);
            assert_eq!(
                (log.last(), log.committed()),
                (last, LogIndex(naive.committed as u64)),
                "seed {seed}"
            );
            for index in log.first_index().0..=last.index.0 {
                let expected = Term(naive.terms[index as usize - 1]);
                assert_eq!(log.term(LogIndex(index)), Ok(expected), "seed {seed} index {index}");
            }
        }
    }
}

#[test]
fn a_start_beyond_the_log_is_refused() {
    let start = |commit: u64, applied: u64| {
        let storage = log(&[1, 1], 2).storage;
        let log = Log::try_new(storage, LogIndex(commit), LogIndex(applied), 1);
        log.map(|log| (log.applied(), log.committed()))
    };
    let beyond = Err(Error::CommitBeyondLog { commit: LogIndex(3), last: LogIndex(2) });
    assert_eq!(start(3, 0), beyond);
    assert_eq!(start(0, 3), beyond);
    assert_eq!(start(2, 1), Ok((LogIndex(1), LogIndex(2))));
    assert_eq!(start(1, 2), Ok((LogIndex(2), LogIndex(2))), "what is applied was committed");
    let conf_state = ConfState::default();
    let snapshot = Snapshot { last: id(2, 5), conf_state, ..Snapshot::default() };
    let log = Log::try_new(MemoryStorage::from_snapshot(snapshot), LogIndex(0), LogIndex(0), 1).unwrap();
    assert_eq!((log.applied(), log.committed(), log.last()), (LogIndex(5), LogIndex(5), id(2, 5)));
}
