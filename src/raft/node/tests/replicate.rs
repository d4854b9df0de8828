//! Replication.

use bytes::Bytes;

use super::harness::*;
use crate::raft::confchange::{ConfChange, ConfChangeSingle, ConfChangeType};
use crate::raft::index::LogIndex;
use crate::raft::memory::MemoryStorage;
use crate::raft::message::{Body, Message};
use crate::raft::output::{Apply, Output, Persist, RoleName};
use crate::raft::progress::ProgressState;
use crate::raft::snapshot::Snapshot;
use crate::raft::storage::Storage;
use crate::raft::wire::Record;
use crate::raft::{Config, Entry, EntryType, Error, HardState};
use crate::types::ids::Term;

fn propose(node: &mut TestNode, data: &'static str) {
    node.propose(vec![Bytes::from_static(data.as_bytes())]).unwrap();
}

/// Of 2 it is known that it has the first entry, so entries are sent to it as they come; 3 was sent
/// the first entry and has not answered.
#[test]
fn a_proposal_is_sent_and_written_at_once() {
    let mut node = leader(plain(1));
    propose(&mut node, "a");
    let entries = vec![entry(1, 2, "a")];
    assert_eq!(
        outputs(&mut node),
        [
            Output::Send(message(1, 2, 1, append(entry_id(1, 1), entries.clone(), 1))),
            Output::Persist(Persist { entries, must_sync: true, ..Persist::default() }),
        ]
    );
}

#[test]
fn an_entry_that_a_quorum_has_is_committed_and_everybody_is_told() {
    let mut node = leader(plain(1));
    propose(&mut node, "a");
    outputs(&mut node);
    node.step(message(2, 1, 1, accepted(2))).unwrap();
    let hard_state = Some(HardState { term: Term(1), vote: Some(id(1)), commit: LogIndex(2) });
    assert_eq!(
        outputs(&mut node),
        [
            Output::Send(message(1, 2, 1, append(entry_id(1, 2), vec![], 2))),
            Output::Persist(Persist { hard_state, ..Persist::default() }),
            Output::Apply(Apply { entries: vec![entry(1, 2, "a")], ack: None }),
        ]
    );
}

/// The figure 8 of the Raft paper: what a majority has may still be replaced if it is of an
/// earlier term.
#[test]
fn entries_of_earlier_terms_are_not_committed_by_counting() {
    let mut node = follower_with(plain(1), &[empty_entry(1, 1), entry(2, 2, "old")], 3, 1);
    node.campaign();
    outputs(&mut node);
    node.step(message(2, 1, 4, voted(crate::raft::message::Ballot::Election, true))).unwrap();
    outputs(&mut node);
    node.step(message(2, 1, 4, accepted(2))).unwrap();
    outputs(&mut node);
    assert_eq!(node.status().hard_state.commit, LogIndex(1));
    node.step(message(2, 1, 4, accepted(3))).unwrap();
    outputs(&mut node);
    assert_eq!(node.status().hard_state.commit, LogIndex(3));
}

#[test]
fn a_follower_writes_before_it_answers() {
    let mut node = node(plain(1), members(3));
    let entries = vec![empty_entry(1, 1), entry(1, 2, "a")];
    node.step(message(2, 1, 1, append(entry_id(0, 0), entries.clone(), 1))).unwrap();
    let seen = outputs(&mut node);
    let hard_state = Some(HardState { term: Term(1), vote: None, commit: LogIndex(1) });
    let responses = vec![message(1, 2, 1, accepted(2))];
    let persist = Persist { hard_state, entries, must_sync: true, responses, ..Persist::default() };
    assert_eq!(
        seen[1..],
        [Output::Persist(persist), Output::Apply(Apply { entries: vec![empty_entry(1, 1)], ack: None })]
    );
}

