//! Elections.

use bytes::Bytes;

use super::harness::*;
use crate::raft::index::LogIndex;
use crate::raft::message::{Ballot, Body, Message, VoteRequest};
use crate::raft::output::{Apply, HardState, Output, Persist, RoleName, SoftState};
use crate::raft::{Config, Error};
use crate::types::ids::Term;

fn state(role: RoleName, leader: Option<u64>) -> Output {
    Output::State(SoftState { leader: leader.map(id), role })
}

fn hard_state(term: u64, vote: Option<u64>, commit: u64) -> HardState {
    HardState { term: Term(term), vote: vote.map(id), commit: LogIndex(commit) }
}

#[test]
fn a_timeout_makes_a_candidate_that_asks_everybody() {
    let mut node = node(plain(1), members(3));
    node.set_election_timeout(3);
    node.tick();
    node.tick();
    assert_eq!(outputs(&mut node), []);
    node.tick();
    let asked = |to| message(1, to, 1, vote(Ballot::Election, entry_id(0, 0)));
    let (hard_state, responses) = (Some(hard_state(1, Some(1), 0)), vec![asked(2), asked(3)]);
    assert_eq!(
        outputs(&mut node),
        [
            state(RoleName::Candidate, None),
            Output::Persist(Persist { hard_state, must_sync: true, responses, ..Persist::default() }),
        ]
    );
}

#[test]
fn a_quorum_of_votes_makes_a_leader_that_appends_an_empty_entry() {
    let mut node = node(plain(1), members(3));
    node.campaign();
    outputs(&mut node);
    node.step(message(3, 1, 1, voted(Ballot::Election, true))).unwrap();
    let sent = |to| Output::Send(message(1, to, 1, append(entry_id(0, 0), vec![empty_entry(1, 1)], 0)));
    let entries = vec![empty_entry(1, 1)];
    assert_eq!(
        outputs(&mut node),
        [
            state(RoleName::Leader, Some(1)),
            sent(2),
            sent(3),
            Output::Persist(Persist { entries, must_sync: true, ..Persist::default() }),
        ]
    );
}

#[test]
fn a_quorum_of_refusals_makes_a_follower_again() {
    let mut node = node(plain(1), members(3));
    node.campaign();
    outputs(&mut node);
    for from in [2, 3] {
        node.step(message(from, 1, 1, voted(Ballot::Election, false))).unwrap();
    }
    assert_eq!(outputs(&mut node), [state(RoleName::Follower, None)]);
}

#[test]
fn a_lone_voter_leads_and_commits_by_itself() {
    let mut node = node(plain(1), members(1));
    node.campaign();
    let seen = outputs(&mut node);
    let applied = Output::Apply(Apply { entries: vec![empty_entry(1, 1)], ack: None });
    assert_eq!(seen.last(), Some(&applied));
    assert_eq!(node.status().hard_state, hard_state(1, Some(1), 1));
}

#[test]
fn a_vote_is_given_once_a_term_and_after_it_is_durable() {
    let mut node = node(plain(1), members(3));
    node.step(message(2, 1, 1, vote(Ballot::Election, entry_id(0, 0)))).unwrap();
    let hard_state = Some(hard_state(1, Some(2), 0));
    let responses = vec![message(1, 2, 1, voted(Ballot::Election, true))];
    assert_eq!(
        outputs(&mut node),
        [Output::Persist(Persist { hard_state, must_sync: true, responses, ..Persist::default() })]
    );
    node.step(message(3, 1, 1, vote(Ballot::Election, entry_id(0, 0)))).unwrap();
    assert_eq!(messages(&mut node), [message(1, 3, 1, voted(Ballot::Election, false))]);
    node.step(message(2, 1, 1, vote(Ballot::Election, entry_id(0, 0)))).unwrap();
    assert_eq!(messages(&mut node), [message(1, 2, 1, voted(Ballot::Election, true))]);
}

#[test]
fn a_candidate_with_an_older_log_gets_no_vote() {
    for (last, granted) in [
        (entry_id(1, 9), false),
        (entry_id(2, 1), false),
        (entry_id(2, 2), true),
        (entry_id(2, 3), true),
        (entry_id(3, 1), true),
    ] {
        let mut node = follower_with(plain(1), &[empty_entry(1, 1), empty_entry(2, 2)], 2, 1);
        node.step(message(2, 1, 3, vote(Ballot::Election, last))).unwrap();
        assert_eq!(messages(&mut node), [message(1, 2, 3, voted(Ballot::Election, granted))], "{last}");
    }
}

