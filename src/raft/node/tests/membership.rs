//! Changes of the membership, in effect.

use bytes::Bytes;

use super::harness::*;
use crate::raft::confchange::{
    ConfChange, ConfChangeError, ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2,
};
use crate::raft::index::LogIndex;
use crate::raft::message::Body;
use crate::raft::output::{Output, RoleName};
use crate::raft::{Config, Entry, EntryType, Error};

fn single(kind: ConfChangeType, number: u64) -> ConfChangeSingle {
    ConfChangeSingle { kind, node: Some(id(number)) }
}

fn add(number: u64) -> ConfChange {
    ConfChange { change: single(ConfChangeType::AddNode, number), ..ConfChange::default() }
}

fn remove(number: u64) -> ConfChange {
    ConfChange { change: single(ConfChangeType::RemoveNode, number), ..ConfChange::default() }
}

fn replace(out: u64, by: u64, transition: ConfChangeTransition) -> ConfChangeV2 {
    let changes = vec![single(ConfChangeType::RemoveNode, out), single(ConfChangeType::AddNode, by)];
    ConfChangeV2 { transition, changes, ..ConfChangeV2::default() }
}

/// Kinds of the entries that the node writes.
fn written(outputs: &[Output]) -> Vec<EntryType> {
    outputs
        .iter()
        .filter_map(
            |output| if let Output::Persist(persist) = output { Some(&persist.entries) } else { None },
        )
        .flatten()
        .map(|entry| entry.kind)
        .collect()
}

#[test]
fn a_second_change_before_the_first_is_applied_becomes_an_empty_entry() {
    let mut node = leader(plain(1));
    node.propose_conf_change(&add(4)).unwrap();
    node.propose_conf_change(&add(5)).unwrap();
    assert_eq!(written(&outputs(&mut node)), [EntryType::ConfChange, EntryType::Normal]);
    let mut node = leader(Config { conf_change_validation: false, ..plain(1) });
    node.propose_conf_change(&add(4)).unwrap();
    node.propose_conf_change(&add(5)).unwrap();
    assert_eq!(written(&outputs(&mut node)), [EntryType::ConfChange; 2]);
}

#[test]
fn a_change_that_cannot_be_read_becomes_an_empty_entry() {
    let mut node = leader(plain(1));
    let data = Bytes::from_static(b"\xff");
    let entries = vec![Entry { kind: EntryType::ConfChange, data, ..Entry::default() }];
    node.step(message(2, 1, 0, Body::Propose { entries })).unwrap();
    assert_eq!(written(&outputs(&mut node)), [EntryType::Normal]);
}

#[test]
fn an_explicit_joint_configuration_is_left_only_on_request() {
    let mut node = leader(plain(1));
    let transition = ConfChangeTransition::JointExplicit;
    node.propose_conf_change_v2(&replace(3, 4, transition)).unwrap();
    outputs(&mut node);
    node.step(message(2, 1, 1, accepted(2))).unwrap();
    outputs(&mut node);
    assert!(node.status().membership.is_joint());
    node.propose_conf_change(&add(5)).unwrap();
    assert_eq!(written(&outputs(&mut node)), [EntryType::Normal], "one at a time");
    node.propose_conf_change_v2(&ConfChangeV2::default()).unwrap();
    outputs(&mut node);
    node.step(message(2, 1, 1, accepted(4))).unwrap();
    outputs(&mut node);
    assert_eq!(node.status().membership.conf_state().voters, [1, 2, 4].map(id));
    node.propose_conf_change_v2(&ConfChangeV2::default()).unwrap();
    assert_eq!(written(&outputs(&mut node)), [EntryType::Normal], "there is nothing to leave");
}

#[test]
fn an_implicit_joint_configuration_is_left_when_it_is_applied() {
    let mut node = leader(plain(1));
    node.propose_conf_change_v2(&replace(3, 4, ConfChangeTransition::Auto)).unwrap();
    outputs(&mut node);
    node.step(message(2, 1, 1, accepted(2))).unwrap();
    assert_eq!(written(&outputs(&mut node)), [EntryType::ConfChangeV2]);
    assert!(node.status().membership.is_joint());
    node.step(message(2, 1, 1, accepted(3))).unwrap();
    outputs(&mut node);
    let membership = node.status().membership;
    assert!(!membership.is_joint());
    assert_eq!(membership.conf_state().voters, [1, 2, 4].map(id));
}

#[test]
fn a_joint_configuration_commits_by_both_halves() {
    let mut node = leader(plain(1));
    let changes = [2, 3].map(|number| single(ConfChangeType::RemoveNode, number));
    let added = [4, 5].map(|number| single(ConfChangeType::AddNode, number));
    let changes = changes.into_iter().chain(added).collect();
    let transition = ConfChangeTransition::JointExplicit;
    node.propose_conf_change_v2(&ConfChangeV2 { transition, changes, ..Default::default() }).unwrap();
    outputs(&mut node);
    node.step(message(2, 1, 1, accepted(2))).unwrap();
    outputs(&mut node);
    node.propose(vec![Bytes::from_static(b"x")]).unwrap();
    outputs(&mut node);
    node.step(message(2, 1, 1, accepted(3))).unwrap();
    outputs(&mut node);
    assert_eq!(node.status().hard_state.commit, LogIndex(2), "only the outgoing half has it");
    node.step(message(4, 1, 1, accepted(3))).unwrap();
    outputs(&mut node);
    assert_eq!(node.status().hard_state.commit, LogIndex(3));
}