#[test]
fn a_follower_says_what_could_match() {
    let own = [empty_entry(1, 1), empty_entry(1, 2), empty_entry(4, 3), empty_entry(4, 4)];
    for (previous, hint, hint_term) in [
        (entry_id(5, 9), 4, Some(4)),
        (entry_id(3, 9), 2, Some(1)),
        (entry_id(3, 3), 2, Some(1)),
        (entry_id(5, 4), 4, Some(4)),
    ] {
        let mut node = follower_with(plain(1), &own, 5, 0);
        node.step(message(2, 1, 5, append(previous, vec![], 0))).unwrap();
        let answer = rejected(previous.index.0, hint, hint_term);
        assert_eq!(messages(&mut node), [message(1, 2, 5, answer)], "{previous}");
    }
}

#[test]
fn a_leader_skips_whole_terms_that_the_follower_cannot_have() {
    let own: Vec<Entry> =
        (1..).zip([1, 2, 2, 2, 2, 2]).map(|(index, term)| empty_entry(term, index)).collect();
    let mut node = follower_with(plain(1), &own, 2, 1);
    node.campaign();
    outputs(&mut node);
    node.step(message(3, 1, 3, voted(crate::raft::message::Ballot::Election, true))).unwrap();
    outputs(&mut node);
    // 2 has a long run of term 1.
    node.step(message(2, 1, 3, rejected(6, 6, Some(1)))).unwrap();
    let sent = messages(&mut node);
    let [Message { body: Body::Append(append), .. }] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(append.previous, entry_id(1, 1));
}

#[test]
fn a_follower_answers_below_its_commit_index_with_that() {
    let mut node = follower_with(plain(1), &[empty_entry(1, 1), empty_entry(1, 2)], 1, 2);
    node.step(message(2, 1, 1, append(entry_id(1, 1), vec![empty_entry(1, 2)], 2))).unwrap();
    assert_eq!(messages(&mut node), [message(1, 2, 1, accepted(2))]);
}

#[test]
fn a_leader_takes_nothing_from_another_that_claims_its_term() {
    let mut node = leader(plain(1));
    let snapshot = Snapshot { conf_state: members(3), last: entry_id(1, 9), ..Snapshot::default() };
    for body in
        [append(entry_id(1, 1), vec![entry(1, 2, "a")], 2), heartbeat(1), Body::Snapshot(Box::new(snapshot))]
    {
        node.step(message(2, 1, 1, body)).unwrap();
        assert_eq!(outputs(&mut node), []);
        assert_eq!(node.status().last, entry_id(1, 1));
    }
}

#[test]
fn a_heartbeat_tells_no_more_than_the_follower_has() {
    let mut node = leader(plain(1));
    node.tick();
    assert_eq!(messages(&mut node), [message(1, 2, 1, heartbeat(1)), message(1, 3, 1, heartbeat(0))]);
}

#[test]
fn what_says_that_entries_were_lost_stops_the_node() {
    let mut node = follower_with(plain(1), &[empty_entry(1, 1)], 1, 1);
    let beyond = Err(Error::CommitBeyondLog { commit: LogIndex(2), last: LogIndex(1) });
    assert_eq!(node.step(message(2, 1, 1, heartbeat(2))), beyond);
}

#[test]
fn a_window_bounds_what_is_under_way() {
    let mut node = leader(Config { inflight_messages_max: 2, ..plain(1) });
    for data in ["a", "b", "c"] {
        propose(&mut node, data);
    }
    let sent = messages(&mut node);
    assert_eq!(sent.iter().filter(|message| message.to == id(2)).count(), 2);
    assert!(node.status().progress[&id(2)].inflight_full());
    node.step(message(2, 1, 1, heartbeat_response())).unwrap();
    let empty = message(1, 2, 1, append(entry_id(1, 3), vec![], 1));
    assert_eq!(messages(&mut node), [empty]);
    node.step(message(2, 1, 1, accepted(2))).unwrap();
    let third = message(1, 2, 1, append(entry_id(1, 3), vec![entry(1, 4, "c")], 2));
    assert_eq!(messages(&mut node), [third]);
}