#[test]
fn a_pre_candidate_disturbs_nobody() {
    let mut node = node(Config { pre_vote: true, ..plain(1) }, members(3));
    node.campaign();
    let asked = |to| Output::Send(message(1, to, 1, vote(Ballot::PreElection, entry_id(0, 0))));
    assert_eq!(outputs(&mut node), [state(RoleName::PreCandidate, None), asked(2), asked(3)]);
    assert_eq!(node.status().hard_state, HardState::default());
    node.step(message(2, 1, 1, voted(Ballot::PreElection, true))).unwrap();
    let seen = outputs(&mut node);
    assert_eq!(seen[0], state(RoleName::Candidate, None));
    assert_eq!(node.status().hard_state.term, Term(1));
}

#[test]
fn a_granted_pre_vote_changes_nothing() {
    let mut node = node(Config { pre_vote: true, ..plain(1) }, members(3));
    node.step(message(2, 1, 7, vote(Ballot::PreElection, entry_id(0, 0)))).unwrap();
    let responses = vec![message(1, 2, 7, voted(Ballot::PreElection, true))];
    assert_eq!(outputs(&mut node), [Output::Persist(Persist { responses, ..Persist::default() })]);
    assert_eq!(node.status().hard_state, HardState::default());
}

#[test]
fn a_pre_vote_of_an_earlier_term_is_refused_with_the_own_term() {
    let mut node = follower_with(plain(1), &[], 5, 0);
    node.step(message(2, 1, 4, vote(Ballot::PreElection, entry_id(4, 9)))).unwrap();
    assert_eq!(messages(&mut node), [message(1, 2, 5, voted(Ballot::PreElection, false))]);
}

#[test]
fn who_hears_from_a_leader_ignores_candidates_unless_the_leader_hands_over() {
    let mut node = node(Config { check_quorum: true, ..plain(1) }, members(3));
    node.step(message(2, 1, 1, heartbeat(0))).unwrap();
    outputs(&mut node);
    for ballot in [Ballot::PreElection, Ballot::Election] {
        node.step(message(3, 1, 2, vote(ballot, entry_id(0, 0)))).unwrap();
        assert_eq!(outputs(&mut node), []);
    }
    let request = VoteRequest { ballot: Ballot::Election, last: entry_id(0, 0), transfer: true };
    node.step(message(3, 1, 2, Body::Vote(request))).unwrap();
    assert_eq!(messages(&mut node), [message(1, 3, 2, voted(Ballot::Election, true))]);
}

#[test]
fn the_lease_ends_with_the_shortest_timeout() {
    let mut node = node(Config { check_quorum: true, ..plain(1) }, members(3));
    node.step(message(2, 1, 1, heartbeat(0))).unwrap();
    node.set_election_timeout(5);
    (0..3).for_each(|_| node.tick());
    outputs(&mut node);
    node.step(message(3, 1, 2, vote(Ballot::Election, entry_id(0, 0)))).unwrap();
    assert_eq!(messages(&mut node), [message(1, 3, 2, voted(Ballot::Election, true))]);
}

#[test]
fn a_forgotten_leader_no_longer_stands_in_the_way() {
    let config = Config { check_quorum: true, pre_vote: true, ..plain(1) };
    let mut node = node(config, members(3));
    node.step(message(2, 1, 1, heartbeat(0))).unwrap();
    outputs(&mut node);
    node.forget_leader();
    assert_eq!(outputs(&mut node), [state(RoleName::Follower, None)]);
    node.step(message(3, 1, 2, vote(Ballot::PreElection, entry_id(0, 0)))).unwrap();
    assert_eq!(messages(&mut node), [message(1, 3, 2, voted(Ballot::PreElection, true))]);
}

