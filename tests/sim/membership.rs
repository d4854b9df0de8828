//! Who is a member changes.

use bytes::Bytes;
use etcdlet::raft::confchange::{
    ConfChange, ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2, Membership,
};
use etcdlet::types::ids::MemberId;
use fastrand::Rng;

use super::disk::Disk;
use super::faults::Fault;
use super::world::World;

impl World {
    /// Somebody, mostly the leader, is asked to change something.
    pub(crate) fn change_membership(&mut self) {
        let up: Vec<MemberId> = self.members.values().filter(|it| it.is_up()).map(|it| it.id).collect();
        if up.is_empty() {
            return;
        }
        let leader = self.believed_leader();
        let newcomer = self.newcomer();
        let chance = self.chances.get_mut(&Fault::Membership).expect("each fault has one");
        let any = up[chance.usize(..up.len())];
        let asked = leader.filter(|_| chance.u8(..4) > 0).unwrap_or(any);
        let Some(status) = self.members[&asked].status() else { return };
        let changes = draw_changes(chance, &status.membership, newcomer);
        let transition = draw_transition(chance);
        let leaves = status.membership.is_joint() && chance.u8(..4) > 0;
        let old_form = chance.bool();
        if changes.iter().any(|change| change.node == Some(newcomer)) && !self.members.contains_key(&newcomer)
        {
            self.add_member(newcomer, Disk::default());
            self.count("newcomer");
        }
        let result = self.process(asked, None, |process| {
            process.input(|node| match &changes[..] {
                _ if leaves => node.propose_conf_change_v2(&ConfChangeV2::default()),
                [change] if old_form => {
                    node.propose_conf_change(&ConfChange { id: 0, change: *change, context: Bytes::new() })
                }
                _ => {
                    node.propose_conf_change_v2(&ConfChangeV2 { transition, changes, context: Bytes::new() })
                }
            })
        });
        if result == Some(Ok(())) {
            self.count("membership proposal");
        }
    }

    /// The next member that there is not, or the last one if it has not joined.
    fn newcomer(&self) -> MemberId {
        let last = self.members.values().next_back().expect("a cluster has members");
        let joined = last.process().is_none_or(|process| process.membership().names(last.id));
        if joined || last.is_removed() { MemberId(last.id.0 + 1) } else { last.id }
    }
}

fn draw_transition(chance: &mut Rng) -> ConfChangeTransition {
    [
        ConfChangeTransition::Auto,
        ConfChangeTransition::Auto,
        ConfChangeTransition::JointImplicit,
        ConfChangeTransition::JointExplicit,
    ][chance.usize(..4)]
}

fn draw_changes(chance: &mut Rng, membership: &Membership, newcomer: MemberId) -> Vec<ConfChangeSingle> {
    let members: Vec<MemberId> = membership.ids().into_iter().collect();
    let count = [1, 1, 1, 2, 3][chance.usize(..5)];
    (0..count)
        .map(|_| {
            let is_large = members.len() >= MEMBERS_MAX;
            let known = if members.is_empty() { newcomer } else { members[chance.usize(..members.len())] };
            let (kind, node) = match chance.u8(..16) {
                0..5 if !is_large => (ConfChangeType::AddNode, Some(newcomer)),
                5..8 if !is_large => (ConfChangeType::AddLearnerNode, Some(newcomer)),
                8..10 => (ConfChangeType::AddNode, Some(known)),
                10..12 => (ConfChangeType::AddLearnerNode, Some(known)),
                12 => (ConfChangeType::UpdateNode, Some(known)),
                // As a server voids one that it finds wrong.
                13 => (ConfChangeType::AddNode, None),
                _ => (ConfChangeType::RemoveNode, Some(known)),
            };
            ConfChangeSingle { kind, node }
        })
        .collect()
}

const MEMBERS_MAX: usize = 7;
