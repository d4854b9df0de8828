//! Quorums against what they mean, spelled out.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;

use super::{Joint, Majority, VoteResult};
use crate::types::ids::MemberId;

/// All sets of more than half of the members.
fn quorums(members: &Majority) -> Vec<BTreeSet<MemberId>> {
    let members: Vec<MemberId> = members.iter().collect();
    (0_u32..1 << members.len())
        .filter(|chosen| 2 * chosen.count_ones() as usize > members.len())
        .map(|chosen| {
            let is_in = |at: &usize| chosen >> at & 1 == 1;
            (0..members.len()).filter(is_in).map(|at| members[at]).collect()
        })
        .collect()
}

/// The highest value that all members of some quorum have reached.
fn naively_reached(members: &Majority, values: &BTreeMap<MemberId, u64>) -> Option<u64> {
    let least = |quorum: &BTreeSet<MemberId>| {
        quorum.iter().map(|id| values.get(id).copied().unwrap_or_default()).min()
    };
    quorums(members).iter().filter_map(least).max()
}

/// Won if some quorum said yes; lost if none can any more.
fn naive_result(members: &Majority, votes: &BTreeMap<MemberId, bool>) -> VoteResult {
    let quorums = quorums(members);
    let all = |quorum: &BTreeSet<MemberId>, wanted: &[Option<bool>]| {
        quorum.iter().all(|id| wanted.contains(&votes.get(id).copied()))
    };
    if members.is_empty() || quorums.iter().any(|quorum| all(quorum, &[Some(true)])) {
        VoteResult::Won
    } else if quorums.iter().any(|quorum| all(quorum, &[Some(true), None])) {
        VoteResult::Pending
    } else {
        VoteResult::Lost
    }
}

fn some_members(chance: &mut Rng) -> Majority {
    let count = chance.u64(0..=7);
    (0..count).map(|_| MemberId(chance.u64(1..=9))).collect()
}

fn about<T>(chance: &mut Rng, mut value: impl FnMut(&mut Rng) -> T) -> BTreeMap<MemberId, T> {
    let mut said = BTreeMap::new();
    for id in (1..=9).map(MemberId) {
        if chance.bool() {
            said.insert(id, value(chance));
        }
    }
    said
}

#[test]
fn what_is_reached_is_what_all_of_some_quorum_have_reached() {
    let mut chance = Rng::with_seed(1);
    for _ in 0..20_000 {
        let joint = Joint { incoming: some_members(&mut chance), outgoing: some_members(&mut chance) };
        let values = about(&mut chance, |chance| chance.u64(0..6));
        let halves = [&joint.incoming, &joint.outgoing].map(|half| naively_reached(half, &values));
        assert_eq!(joint.incoming.reached(|id| values.get(&id).copied()), halves[0], "{joint:?} {values:?}");
        let both = halves.into_iter().flatten().min();
        assert_eq!(joint.reached(|id| values.get(&id).copied()), both, "{joint:?} {values:?}");
    }
}

#[test]
fn a_vote_is_won_by_quorums_of_both_halves() {
    let mut chance = Rng::with_seed(2);
    for _ in 0..20_000 {
        let joint = Joint { incoming: some_members(&mut chance), outgoing: some_members(&mut chance) };
        let votes = about(&mut chance, Rng::bool);
        let halves = [&joint.incoming, &joint.outgoing].map(|half| naive_result(half, &votes));
        assert_eq!(joint.incoming.vote_result(|id| votes.get(&id).copied()), halves[0]);
        let both = match halves {
            [VoteResult::Lost, _] | [_, VoteResult::Lost] => VoteResult::Lost,
            [VoteResult::Won, VoteResult::Won] => VoteResult::Won,
            _ => VoteResult::Pending,
        };
        assert_eq!(joint.vote_result(|id| votes.get(&id).copied()), both, "{joint:?} {votes:?}");
    }
}

#[test]
fn many_members_are_counted_as_few_are() {
    let members: Majority = (1..=20).map(MemberId).collect();
    assert_eq!(members.reached(|id| Some(id.0)), Some(10));
    assert_eq!(Majority::default().reached(|id| Some(id.0)), None);
}

#[test]
fn ids_are_named_once() {
    let outgoing = [2, 1].map(MemberId).into_iter().collect();
    let joint = Joint { incoming: [3, 2].map(MemberId).into_iter().collect(), outgoing };
    assert_eq!(joint.ids(), [1, 2, 3].map(MemberId));
    assert!(!joint.is_only(MemberId(3)));
    let alone = Joint { incoming: [MemberId(3)].into_iter().collect(), ..Joint::default() };
    assert!(alone.is_only(MemberId(3)) && !alone.is_only(MemberId(2)));
}
