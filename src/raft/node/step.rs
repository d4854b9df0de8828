//! Which messages count, and who deals with them.

use super::Node;
use crate::raft::bug::Bug;
use crate::raft::entry::Entry;
use crate::raft::error::{DropReason, Error};
use crate::raft::index::LogIndex;
use crate::raft::message::{AppendResponse, Ballot, Body, Message, VoteRequest, VoteResponse};
use crate::raft::output::ReadState;
use crate::raft::read_index::ReadRequest;
use crate::raft::role::{Follower, Role};
use crate::raft::storage::Storage;
use crate::types::ids::{MemberId, Term};

impl<S: Storage> Node<S> {
    pub(super) fn handle_message(&mut self, message: Message) -> Result<(), Error> {
        if !message.body.is_termless() && !self.settle_term(&message) {
            return Ok(());
        }
        let Message { from, to: _, term, body } = message;
        match body {
            Body::Append(append) => {
                if self.follow(from) {
                    self.replica.handle_append(from, &append)?;
                }
            }
            Body::AppendResponse(response) => {
                if let Role::Leader(leader) = &mut self.role {
                    leader.handle_append_response(&mut self.replica, from, response);
                }
            }
            Body::Heartbeat { commit, context } => {
                if self.follow(from) {
                    self.replica.handle_heartbeat(from, commit, context)?;
                }
            }
            Body::HeartbeatResponse { context } => {
                if let Role::Leader(leader) = &mut self.role {
                    leader.handle_heartbeat_response(&mut self.replica, from, &context);
                }
            }
            Body::Propose { entries } => self.handle_proposal(from, entries)?,
            Body::ReadIndex { context } => self.handle_read(ReadRequest { from, context }),
            Body::ReadIndexResponse { index, context } => {
                if let Role::Follower(_) = &self.role {
                    self.replica.outbox.reads.push_back(ReadState { index, context });
                }
            }
            Body::Snapshot(snapshot) => {
                if self.follow(from) {
                    self.replica.handle_snapshot(from, snapshot)?;
                }
            }
            Body::TimeoutNow => self.handle_timeout_now(),
            Body::TransferLeader => self.handle_transfer(from),
            Body::Vote(request) => self.handle_vote_request(from, term, request),
            Body::VoteResponse(response) => self.handle_vote_response(from, response),
        }
        Ok(())
    }

    /// Invariants 1 and 2. Gives whether the message counts in the term that the node is in then.
    fn settle_term(&mut self, message: &Message) -> bool {
        if message.term > self.replica.term {
            self.settle_later_term(message)
        } else if message.term < self.replica.term {
            self.refuse_earlier_term(message);
            false
        } else {
            true
        }
    }

    fn settle_later_term(&mut self, message: &Message) -> bool {
        match &message.body {
            // Who hears from a leader does not help to depose it, unless it asked for that itself.
            Body::Vote(request) if self.is_in_lease() && !request.transfer => return false,
            // They ask about a term that nobody is in yet.
            Body::Vote(VoteRequest { ballot: Ballot::PreElection, .. })
            | Body::VoteResponse(VoteResponse { ballot: Ballot::PreElection, granted: true }) => {}
            Body::Append(_) | Body::Heartbeat { .. } | Body::Snapshot(_) => {
                self.become_follower(message.term, Some(message.from));
            }
            _ if self.replica.config.has(Bug::NoStepDown) && matches!(self.role, Role::Leader(_)) => {
                self.replica.term = message.term;
            }
            _ => self.become_follower(message.term, None),
        }
        true
    }

    /// Whether a leader may rely on this node not to elect another.
    pub(super) fn is_in_lease(&self) -> bool {
        self.replica.config.check_quorum
            && self.role.leader(self.replica.id()).is_some()
            && !self.replica.clock.is_past_minimum()
    }

    /// A leader of an earlier term may not be able to learn otherwise that there is a later one: with
    /// pre-votes or leases, this node's own campaigns would not get through to it.
    fn refuse_earlier_term(&mut self, message: &Message) {
        let config = &self.replica.config;
        match &message.body {
            Body::Append(_) | Body::Heartbeat { .. } if config.check_quorum || config.pre_vote => {
                let index = LogIndex::ZERO;
                let body = Body::AppendResponse(AppendResponse::Accepted { index });
                self.replica.send(message.from, body);
            }
            Body::Vote(VoteRequest { ballot: ballot @ Ballot::PreElection, .. }) => {
                let body = Body::VoteResponse(VoteResponse { ballot: *ballot, granted: false });
                self.replica.send(message.from, body);
            }
            _ => {}
        }
    }

    /// Invariant 1. A learner votes too: who asks may know that it is none any more.
    fn handle_vote_request(&mut self, from: MemberId, term: Term, request: VoteRequest) {
        let VoteRequest { ballot, last, transfer: _ } = request;
        let replica = &mut self.replica;
        let free = replica.vote.is_none() && self.role.leader(replica.id()).is_none();
        let about_later = ballot == Ballot::PreElection && term > replica.term;
        let again = replica.config.has(Bug::DoubleVote)
            || replica.membership.is_joint() && replica.config.has(Bug::DoubleVoteInJoint);
        let may_vote = replica.vote == Some(from) || free || about_later || again;
        let behind = last < replica.log.last() && !replica.config.has(Bug::StaleLogWins);
        if !may_vote || behind {
            let body = Body::VoteResponse(VoteResponse { ballot, granted: false });
            replica.send(from, body);
            return;
        }
        // Of a pre-vote that is the term asked about, which is not this node's.
        let body = Body::VoteResponse(VoteResponse { ballot, granted: true });
        replica.send_in_term(from, term, body);
        if ballot == Ballot::Election {
            replica.clock.restart();
            replica.vote = Some(from);
        }
    }

    /// Somebody leads in the present term. Gives whether that can be: a leader knows of no other.
    fn follow(&mut self, leader: MemberId) -> bool {
        match &mut self.role {
            Role::Candidate(_) | Role::PreCandidate(_) => {
                self.become_follower(self.replica.term, Some(leader));
                true
            }
            Role::Follower(follower) => {
                follower.leader = Some(leader);
                self.replica.clock.restart();
                true
            }
            Role::Leader(_) => false,
        }
    }

    pub(super) fn handle_proposal(&mut self, from: MemberId, entries: Vec<Entry>) -> Result<(), Error> {
        if entries.is_empty() {
            return Ok(());
        }
        match &mut self.role {
            Role::Follower(Follower { leader: Some(leader) }) => {
                if !self.replica.config.proposal_forwarding {
                    return Err(Error::ProposalDropped(DropReason::NotForwarded));
                }
                self.replica.forward(from, *leader, Body::Propose { entries });
                Ok(())
            }
            Role::Leader(leader) => leader.propose(&mut self.replica, entries),
            Role::Candidate(_) | Role::Follower(_) | Role::PreCandidate(_) => {
                Err(Error::ProposalDropped(DropReason::NoLeader))
            }
        }
    }
}