#[test]
fn a_leader_of_an_earlier_term_is_told_of_the_later_one() {
    let mut node = follower_with(Config { pre_vote: true, ..plain(1) }, &[], 5, 0);
    node.step(message(2, 1, 4, heartbeat(0))).unwrap();
    node.step(message(2, 1, 4, append(entry_id(0, 0), vec![], 0))).unwrap();
    let told = message(1, 2, 5, accepted(0));
    assert_eq!(messages(&mut node), [told.clone(), told]);
    let mut plain = follower_with(plain(1), &[], 5, 0);
    plain.step(message(2, 1, 4, heartbeat(0))).unwrap();
    assert_eq!(outputs(&mut plain), []);
}

#[test]
fn a_leader_without_a_quorum_steps_down() {
    let mut node = leader(Config { check_quorum: true, ..plain(1) });
    (0..3).for_each(|_| node.tick());
    assert_eq!(node.status().soft_state.role, RoleName::Leader, "2 was heard of");
    (0..3).for_each(|_| node.tick());
    assert_eq!(node.status().soft_state, SoftState { leader: None, role: RoleName::Follower });
    assert_eq!(node.status().hard_state.term, Term(1));
}

#[test]
fn a_learner_votes_but_does_not_stand_for_election() {
    let conf_state = crate::raft::ConfState { learners: vec![id(4)], ..members(3) };
    let mut node = node(plain(4), conf_state);
    node.campaign();
    (0..20).for_each(|_| node.tick());
    assert_eq!(outputs(&mut node), []);
    node.step(message(2, 4, 1, vote(Ballot::Election, entry_id(0, 0)))).unwrap();
    assert_eq!(messages(&mut node), [message(4, 2, 1, voted(Ballot::Election, true))]);
}

#[test]
fn a_change_of_the_membership_that_is_not_applied_keeps_from_elections() {
    let change = crate::raft::Entry { kind: crate::raft::EntryType::ConfChangeV2, ..empty_entry(1, 1) };
    let mut node = follower_with(plain(1), &[change], 1, 1);
    node.campaign();
    assert_eq!(node.status().soft_state.role, RoleName::Follower);
}

#[test]
fn answers_of_strangers_are_refused() {
    let mut node = node(plain(1), members(3));
    let stranger = message(9, 1, 1, voted(Ballot::Election, true));
    assert_eq!(node.step(stranger), Err(Error::PeerNotFound(id(9))));
}

#[test]
fn a_transfer_hands_over_when_the_successor_has_all() {
    let mut cluster = Cluster::new(3, Config::new_for_tests);
    cluster.node(1).campaign();
    cluster.settle();
    assert_eq!(cluster.leader_of(3), Some(id(1)));
    cluster.node(3).transfer_leader(id(2));
    cluster.settle();
    assert_eq!([1, 2, 3].map(|number| cluster.leader_of(number)), [Some(id(2)); 3]);
}

#[test]
fn a_transfer_waits_for_the_log_and_is_given_up_after_a_timeout() {
    let mut node = leader(plain(1));
    node.transfer_leader(id(3));
    let refused = node.propose(vec![Bytes::from_static(b"x")]);
    assert!(matches!(refused, Err(Error::ProposalDropped(_))));
    assert_eq!(node.status().transferee, Some(id(3)));
    outputs(&mut node);
    node.step(message(3, 1, 1, accepted(1))).unwrap();
    let told = message(1, 3, 1, append(entry_id(1, 1), vec![], 1));
    assert_eq!(messages(&mut node), [told, message(1, 3, 1, Body::TimeoutNow)]);
    (0..3).for_each(|_| node.tick());
    assert_eq!(node.status().transferee, None);
    node.propose(vec![Bytes::from_static(b"x")]).unwrap();
}

#[test]
fn a_handover_skips_the_pre_election() {
    let mut node = node(Config { pre_vote: true, ..plain(1) }, members(3));
    node.step(message(2, 1, 1, heartbeat(0))).unwrap();
    outputs(&mut node);
    node.step(message(2, 1, 1, Body::TimeoutNow)).unwrap();
    let request = VoteRequest { ballot: Ballot::Election, last: entry_id(0, 0), transfer: true };
    let asked = |to| message(1, to, 2, Body::Vote(request));
    let asked: Vec<Message> = [2, 3].map(asked).into();
    assert_eq!(messages(&mut node), asked);
}

impl Config {
    fn new_for_tests(number: u64) -> Self {
        Self { election_ticks: 3, ..Self::new(id(number)) }
    }
}
