//! Storage that answers late: writes that are acknowledged one by one, reads that have to wait.

use std::cell::Cell;
use std::ops::Range;

use bytes::Bytes;

use super::harness::*;
use crate::raft::confchange::{ConfChange, ConfChangeSingle, ConfChangeType};
use crate::raft::entry::{Entry, EntryType};
use crate::raft::index::LogIndex;
use crate::raft::memory::MemoryStorage;
use crate::raft::message::{Ballot, Body, Message};
use crate::raft::output::{Apply, HardState, Output, Persist, RoleName};
use crate::raft::snapshot::{ConfState, Snapshot};
use crate::raft::storage::{Storage, StorageError};
use crate::raft::wire::Record;
use crate::raft::{Config, Error, Node};
use crate::types::ids::Term;

fn asynchronous() -> Config {
    Config { asynchronous_storage: true, ..plain(1) }
}

fn taken<S: Storage>(node: &mut Node<S>) -> Vec<Output> {
    std::iter::from_fn(|| node.poll_output()).collect()
}

fn persists(outputs: &[Output]) -> Vec<Persist> {
    let persist = |output: &Output| if let Output::Persist(it) = output { Some(it.clone()) } else { None };
    outputs.iter().filter_map(persist).collect()
}

fn applies(outputs: &[Output]) -> Vec<Apply> {
    let apply = |output: &Output| if let Output::Apply(it) = output { Some(it.clone()) } else { None };
    outputs.iter().filter_map(apply).collect()
}

/// The write is durable: its responses to the node itself are stepped, the others returned.
fn finish(node: &mut TestNode, persist: &Persist) -> Vec<Message> {
    node.storage_mut().persist(persist);
    let (own, others): (Vec<Message>, _) =
        persist.responses.iter().cloned().partition(|response| response.to == id(1));
    own.into_iter().for_each(|response| node.step(response).unwrap());
    persist.ack.iter().for_each(|ack| node.handle_persisted(ack));
    others
}

#[test]
fn a_candidate_leads_only_when_its_own_vote_is_durable() {
    let mut node = node(asynchronous(), members(3));
    node.campaign();
    let persist = persists(&taken(&mut node)).remove(0);
    for from in [2, 3] {
        node.step(message(from, 1, 1, voted(Ballot::Election, true))).unwrap();
    }
    assert_eq!(node.status().soft_state.role, RoleName::Candidate);
    finish(&mut node, &persist);
    assert_eq!(node.status().soft_state.role, RoleName::Leader);
}

#[test]
fn a_vote_is_asked_for_only_when_the_candidacy_is_durable() {
    let mut node = node(asynchronous(), members(3));
    node.campaign();
    let seen = taken(&mut node);
    assert!(!seen.iter().any(|output| matches!(output, Output::Send(_))), "{seen:?}");
    let candidacy = persists(&seen).remove(0);
    assert_eq!(candidacy.hard_state.unwrap().vote, Some(id(1)));
    let asked = |to| message(1, to, 1, vote(Ballot::Election, entry_id(0, 0)));
    assert_eq!(finish(&mut node, &candidacy), [asked(2), asked(3)]);
}

/// The votes were given to a log that is lost: one who comes back without it, and to the same term,
/// would lead without an entry that two of three have.
#[test]
fn votes_for_an_earlier_life_elect_nobody() {
    let log = [empty_entry(1, 1), entry(1, 2, "a")];
    let mut voter = follower_with(plain(2), &log, 1, 1);
    let mut first = follower_with(asynchronous(), &log[..1], 1, 1);
    let before = first.storage().clone();
    first.step(message(3, 1, 1, append(entry_id(1, 1), log[1..].to_vec(), 1))).unwrap();
    first.campaign();
    let mut votes = Vec::new();
    for output in taken(&mut first) {
        if let Output::Send(request @ Message { to, .. }) = output
            && to == id(2)
        {
            voter.step(request).unwrap();
            votes.append(&mut messages(&mut voter));
        }
    }
    let mut second = node_on(asynchronous(), before);
    second.campaign();
    let candidacy = persists(&taken(&mut second)).remove(0);
    finish(&mut second, &candidacy);
    votes.into_iter().for_each(|vote| second.step(vote).unwrap());
    assert_eq!(second.status().soft_state.role, RoleName::Candidate);
}

#[test]
fn several_writes_are_under_way_and_their_answers_wait_for_each() {
    let mut node = node(asynchronous(), members(3));
    node.step(message(2, 1, 1, append(entry_id(0, 0), vec![empty_entry(1, 1)], 0))).unwrap();
    let first = persists(&taken(&mut node)).remove(0);
    node.step(message(2, 1, 1, append(entry_id(1, 1), vec![entry(1, 2, "a")], 1))).unwrap();
    let seen = taken(&mut node);
    let second = persists(&seen).remove(0);
    assert_eq!(second.entries, [entry(1, 2, "a")]);
    assert_eq!(applies(&seen), [], "what is not durable is not applied");
    assert_eq!(finish(&mut node, &first), [message(1, 2, 1, accepted(1))]);
    // The first ack is for the whole log as it was when the write was asked for.
    let applied = applies(&taken(&mut node));
    assert_eq!(applied[0].entries, [empty_entry(1, 1)]);
    assert_eq!(finish(&mut node, &second), [message(1, 2, 1, accepted(2))]);
    node.handle_applied(applied[0].ack.as_ref().unwrap());
    assert_eq!(node.status().applied, LogIndex(1));
}

