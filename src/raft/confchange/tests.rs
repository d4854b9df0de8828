//! Changes of the membership: the rules one by one, and against a naive model.

use std::collections::BTreeSet;

use fastrand::Rng;

use super::*;
use crate::raft::snapshot::ConfState;
use crate::types::ids::MemberId;

fn ids(numbers: &[u64]) -> Vec<MemberId> {
    numbers.iter().copied().map(MemberId).collect()
}

fn voters(numbers: &[u64]) -> Membership {
    Membership::try_from(&ConfState { voters: ids(numbers), ..ConfState::default() }).unwrap()
}

/// `v1 l2 r3 u4`: voter, learner, removed, updated; 0 is nobody.
fn changes(text: &str) -> Vec<ConfChangeSingle> {
    text.split_whitespace()
        .map(|word| {
            let kind = match &word[..1] {
                "l" => ConfChangeType::AddLearnerNode,
                "r" => ConfChangeType::RemoveNode,
                "u" => ConfChangeType::UpdateNode,
                _ => ConfChangeType::AddNode,
            };
            let number: u64 = word[1..].parse().unwrap();
            ConfChangeSingle { kind, node: (number != 0).then_some(MemberId(number)) }
        })
        .collect()
}

#[test]
fn a_simple_change_changes_one_voter() {
    let one = voters(&[1]);
    assert_eq!(
        one.changed_simply(&changes("v2 l3")).unwrap().conf_state(),
        ConfState { voters: ids(&[1, 2]), learners: ids(&[3]), ..ConfState::default() }
    );
    assert_eq!(one.changed_simply(&changes("v2 v3")), Err(ConfChangeError::ManyVoters));
    assert_eq!(one.changed_simply(&changes("r1")), Err(ConfChangeError::RemovedAllVoters));
    assert_eq!(one.changed_simply(&changes("r0 v0 l0 u1 r9")), Ok(one));
    assert_eq!(voters(&[1, 2]).changed_simply(&changes("r1 v3")), Err(ConfChangeError::ManyVoters));
}

#[test]
fn a_first_voter_may_come_from_nothing() {
    assert_eq!(Membership::default().changed_simply(&changes("v1")), Ok(voters(&[1])));
}

#[test]
fn a_voter_that_becomes_a_learner_votes_until_the_joint_configuration_is_left() {
    let joint = voters(&[1, 2, 3]).entered_joint(true, &changes("l3 v4 l5")).unwrap();
    assert_eq!(
        joint.conf_state(),
        ConfState {
            voters: ids(&[1, 2, 4]),
            learners: ids(&[5]),
            voters_outgoing: ids(&[1, 2, 3]),
            learners_next: ids(&[3]),
            auto_leave: true,
        }
    );
    let left = joint.left_joint().unwrap();
    assert_eq!(
        left.conf_state(),
        ConfState { voters: ids(&[1, 2, 4]), learners: ids(&[3, 5]), ..ConfState::default() }
    );
}

#[test]
fn joint_configurations_are_entered_and_left_once() {
    let joint = voters(&[1]).entered_joint(false, &changes("v2 v3")).unwrap();
    assert_eq!(joint.entered_joint(false, &[]), Err(ConfChangeError::AlreadyJoint));
    assert_eq!(joint.changed_simply(&changes("v4")), Err(ConfChangeError::SimpleWhileJoint));
    assert_eq!(voters(&[1]).left_joint(), Err(ConfChangeError::NotJoint));
    assert_eq!(Membership::default().entered_joint(false, &changes("v1")), Err(ConfChangeError::NoVoters));
}

#[test]
fn the_last_of_several_changes_of_a_member_counts() {
    let joint = voters(&[1]);
    let joint = joint.entered_joint(true, &changes("r1 r2 r9 v2 v3 v4 v2 v3 v4 l2 l2 r4 r4 l1 l1")).unwrap();
    assert_eq!(
        joint.conf_state(),
        ConfState {
            voters: ids(&[3]),
            learners: ids(&[2]),
            voters_outgoing: ids(&[1]),
            learners_next: ids(&[1]),
            auto_leave: true,
        }
    );
}

#[test]
fn who_is_added_again_was_removed_but_for_voters_of_the_outgoing_half() {
    let again = changes("r1 v1 r4 v4 l2");
    let simple = voters(&[1, 2]).changed_simply(&changes("l4")).unwrap();
    assert_eq!(simple.removed_by(&again), ids(&[1, 4]).into_iter().collect());
    let joint = simple.entered_joint(true, &again).unwrap();
    assert_eq!(joint.removed_by(&again), ids(&[4]).into_iter().collect());
}

