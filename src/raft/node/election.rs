//! Changes of the role.

use super::Node;
use crate::raft::bug::Bug;
use crate::raft::confchange::ConfChangeSingle;
use crate::raft::message::{Ballot, VoteResponse};
use crate::raft::role::{Campaign, Candidate, Follower, Leader, Role, Verdict};
use crate::raft::storage::Storage;
use crate::types::ids::{MemberId, Term};

impl<S: Storage> Node<S> {
    pub(super) fn handle_tick(&mut self) {
        self.replica.log.retry();
        if let Role::Leader(leader) = &mut self.role {
            if !leader.tick(&mut self.replica) {
                self.become_follower(self.replica.term, None);
            }
            return;
        }
        self.replica.clock.tick();
        if self.replica.clock.is_over() && self.replica.is_promotable() {
            self.replica.clock.restart();
            self.handle_timeout();
        }
    }

    pub(super) fn handle_timeout(&mut self) {
        let pre_vote = self.replica.config.pre_vote;
        self.try_campaign(if pre_vote { Campaign::PreElection } else { Campaign::Election });
    }

    /// The leader hands over. A candidate is about to find out by itself.
    pub(super) fn handle_timeout_now(&mut self) {
        if let Role::Follower(_) = &self.role {
            self.try_campaign(Campaign::Transfer);
        }
    }

    /// Not with a committed change of the membership ahead: the quorums could be those of a
    /// configuration that others have left twice over.
    fn try_campaign(&mut self, campaign: Campaign) {
        let leads = matches!(self.role, Role::Leader(_));
        let settled = self.replica.log.has_unapplied_conf_change() == Some(false);
        let has_later_term = self.replica.term < Term(u64::MAX);
        if !leads && self.replica.is_promotable() && settled && has_later_term {
            self.campaign_as(campaign);
        }
    }

    fn campaign_as(&mut self, campaign: Campaign) {
        let mut candidate = Candidate::default();
        if self.replica.config.has(Bug::LeadsBeforeVoteIsDurable) {
            let own = self.replica.id();
            candidate.handle_vote(own, true, own, &self.replica.membership.voters);
        }
        self.role = if campaign == Campaign::PreElection {
            Role::PreCandidate(candidate)
        } else {
            self.replica.term = Term(self.replica.term.0 + 1);
            self.replica.vote = Some(self.replica.id());
            self.replica.clock.reset();
            Role::Candidate(candidate)
        };
        self.replica.ask_for_votes(campaign);
    }

    pub(super) fn handle_vote_response(&mut self, from: MemberId, response: VoteResponse) {
        let VoteResponse { ballot, granted } = response;
        let ((Role::Candidate(candidate), Ballot::Election)
        | (Role::PreCandidate(candidate), Ballot::PreElection)) = (&mut self.role, ballot)
        else {
            return;
        };
        let voters = &self.replica.membership.voters;
        let half = self.replica.config.has(Bug::JointHalfElects);
        let voters = if half { &voters.incoming_only() } else { voters };
        match (candidate.handle_vote(from, granted, self.replica.id(), voters), ballot) {
            (Verdict::Lost, _) => self.become_follower(self.replica.term, None),
            (Verdict::Pending, _) => {}
            (Verdict::Won, Ballot::Election) => self.become_leader(),
            (Verdict::Won, Ballot::PreElection) => self.campaign_as(Campaign::Election),
        }
    }

    fn become_leader(&mut self) {
        self.replica.clock.reset();
        let mut leader = Leader::begin(&mut self.replica);
        leader.broadcast_append(&mut self.replica);
        self.role = Role::Leader(Box::new(leader));
    }

    /// Invariant 1: a vote belongs to its term.
    pub(super) fn become_follower(&mut self, term: Term, leader: Option<MemberId>) {
        assert!(term >= self.replica.term, "terms never fall");
        if term > self.replica.term {
            self.replica.term = term;
            self.replica.vote = None;
        }
        self.replica.clock.reset();
        self.role = Role::Follower(Follower { leader });
    }

    /// The membership is another one, by these changes.
    pub(super) fn handle_membership(&mut self, changes: &[ConfChangeSingle]) {
        let Role::Leader(leader) = &mut self.role else { return };
        leader.handle_membership(&mut self.replica, changes);
        if self.replica.membership.voters.contains(self.replica.id()) {
            leader.supply_all(&mut self.replica);
        } else if self.replica.config.step_down_on_removal {
            self.become_follower(self.replica.term, None);
        }
    }
}