#[test]
fn a_leader_counts_its_own_entries_when_they_are_durable() {
    let mut node = node(asynchronous(), members(3));
    node.campaign();
    let vote = persists(&taken(&mut node)).remove(0);
    finish(&mut node, &vote);
    node.step(message(2, 1, 1, voted(Ballot::Election, true))).unwrap();
    let empty = persists(&taken(&mut node)).remove(0);
    node.step(message(2, 1, 1, accepted(1))).unwrap();
    taken(&mut node);
    assert_eq!(node.status().hard_state.commit, LogIndex(0), "one of three has it");
    finish(&mut node, &empty);
    assert_eq!(node.status().hard_state.commit, LogIndex(1));
}

#[test]
fn an_ack_of_an_earlier_term_is_not_taken_for_what_came_instead() {
    let mut node = node(asynchronous(), members(3));
    node.step(message(2, 1, 1, append(entry_id(0, 0), vec![entry(1, 1, "a")], 0))).unwrap();
    let old = persists(&taken(&mut node)).remove(0);
    node.step(message(3, 1, 2, append(entry_id(0, 0), vec![entry(2, 1, "b")], 1))).unwrap();
    let seen = taken(&mut node);
    let new = persists(&seen).remove(0);
    finish(&mut node, &old);
    assert_eq!(applies(&taken(&mut node)), []);
    finish(&mut node, &new);
    assert_eq!(applies(&taken(&mut node))[0].entries, [entry(2, 1, "b")]);
}

/// The entry that the first write holds is replaced by another and comes back: the first ack names
/// it, but the write of the other is still to come.
#[test]
fn an_ack_of_an_earlier_term_is_not_taken_for_the_same_entry_later() {
    let mut node = node(asynchronous(), members(3));
    let write = |node: &mut TestNode, from, term, entry, commit| {
        node.step(message(from, 1, term, append(entry_id(0, 0), vec![entry], commit))).unwrap();
        persists(&taken(node)).remove(0)
    };
    let first = write(&mut node, 2, 1, entry(1, 1, "a"), 0);
    let second = write(&mut node, 3, 2, entry(2, 1, "b"), 0);
    let third = write(&mut node, 2, 3, entry(1, 1, "a"), 1);
    for late in [first, second] {
        finish(&mut node, &late);
        assert_eq!(applies(&taken(&mut node)), []);
    }
    finish(&mut node, &third);
    assert_eq!(applies(&taken(&mut node))[0].entries, [entry(1, 1, "a")]);
}

#[test]
fn what_may_be_applied_is_bounded_by_what_has_not_been() {
    let mut node = node(Config { applying_bytes_max: 1, ..asynchronous() }, members(3));
    let entries = vec![entry(1, 1, "a"), entry(1, 2, "b")];
    node.step(message(2, 1, 1, append(entry_id(0, 0), entries, 2))).unwrap();
    let persist = persists(&taken(&mut node)).remove(0);
    finish(&mut node, &persist);
    let first = applies(&taken(&mut node)).remove(0);
    assert_eq!(first.entries, [entry(1, 1, "a")]);
    assert_eq!(applies(&taken(&mut node)), []);
    node.handle_applied(first.ack.as_ref().unwrap());
    assert_eq!(applies(&taken(&mut node))[0].entries, [entry(1, 2, "b")]);
}

/// Gives no answer about the log while it is `busy`.
struct Slow {
    memory: MemoryStorage,
    busy: Cell<bool>,
}

impl Slow {
    fn when_idle<T>(&self, answer: Result<T, StorageError>) -> Result<T, StorageError> {
        if self.busy.get() { Err(StorageError::TemporarilyUnavailable) } else { answer }
    }
}

impl Storage for Slow {
    fn initial_state(&self) -> Result<(HardState, ConfState), StorageError> {
        self.when_idle(self.memory.initial_state())
    }

    fn entries(&self, range: Range<LogIndex>, bytes_max: u64) -> Result<Vec<Entry>, StorageError> {
        self.when_idle(self.memory.entries(range, bytes_max))
    }

    fn term(&self, index: LogIndex) -> Result<Term, StorageError> {
        self.when_idle(self.memory.term(index))
    }

    fn first_index(&self) -> LogIndex {
        self.memory.first_index()
    }

    fn last_index(&self) -> LogIndex {
        self.memory.last_index()
    }

    fn snapshot(&self) -> Result<Snapshot, StorageError> {
        self.when_idle(self.memory.snapshot())
    }
}

fn slow(entries: &[Entry], commit: u64) -> Node<Slow> {
    let mut memory = MemoryStorage::new(members(3));
    memory.append(entries);
    memory.set_hard_state(HardState { term: Term(1), vote: None, commit: LogIndex(commit) });
    Node::try_new(plain(1), Slow { memory, busy: Cell::new(false) }, 1).unwrap()
}

