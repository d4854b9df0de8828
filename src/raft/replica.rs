//! What a node has in every role.

use std::collections::VecDeque;

use super::bug::Bug;
use super::clock::ElectionClock;
use super::confchange::Membership;
use super::index::LogIndex;
use super::log::Log;
use super::message::{AppendResponse, Ballot, Body, Message, VoteRequest};
use super::output::{HardState, ReadState};
use super::progress::Window;
use super::storage::Storage;
use super::{Config, Error};
use crate::types::ids::{MemberId, Term};

#[derive(Debug)]
pub(crate) struct Replica<S> {
    pub config: Config,
    pub term: Term,
    pub vote: Option<MemberId>,
    pub log: Log<S>,
    pub membership: Membership,
    pub clock: ElectionClock,
    pub outbox: Outbox,
}

/// What is to leave the node.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// At once.
    pub messages: VecDeque<Message>,
    /// When all that is in the log and the hard state by now is durable; some go to this node.
    pub after_persist: Vec<Message>,
    pub reads: VecDeque<ReadState>,
}

impl<S: Storage> Replica<S> {
    pub(crate) fn try_new(config: Config, storage: S, seed: u64) -> Result<Self, Error> {
        config.check()?;
        let (HardState { term, vote, commit }, conf_state) = storage.initial_state()?;
        let membership = Membership::try_from(&conf_state)?;
        let log = Log::try_new(storage, commit, config.applied, config.applying_bytes_max)?;
        let clock = ElectionClock::new(config.election_ticks, seed);
        Ok(Self { config, term, vote, log, membership, clock, outbox: Outbox::default() })
    }

    pub(crate) const fn id(&self) -> MemberId {
        self.config.id
    }

    pub(crate) fn hard_state(&self) -> HardState {
        let vote = if self.config.has(Bug::VoteIsForgotten) { None } else { self.vote };
        HardState { term: self.term, vote, commit: self.log.committed() }
    }

    /// In the present term.
    pub(crate) fn send(&mut self, to: MemberId, body: Body) {
        self.send_in_term(to, self.term, body);
    }

    /// Invariant 7: what accepts entries, and grants or wants a vote, waits until that is durable.
    /// (Refusals wait as well: they may rest on what is not durable, and are rare.)
    pub(crate) fn send_in_term(&mut self, to: MemberId, term: Term, body: Body) {
        let own = to == self.id();
        let waits = match body {
            Body::AppendResponse(_) => own || !self.config.has(Bug::AcceptsBeforeSync),
            Body::Vote(VoteRequest { ballot: Ballot::Election, .. }) => {
                !self.config.has(Bug::LeadsBeforeVoteIsDurable)
            }
            Body::VoteResponse(_) => own || !self.config.has(Bug::VotesBeforeSync),
            _ => false,
        };
        let message = Message { from: self.id(), to, term, body };
        if waits {
            self.outbox.after_persist.push(message);
        } else {
            assert!(!own, "a message to itself would never be delivered");
            self.outbox.messages.push_back(message);
        }
    }

    /// Somebody else's message goes on as it is, with the term that its kind has.
    pub(crate) fn forward(&mut self, from: MemberId, to: MemberId, body: Body) {
        let term = if body.is_termless() { Term(0) } else { self.term };
        self.outbox.messages.push_back(Message { from, to, term, body });
    }

    pub(crate) fn accept(&mut self, to: MemberId, index: LogIndex) {
        self.send(to, Body::AppendResponse(AppendResponse::Accepted { index }));
    }

    /// Whether it may be elected.
    pub(crate) fn is_promotable(&self) -> bool {
        self.membership.voters.contains(self.id()) && !self.log.is_restoring()
    }

    pub(crate) const fn window(&self) -> Window {
        Window { messages_max: self.config.inflight_messages_max, bytes_max: self.config.inflight_bytes_max }
    }
}