#[test]
fn a_change_says_itself_whether_it_is_joint() {
    let change = |transition, text| ConfChangeV2 { transition, changes: changes(text), ..Default::default() };
    for (transition, text, enters) in [
        (ConfChangeTransition::Auto, "v1", None),
        (ConfChangeTransition::Auto, "v1 v2", Some(true)),
        (ConfChangeTransition::JointImplicit, "v1", Some(true)),
        (ConfChangeTransition::JointExplicit, "v1", Some(false)),
        (ConfChangeTransition::JointExplicit, "", Some(false)),
    ] {
        assert_eq!(change(transition, text).enters_joint(), enters);
    }
    assert!(change(ConfChangeTransition::Auto, "").leaves_joint());
    assert!(!change(ConfChangeTransition::JointExplicit, "").leaves_joint());
}

#[test]
fn a_stored_membership_that_breaks_the_rules_is_refused() {
    let valid = ConfState {
        voters: ids(&[1, 2]),
        learners: ids(&[5]),
        voters_outgoing: ids(&[1, 3]),
        learners_next: ids(&[3]),
        auto_leave: true,
    };
    assert_eq!(Membership::try_from(&valid).unwrap().conf_state(), valid);
    for broken in [
        ConfState { learners: ids(&[1]), ..valid.clone() },
        ConfState { learners: ids(&[3]), ..valid.clone() },
        ConfState { learners_next: ids(&[4]), ..valid.clone() },
        ConfState { learners_next: ids(&[1]), ..valid.clone() },
        ConfState { voters: ids(&[]), ..valid.clone() },
        ConfState { voters: ids(&[0, 1]), ..valid.clone() },
        ConfState { voters_outgoing: ids(&[]), ..valid.clone() },
        ConfState { voters_outgoing: ids(&[]), learners_next: ids(&[]), ..valid },
    ] {
        assert_eq!(Membership::try_from(&broken), Err(ConfChangeError::Invalid), "{broken:?}");
    }
}

/// Each member's part, as a person would keep the list.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
struct Naive {
    votes: BTreeSet<u64>,
    voted: BTreeSet<u64>,
    learns: BTreeSet<u64>,
}

impl Naive {
    /// Who learns but still votes in the outgoing half waits; the waiting need no list of their own.
    fn apply(&mut self, change: ConfChangeSingle) {
        let Some(MemberId(id)) = change.node else { return };
        if change.kind != ConfChangeType::UpdateNode {
            self.votes.remove(&id);
            self.learns.remove(&id);
        }
        match change.kind {
            ConfChangeType::AddLearnerNode => drop(self.learns.insert(id)),
            ConfChangeType::AddNode => drop(self.votes.insert(id)),
            ConfChangeType::RemoveNode | ConfChangeType::UpdateNode => {}
        }
    }

    fn is_like(&self, membership: &Membership) -> bool {
        let set = |ids: Vec<MemberId>| ids.into_iter().map(|id| id.0).collect::<BTreeSet<u64>>();
        let ConfState { voters, learners, voters_outgoing, learners_next, auto_leave: _ } =
            membership.conf_state();
        let waiting = set(learners_next);
        let learns: BTreeSet<u64> = set(learners).union(&waiting).copied().collect();
        waiting == learns.intersection(&self.voted).copied().collect()
            && (set(voters), set(voters_outgoing), learns)
                == (self.votes.clone(), self.voted.clone(), self.learns.clone())
    }
}

#[test]
fn any_row_of_changes_ends_where_a_person_would_expect() {
    let mut chance = Rng::with_seed(3);
    for _ in 0..2_000 {
        let mut membership = voters(&[1]);
        let mut naive = Naive { votes: [1].into(), ..Naive::default() };
        for _ in 0..10 {
            let text: Vec<String> = (0..chance.usize(0..4))
                .map(|_| format!("{}{}", ["v", "l", "r", "u"][chance.usize(..4)], chance.u64(0..6)))
                .collect();
            let transition = [
                ConfChangeTransition::Auto,
                ConfChangeTransition::JointImplicit,
                ConfChangeTransition::JointExplicit,
            ][chance.usize(..3)];
            let change = ConfChangeV2 { transition, changes: changes(&text.join(" ")), ..Default::default() };
            let mut expected = naive.clone();
            if change.leaves_joint() {
                expected.voted.clear();
            } else if change.enters_joint().is_some() {
                expected.voted.clone_from(&naive.votes);
            }
            change.changes.iter().for_each(|change| expected.apply(*change));
            if let Ok(changed) = membership.changed(&change) {
                assert!(expected.is_like(&changed), "{membership:?} {change:?} {changed:?}");
                assert!(!changed.voters.incoming.is_empty());
                assert_eq!(Membership::try_from(&changed.conf_state()), Ok(changed.clone()));
                (membership, naive) = (changed, expected);
            }
        }
    }
}
