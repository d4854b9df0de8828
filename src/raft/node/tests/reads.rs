//! Reads.

use bytes::Bytes;

use super::harness::*;
use crate::raft::confchange::{ConfChangeSingle, ConfChangeType, ConfChangeV2};
use crate::raft::index::LogIndex;
use crate::raft::message::{Ballot, Body};
use crate::raft::output::{Output, ReadState, RoleName};
use crate::raft::{ConfState, Config, ReadMode};

const CONTEXT: Bytes = Bytes::from_static(b"read 1");

fn round(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_le_bytes())
}

fn asked(to: u64, commit: u64, number: u64) -> Output {
    let body = Body::Heartbeat { commit: LogIndex(commit), context: round(number) };
    Output::Send(message(1, to, 1, body))
}

fn echoed(from: u64, number: u64) -> crate::raft::Message {
    message(from, 1, 1, Body::HeartbeatResponse { context: round(number) })
}

fn answer(index: u64) -> Output {
    Output::Read(ReadState { index: LogIndex(index), context: CONTEXT })
}

#[test]
fn a_read_is_answered_when_a_quorum_still_follows() {
    let mut node = leader(plain(1));
    node.read_index(CONTEXT);
    assert_eq!(outputs(&mut node), [asked(2, 1, 1), asked(3, 0, 1)]);
    node.step(echoed(2, 1)).unwrap();
    assert_eq!(outputs(&mut node), [answer(1)]);
}

#[test]
fn an_echo_from_before_the_read_does_not_count() {
    let mut node = leader(plain(1));
    node.read_index(Bytes::from_static(b"read 0"));
    node.read_index(CONTEXT);
    outputs(&mut node);
    node.step(echoed(2, 1)).unwrap();
    let first = ReadState { index: LogIndex(1), context: Bytes::from_static(b"read 0") };
    assert_eq!(outputs(&mut node), [Output::Read(first)]);
    assert_eq!(node.status().pending_reads, 1);
}

#[test]
fn a_lost_round_is_made_up_by_the_next_heartbeat() {
    let mut node = leader(plain(1));
    node.read_index(CONTEXT);
    outputs(&mut node);
    node.tick();
    assert_eq!(outputs(&mut node), [asked(2, 1, 2), asked(3, 0, 2)]);
    node.step(echoed(2, 2)).unwrap();
    assert_eq!(outputs(&mut node), [answer(1)]);
}

#[test]
fn a_new_leader_answers_after_its_first_commit() {
    let mut node = node(plain(1), members(3));
    node.campaign();
    outputs(&mut node);
    node.step(message(2, 1, 1, voted(Ballot::Election, true))).unwrap();
    outputs(&mut node);
    node.read_index(CONTEXT);
    assert_eq!(outputs(&mut node), []);
    node.step(message(2, 1, 1, accepted(1))).unwrap();
    assert!(outputs(&mut node).contains(&asked(2, 1, 1)));
    node.step(echoed(2, 1)).unwrap();
    assert_eq!(outputs(&mut node), [answer(1)]);
}

#[test]
fn a_lone_voter_answers_after_its_first_commit() {
    let mut node = node(plain(1), members(1));
    node.campaign();
    batch(&mut node);
    assert_eq!(node.status().soft_state.leader, Some(id(1)));
    node.read_index(CONTEXT);
    assert_eq!(node.status().pending_reads, 1);
    assert!(outputs(&mut node).contains(&answer(1)));
}

#[test]
fn followers_ask_their_leader() {
    let mut cluster = Cluster::new(3, plain);
    cluster.node(1).campaign();
    cluster.settle();
    cluster.node(3).read_index(CONTEXT);
    cluster.settle();
    assert_eq!(cluster.reads, [(id(3), ReadState { index: LogIndex(1), context: CONTEXT })]);
    let mut lost = node(plain(1), members(3));
    lost.read_index(CONTEXT);
    assert_eq!(outputs(&mut lost), [], "there is no leader to ask");
}