#[test]
fn a_message_holds_as_many_entries_as_its_size_allows() {
    let size = entry(1, 2, "aaaa").encoded_len() as u64;
    let limits = Config { message_bytes_max: 2 * size, ..plain(1) };
    let mut node = leader(limits);
    node.report_unreachable(id(2));
    for data in ["aaaa", "bbbb", "cccc"] {
        propose(&mut node, data);
    }
    let sent = messages(&mut node);
    let counts: Vec<usize> = sent
        .iter()
        .filter(|message| message.to == id(2))
        .map(|message| if let Body::Append(append) = &message.body { append.entries.len() } else { 0 })
        .collect();
    assert_eq!(counts, [1], "a probe waits for its answer");
    node.step(message(2, 1, 1, accepted(2))).unwrap();
    let sent = messages(&mut node);
    let to_2 = sent.iter().find(|message| message.to == id(2)).unwrap();
    let Body::Append(append) = &to_2.body else { panic!("{to_2:?}") };
    assert_eq!(append.entries, [entry(1, 3, "bbbb"), entry(1, 4, "cccc")]);
}

#[test]
fn a_tail_that_is_too_large_takes_no_more_proposals_until_it_is_applied() {
    let mut node = leader(Config { uncommitted_bytes_max: 8, ..plain(1) });
    propose(&mut node, "1234567890");
    let full = node.propose(vec![Bytes::from_static(b"x")]);
    assert!(matches!(full, Err(Error::ProposalDropped(_))));
    propose(&mut node, "");
    outputs(&mut node);
    node.step(message(2, 1, 1, accepted(3))).unwrap();
    outputs(&mut node);
    assert_eq!(node.status().uncommitted_bytes, 0);
    propose(&mut node, "x");
}

#[test]
fn a_proposal_that_is_too_large_does_not_block_changes_of_the_membership() {
    let mut node = leader(Config { uncommitted_bytes_max: 1, ..plain(1) });
    propose(&mut node, "aa");
    let change = ConfChangeSingle { kind: ConfChangeType::AddNode, node: Some(id(4)) };
    let change = ConfChange { change, ..ConfChange::default() };
    assert!(matches!(node.propose_conf_change(&change), Err(Error::ProposalDropped(_))));
    outputs(&mut node);
    node.step(message(2, 1, 1, accepted(2))).unwrap();
    outputs(&mut node);
    node.propose_conf_change(&change).unwrap();
    let seen = outputs(&mut node);
    let kinds: Vec<EntryType> = seen
        .iter()
        .filter_map(|output| if let Output::Persist(persist) = output { Some(persist) } else { None })
        .flat_map(|persist| persist.entries.iter().map(|entry| entry.kind))
        .collect();
    assert_eq!(kinds, [EntryType::ConfChange]);
}

#[test]
fn a_follower_forwards_proposals_or_refuses_them() {
    let mut node = node(plain(1), members(3));
    let none = node.propose(vec![Bytes::from_static(b"x")]);
    assert!(matches!(none, Err(Error::ProposalDropped(_))));
    node.step(message(2, 1, 1, heartbeat(0))).unwrap();
    outputs(&mut node);
    propose(&mut node, "x");
    let entries = vec![Entry::normal(Bytes::from_static(b"x"))];
    let forwarded = message(1, 2, 0, Body::Propose { entries });
    assert_eq!(messages(&mut node), [forwarded]);
    let config = Config { proposal_forwarding: false, ..plain(1) };
    let mut node = super::harness::node(config, members(3));
    node.step(message(2, 1, 1, heartbeat(0))).unwrap();
    let refused = node.propose(vec![Bytes::from_static(b"x")]);
    assert!(matches!(refused, Err(Error::ProposalDropped(_))));
}