#[test]
fn a_message_that_needs_busy_storage_is_as_if_lost() {
    let mut node = slow(&[empty_entry(1, 1), entry(1, 2, "a")], 0);
    node.storage().busy.set(true);
    let more = message(2, 1, 1, append(entry_id(1, 2), vec![entry(1, 3, "b")], 2));
    let later = Err(Error::Storage(StorageError::TemporarilyUnavailable));
    assert_eq!(node.step(more.clone()), later);
    let snapshot = Snapshot { conf_state: members(3), last: entry_id(1, 2), ..Snapshot::default() };
    assert_eq!(node.step(message(2, 1, 1, Body::Snapshot(Box::new(snapshot)))), later);
    assert_eq!(node.status().last, entry_id(1, 2));
    node.storage().busy.set(false);
    assert_eq!(node.step(more), Ok(()));
    assert_eq!(node.status().last, entry_id(1, 3));
}

#[test]
fn busy_storage_delays_what_is_applied() {
    let mut node = slow(&[empty_entry(1, 1)], 1);
    node.storage().busy.set(true);
    assert!(node.has_output());
    assert_eq!(taken(&mut node), []);
    assert!(!node.has_output(), "a driver would ask for ever");
    node.tick();
    assert!(node.has_output());
    node.storage().busy.set(false);
    assert_eq!(applies(&taken(&mut node))[0].entries, [empty_entry(1, 1)]);
}

#[test]
fn busy_storage_delays_elections_that_it_could_forbid() {
    let mut node = slow(&[empty_entry(1, 1)], 1);
    node.storage().busy.set(true);
    node.campaign();
    assert_eq!(node.status().soft_state.role, RoleName::Follower);
    node.storage().busy.set(false);
    node.campaign();
    assert_eq!(node.status().soft_state.role, RoleName::Candidate);
}

#[test]
fn busy_storage_delays_what_a_follower_is_sent() {
    let mut node = slow(&[empty_entry(1, 1), entry(1, 2, "a")], 2);
    node.campaign();
    work(&mut node);
    node.step(message(2, 1, 2, voted(Ballot::Election, true))).unwrap();
    work(&mut node);
    node.storage().busy.set(true);
    node.step(message(3, 1, 2, rejected(2, 0, None))).unwrap();
    assert_eq!(taken(&mut node), []);
    node.storage().busy.set(false);
    node.step(message(3, 1, 2, heartbeat_response())).unwrap();
    let sent = sent(taken(&mut node));
    assert!(matches!(&sent[0].body, Body::Append(append) if append.previous == entry_id(0, 0)), "{sent:?}");
}

fn work(node: &mut Node<Slow>) {
    while node.has_output() {
        for persist in persists(&taken(node)) {
            node.storage_mut().memory.persist(&persist);
        }
        node.advance();
    }
}

#[test]
fn equal_seeds_give_equal_nodes() {
    let run = |seed: u64| {
        let mut node = Node::try_new(plain(1), MemoryStorage::new(members(3)), seed).unwrap();
        let mut ticks = Vec::new();
        for tick in 0..100 {
            node.tick();
            if !outputs(&mut node).is_empty() {
                ticks.push(tick);
            }
        }
        ticks
    };
    assert_eq!(run(7), run(7));
    assert!((1..20).any(|seed| run(seed) != run(7)));
}

#[test]
fn a_payload_is_passed_on_and_not_copied() {
    let payload = Bytes::from(vec![7; 100]);
    let mut node = leader(plain(1));
    node.propose(vec![payload.clone()]).unwrap();
    let seen = outputs(&mut node);
    let Some(Output::Send(Message { body: Body::Append(append), .. })) = seen.first() else {
        panic!("{seen:?}")
    };
    assert_eq!(append.entries[0].data.as_ptr(), payload.as_ptr());
}

#[test]
fn a_change_from_before_a_snapshot_is_still_one_of_the_membership_before_it() {
    let change = ConfChange {
        change: ConfChangeSingle { kind: ConfChangeType::AddLearnerNode, node: Some(id(4)) },
        ..ConfChange::default()
    };
    let entry = Entry { kind: EntryType::ConfChange, data: change.to_bytes(), ..empty_entry(1, 1) };
    let mut node = follower_with(asynchronous(), &[entry], 1, 1);
    let apply = applies(&taken(&mut node)).remove(0);
    let later = ConfState { learners: vec![id(5)], ..members(3) };
    let snapshot = Snapshot { conf_state: later.clone(), last: entry_id(1, 9), ..Snapshot::default() };
    node.step(message(2, 1, 1, Body::Snapshot(Box::new(snapshot)))).unwrap();
    let persist = persists(&taken(&mut node)).remove(0);
    let changed = node.apply_conf_change(&change.into());
    assert_eq!(changed, Ok(ConfState { learners: vec![id(4)], ..members(3) }));
    apply.ack.iter().for_each(|ack| node.handle_applied(ack));
    finish(&mut node, &persist);
    assert_eq!(node.status().membership.conf_state(), later);
}