#[test]
fn a_leader_that_is_cut_off_answers_nothing() {
    let mut cluster = Cluster::new(3, |number| Config { check_quorum: true, ..plain(number) });
    cluster.node(1).campaign();
    cluster.settle();
    cluster.cut = vec![(1, 2), (1, 3), (2, 1), (3, 1)];
    cluster.node(1).read_index(CONTEXT);
    cluster.tick(1, 10);
    assert_eq!(cluster.reads, []);
    assert_eq!(cluster.leader_of(1), None);
}

fn leased(number: u64) -> Config {
    let read_mode = ReadMode::LeaseBased;
    Config { election_ticks: 10, check_quorum: true, read_mode, ..plain(number) }
}

#[test]
fn a_lease_answers_at_once_and_only_while_it_lasts() {
    let mut node = leader(leased(1));
    node.read_index(CONTEXT);
    assert!(!outputs(&mut node).contains(&answer(1)), "no round is confirmed yet");
    node.step(echoed(2, 1)).unwrap();
    outputs(&mut node);
    node.read_index(CONTEXT);
    assert_eq!(outputs(&mut node), [answer(1)]);
    (0..4).for_each(|_| node.tick());
    outputs(&mut node);
    node.read_index(CONTEXT);
    assert_eq!(outputs(&mut node), [answer(1)]);
    node.tick();
    outputs(&mut node);
    node.read_index(CONTEXT);
    assert!(!outputs(&mut node).contains(&answer(1)), "half of the timeout is over");
}

#[test]
fn a_handover_ends_the_lease() {
    let mut node = leader(leased(1));
    node.tick();
    node.step(echoed(2, 1)).unwrap();
    outputs(&mut node);
    node.transfer_leader(id(2));
    outputs(&mut node);
    node.read_index(CONTEXT);
    assert!(!outputs(&mut node).contains(&answer(1)));
}

/// Nobody is left to echo what they wait for.
#[test]
fn reads_are_answered_when_the_others_have_left() {
    let mut cluster = Cluster::new(2, plain);
    cluster.node(1).campaign();
    cluster.settle();
    cluster.cut = vec![(1, 2)];
    cluster.node(1).read_index(CONTEXT);
    cluster.settle();
    assert_eq!(cluster.reads, []);
    let left = ConfChangeSingle { kind: ConfChangeType::RemoveNode, node: Some(id(2)) };
    let left = ConfChangeV2 { changes: vec![left], ..ConfChangeV2::default() };
    cluster.node(1).apply_conf_change(&left).unwrap();
    cluster.settle();
    assert_eq!(cluster.reads, [(id(1), ReadState { index: LogIndex(1), context: CONTEXT })]);
    assert_eq!(cluster.node(1).status().pending_reads, 0);
}

/// A joint configuration whose halves are both this one member.
#[test]
fn a_lone_voter_needs_no_round_in_either_half() {
    let conf_state = ConfState { voters_outgoing: vec![id(1)], ..members(1) };
    let mut node = node(plain(1), conf_state);
    node.campaign();
    outputs(&mut node);
    node.read_index(CONTEXT);
    assert_eq!(outputs(&mut node), [answer(1)]);
}

#[test]
fn too_many_reads_are_dropped() {
    let mut node = leader(Config { pending_reads_max: 1, ..plain(1) });
    node.read_index(CONTEXT);
    node.read_index(CONTEXT);
    assert_eq!(node.status().pending_reads, 1);
}

#[test]
fn who_gave_a_lease_does_not_campaign_while_it_lasts() {
    let mut node = node(leased(1), members(3));
    node.step(message(2, 1, 1, heartbeat(0))).unwrap();
    node.campaign();
    node.forget_leader();
    assert_eq!(node.status().soft_state.leader, Some(id(2)));
    node.set_election_timeout(99);
    (0..10).for_each(|_| node.tick());
    node.campaign();
    assert_eq!(node.status().soft_state.role, RoleName::Candidate);
}
