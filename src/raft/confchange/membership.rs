//! The members in effect.

use std::collections::BTreeSet;

use super::ConfChangeError;
use super::change::{ConfChangeSingle, ConfChangeType, ConfChangeV2};
use crate::raft::quorum::{Joint, Majority};
use crate::raft::snapshot::ConfState;
use crate::types::ids::MemberId;

/// Voters and learners, checked; it may be empty before a node has joined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    pub voters: Joint,
    pub learners: BTreeSet<MemberId>,
    /// Voters of the outgoing half that become learners when it goes.
    pub learners_next: BTreeSet<MemberId>,
    pub auto_leave: bool,
}

impl Membership {
    /// What this change makes of it.
    pub fn changed(&self, change: &ConfChangeV2) -> Result<Self, ConfChangeError> {
        if change.leaves_joint() {
            return self.left_joint();
        }
        match change.enters_joint() {
            None => self.changed_simply(&change.changes),
            Some(auto_leave) => self.entered_joint(auto_leave, &change.changes),
        }
    }

    /// Without a joint configuration: the quorums before and after overlap, as at most one voter
    /// changes.
    pub fn changed_simply(&self, changes: &[ConfChangeSingle]) -> Result<Self, ConfChangeError> {
        if self.is_joint() {
            return Err(ConfChangeError::SimpleWhileJoint);
        }
        let mut changed = self.clone();
        changed.apply(changes)?;
        if self.voters.incoming.difference(&changed.voters.incoming) > 1 {
            return Err(ConfChangeError::ManyVoters);
        }
        changed.checked()
    }

    pub fn entered_joint(
        &self,
        auto_leave: bool,
        changes: &[ConfChangeSingle],
    ) -> Result<Self, ConfChangeError> {
        if self.is_joint() {
            return Err(ConfChangeError::AlreadyJoint);
        }
        if self.voters.incoming.is_empty() {
            return Err(ConfChangeError::NoVoters);
        }
        let mut changed = self.clone();
        changed.voters.outgoing = self.voters.incoming.clone();
        changed.auto_leave = auto_leave;
        changed.apply(changes)?;
        changed.checked()
    }

    pub fn left_joint(&self) -> Result<Self, ConfChangeError> {
        if !self.is_joint() {
            return Err(ConfChangeError::NotJoint);
        }
        let mut left = self.clone();
        left.learners.append(&mut left.learners_next);
        left.voters.outgoing = Majority::default();
        left.auto_leave = false;
        left.checked()
    }

    fn apply(&mut self, changes: &[ConfChangeSingle]) -> Result<(), ConfChangeError> {
        for ConfChangeSingle { kind, node } in changes {
            let Some(id) = *node else { continue };
            match kind {
                ConfChangeType::AddLearnerNode => self.make_learner(id),
                ConfChangeType::AddNode => {
                    self.remove(id);
                    self.voters.incoming.insert(id);
                }
                ConfChangeType::RemoveNode => self.remove(id),
                ConfChangeType::UpdateNode => {}
            }
        }
        if self.voters.incoming.is_empty() { Err(ConfChangeError::RemovedAllVoters) } else { Ok(()) }
    }

    /// Who still votes in the outgoing half cannot be a learner yet.
    fn make_learner(&mut self, id: MemberId) {
        self.remove(id);
        let learners =
            if self.voters.outgoing.contains(id) { &mut self.learners_next } else { &mut self.learners };
        learners.insert(id);
    }

    fn remove(&mut self, id: MemberId) {
        self.voters.incoming.remove(id);
        self.learners.remove(&id);
        self.learners_next.remove(&id);
    }

    fn checked(self) -> Result<Self, ConfChangeError> {
        let named = !self.contains(MemberId(0));
        let learns_apart = self.learners.iter().all(|id| !self.voters.contains(*id));
        let goes = self.learners_next.iter().all(|id| self.voters.outgoing.contains(*id));
        let stays_out = self.learners_next.iter().all(|id| !self.voters.incoming.contains(*id));
        let plain = self.is_joint() || self.learners_next.is_empty() && !self.auto_leave;
        let led = !self.voters.incoming.is_empty() || !self.is_joint() && self.learners.is_empty();
        let holds = named && learns_apart && goes && stays_out && plain && led;
        if holds { Ok(self) } else { Err(ConfChangeError::Invalid) }
    }

    #[must_use]
    pub fn is_joint(&self) -> bool {
        !self.voters.outgoing.is_empty()
    }

    /// Whether it is a voter of either half or a learner.
    #[must_use]
    pub fn contains(&self, id: MemberId) -> bool {
        self.voters.contains(id) || self.learners.contains(&id)
    }

    /// Whom these changes, which led here, have removed, be it to add them again: they may have come
    /// back with another log. Who votes in the outgoing half has not gone yet.
    #[must_use]
    pub fn removed_by(&self, changes: &[ConfChangeSingle]) -> BTreeSet<MemberId> {
        let removes = |change: &&ConfChangeSingle| change.kind == ConfChangeType::RemoveNode;
        let removed = changes.iter().filter(removes).filter_map(|change| change.node);
        removed.filter(|id| !self.voters.outgoing.contains(*id)).collect()
    }

    /// Everybody the log is replicated to, by id.
    #[must_use]
    pub fn ids(&self) -> BTreeSet<MemberId> {
        self.voters.ids().into_iter().chain(self.learners.iter().copied()).collect()
    }

    #[must_use]
    pub fn conf_state(&self) -> ConfState {
        ConfState {
            voters: self.voters.incoming.iter().collect(),
            learners: self.learners.iter().copied().collect(),
            voters_outgoing: self.voters.outgoing.iter().collect(),
            learners_next: self.learners_next.iter().copied().collect(),
            auto_leave: self.auto_leave,
        }
    }
}

impl TryFrom<&ConfState> for Membership {
    type Error = ConfChangeError;

    fn try_from(state: &ConfState) -> Result<Self, ConfChangeError> {
        let ConfState { voters, learners, voters_outgoing, learners_next, auto_leave } = state;
        let membership = Self {
            voters: Joint {
                incoming: voters.iter().copied().collect(),
                outgoing: voters_outgoing.iter().copied().collect(),
            },
            learners: learners.iter().copied().collect(),
            learners_next: learners_next.iter().copied().collect(),
            auto_leave: *auto_leave,
        };
        membership.checked()
    }
}