/// A leader of three whose log begins behind a snapshot of 5.
fn compacted() -> TestNode {
    let last = entry_id(1, 5);
    let snapshot = Snapshot { data: Bytes::from_static(b"state"), conf_state: members(3), last };
    let mut node = node_on(plain(1), MemoryStorage::from_snapshot(snapshot));
    node.campaign();
    outputs(&mut node);
    node.step(message(3, 1, 2, voted(crate::raft::message::Ballot::Election, true))).unwrap();
    outputs(&mut node);
    assert_eq!(node.status().soft_state.role, RoleName::Leader);
    node
}

#[test]
fn a_follower_that_needs_what_is_compacted_gets_a_snapshot_and_then_the_rest() {
    let mut node = compacted();
    node.step(message(2, 1, 2, rejected(5, 0, None))).unwrap();
    let snapshot = node.storage().snapshot().unwrap();
    let sent = message(1, 2, 2, Body::Snapshot(Box::new(snapshot)));
    assert_eq!(messages(&mut node), [sent]);
    let pending = ProgressState::Snapshot { pending: LogIndex(5) };
    assert_eq!(*node.status().progress[&id(2)].state(), pending);
    node.tick();
    outputs(&mut node);
    node.step(message(2, 1, 2, heartbeat_response())).unwrap();
    assert_eq!(messages(&mut node), [], "nothing else is sent");
    node.step(message(2, 1, 2, accepted(5))).unwrap();
    let rest = message(1, 2, 2, append(entry_id(1, 5), vec![empty_entry(2, 6)], 5));
    assert_eq!(messages(&mut node), [rest]);
}

#[test]
fn a_snapshot_that_failed_is_tried_again_after_a_sign_of_life() {
    let mut node = compacted();
    node.step(message(2, 1, 2, rejected(5, 0, None))).unwrap();
    outputs(&mut node);
    node.report_snapshot(id(2), false);
    assert_eq!(outputs(&mut node), []);
    node.step(message(2, 1, 2, heartbeat_response())).unwrap();
    let sent = messages(&mut node);
    assert!(matches!(&sent[..], [Message { body: Body::Snapshot(_), .. }]), "{sent:?}");
}

#[test]
fn a_snapshot_is_written_before_it_is_acknowledged() {
    let mut node = node(plain(1), members(3));
    let last = entry_id(1, 5);
    let snapshot = Box::new(Snapshot { data: Bytes::from_static(b"state"), conf_state: members(3), last });
    node.step(message(2, 1, 1, Body::Snapshot(snapshot.clone()))).unwrap();
    let seen = outputs(&mut node);
    let hard_state = Some(HardState { term: Term(1), vote: None, commit: LogIndex(5) });
    let responses = vec![message(1, 2, 1, accepted(5))];
    let snapshot = Some(snapshot);
    let persist = Persist { hard_state, snapshot, must_sync: true, responses, ..Persist::default() };
    assert_eq!(seen[1..], [Output::Persist(persist)]);
    assert_eq!(node.status().applied, LogIndex(5));
}

#[test]
fn a_snapshot_of_what_the_log_has_only_commits() {
    let mut node = follower_with(plain(1), &[empty_entry(1, 1), empty_entry(1, 2)], 1, 0);
    let last = entry_id(1, 2);
    let snapshot = Snapshot { conf_state: members(3), last, ..Snapshot::default() };
    node.step(message(2, 1, 1, Body::Snapshot(Box::new(snapshot)))).unwrap();
    assert_eq!(messages(&mut node), [message(1, 2, 1, accepted(2))]);
    assert_eq!(node.storage().first_index(), LogIndex(1));
}

#[test]
fn a_snapshot_without_this_node_is_not_taken() {
    let mut node = node(plain(9), members(3));
    let snapshot = Snapshot { conf_state: members(3), last: entry_id(1, 2), ..Snapshot::default() };
    node.step(message(2, 9, 1, Body::Snapshot(Box::new(snapshot)))).unwrap();
    assert_eq!(messages(&mut node), [message(9, 2, 1, accepted(0))]);
}