#[test]
fn a_learner_is_supplied_and_not_counted() {
    let mut node = leader(plain(1));
    let change = single(ConfChangeType::AddLearnerNode, 4);
    node.propose_conf_change(&ConfChange { change, ..ConfChange::default() }).unwrap();
    outputs(&mut node);
    node.step(message(2, 1, 1, accepted(2))).unwrap();
    let sent = messages(&mut node);
    assert!(sent.iter().any(|message| message.to == id(4)));
    node.propose(vec![Bytes::from_static(b"x")]).unwrap();
    outputs(&mut node);
    node.step(message(4, 1, 1, accepted(3))).unwrap();
    outputs(&mut node);
    assert_eq!(node.status().hard_state.commit, LogIndex(2));
    node.transfer_leader(id(4));
    assert_eq!(node.status().transferee, None);
}

#[test]
fn of_a_learner_that_is_removed_and_added_again_nothing_is_known() {
    let mut node = leader(plain(1));
    let change = single(ConfChangeType::AddLearnerNode, 4);
    node.propose_conf_change(&ConfChange { change, ..ConfChange::default() }).unwrap();
    outputs(&mut node);
    node.step(message(2, 1, 1, accepted(2))).unwrap();
    node.step(message(3, 1, 1, accepted(2))).unwrap();
    outputs(&mut node);
    node.step(message(4, 1, 1, accepted(2))).unwrap();
    let again =
        |number| [ConfChangeType::RemoveNode, ConfChangeType::AddNode].map(|kind| single(kind, number));
    let changes = [again(3), again(4)].concat();
    let transition = ConfChangeTransition::JointExplicit;
    node.apply_conf_change(&ConfChangeV2 { transition, changes, ..Default::default() }).unwrap();
    let matched = |number| node.status().progress[&id(number)].matched();
    assert_eq!(matched(4), LogIndex::ZERO);
    assert_eq!(matched(3), LogIndex(2), "it votes in the outgoing half");
}

#[test]
fn a_removed_leader_leads_on_until_another_does_or_steps_down_if_told_so() {
    for (step_down_on_removal, role) in [(false, RoleName::Leader), (true, RoleName::Follower)] {
        let mut node = leader(Config { step_down_on_removal, ..plain(1) });
        node.propose_conf_change(&remove(1)).unwrap();
        outputs(&mut node);
        node.step(message(2, 1, 1, accepted(2))).unwrap();
        outputs(&mut node);
        assert_eq!(node.status().soft_state.role, role);
        let refused = node.propose(vec![Bytes::from_static(b"x")]);
        assert!(matches!(refused, Err(Error::ProposalDropped(_))));
    }
}

#[test]
fn a_smaller_quorum_may_have_been_reached_already() {
    let mut node = leader(plain(1));
    node.propose_conf_change(&remove(3)).unwrap();
    outputs(&mut node);
    node.step(message(2, 1, 1, accepted(2))).unwrap();
    outputs(&mut node);
    node.propose_conf_change(&remove(2)).unwrap();
    node.propose(vec![Bytes::from_static(b"x")]).unwrap();
    outputs(&mut node);
    node.step(message(2, 1, 1, accepted(3))).unwrap();
    outputs(&mut node);
    assert_eq!(node.status().hard_state.commit, LogIndex(4), "nobody else is asked any more");
}

#[test]
fn a_transfer_to_a_member_that_goes_is_given_up() {
    let mut node = leader(plain(1));
    node.propose_conf_change(&remove(3)).unwrap();
    outputs(&mut node);
    node.transfer_leader(id(3));
    assert_eq!(node.status().transferee, Some(id(3)));
    node.step(message(2, 1, 1, accepted(2))).unwrap();
    outputs(&mut node);
    assert_eq!(node.status().transferee, None);
}

#[test]
fn an_illegal_change_that_got_into_the_log_has_no_effect() {
    let mut node = leader(plain(1));
    let before = node.status().membership;
    let illegal = Err(Error::ConfChange(ConfChangeError::NotJoint));
    assert_eq!(node.apply_conf_change(&ConfChangeV2::default()), illegal);
    assert_eq!(node.status().membership, before);
}

#[test]
fn a_new_member_catches_up() {
    let mut cluster = Cluster::new(3, plain);
    cluster.node(1).campaign();
    cluster.settle();
    cluster.nodes.insert(id(4), node(plain(4), members(3)));
    cluster.node(2).propose_conf_change(&add(4)).unwrap();
    cluster.settle();
    cluster.node(1).propose(vec![Bytes::from_static(b"x")]).unwrap();
    cluster.settle();
    cluster.tick(1, 1);
    let logs = cluster.logs();
    assert_eq!(logs[0].len(), 3);
    assert!(logs.iter().all(|log| *log == logs[0]), "{logs:?}");
    assert_eq!(cluster.node(4).status().membership.conf_state().voters, [1, 2, 3, 4].map(id));
}
