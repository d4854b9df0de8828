//! The surface: input by methods, output by [`Node::poll_output`].
//!
//! `step.rs` decides which messages count and who deals with them, `election.rs` changes roles,
//! `poll.rs` gathers what is to be done.

mod election;
mod poll;
mod step;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::bug::Bug;
use super::confchange::{ConfChange, ConfChangeV2};
use super::entry::{Entry, EntryType};
use super::message::{Body, Message};
use super::output::{ApplyAck, HardState, Output, PersistAck, SoftState};
use super::read_index::ReadRequest;
use super::replica::Replica;
use super::role::{Follower, Role};
use super::snapshot::ConfState;
use super::status::Status;
use super::storage::Storage;
use super::wire::Record;
use super::{Config, Error, ReadMode};
use crate::types::ids::MemberId;
use poll::Batch;

/// One member's part in the consensus.
#[derive(Debug)]
pub struct Node<S> {
    replica: Replica<S>,
    role: Role,
    outputs: VecDeque<Output>,
    /// Without asynchronous storage: what waits for [`Node::advance`].
    batch: Option<Batch>,
    /// As they were last given out.
    given_hard_state: HardState,
    given_soft_state: SoftState,
}

impl<S: Storage> Node<S> {
    /// Continues from what `storage` holds. Equal seeds and equal inputs give equal outputs.
    pub fn try_new(config: Config, storage: S, seed: u64) -> Result<Self, Error> {
        let replica = Replica::try_new(config, storage, seed)?;
        let role = Role::Follower(Follower { leader: None });
        let given_soft_state = SoftState { leader: None, role: role.name() };
        let given_hard_state = replica.hard_state();
        Ok(Self { replica, role, outputs: VecDeque::new(), batch: None, given_hard_state, given_soft_state })
    }

    /// Time passes by one tick.
    pub fn tick(&mut self) {
        self.handle_tick();
    }

    /// A message has arrived, or one of [`Persist::responses`](super::Persist::responses) to this
    /// node itself is due. An error is about this message alone, which has had no effect on the
    /// log, or a fact after which the node must not go on ([`Error::CommitBeyondLog`],
    /// [`Error::CommittedConflict`]).
    pub fn step(&mut self, message: Message) -> Result<(), Error> {
        if message.body.is_response() && !self.replica.membership.contains(message.from) {
            return Err(Error::PeerNotFound(message.from));
        }
        if message.from == self.replica.id() && !message.body.may_return() {
            return Err(Error::OwnName);
        }
        self.handle_message(message)
    }

    /// Wants these payloads in the log, in one piece. Nobody answers: what is committed comes back
    /// in [`Output::Apply`], or it does not, and is proposed again.
    pub fn propose(&mut self, payloads: Vec<Bytes>) -> Result<(), Error> {
        self.propose_entries(payloads.into_iter().map(Entry::normal).collect())
    }

    /// As [`propose`](Self::propose). What the leader finds illegal becomes an empty entry.
    pub fn propose_conf_change(&mut self, change: &ConfChange) -> Result<(), Error> {
        let kind = EntryType::ConfChange;
        self.propose_entries(vec![Entry { kind, data: change.to_bytes(), ..Entry::default() }])
    }

    /// As [`propose_conf_change`](Self::propose_conf_change). etcd's server cannot apply this form.
    pub fn propose_conf_change_v2(&mut self, change: &ConfChangeV2) -> Result<(), Error> {
        let kind = EntryType::ConfChangeV2;
        self.propose_entries(vec![Entry { kind, data: change.to_bytes(), ..Entry::default() }])
    }

    fn propose_entries(&mut self, entries: Vec<Entry>) -> Result<(), Error> {
        self.handle_proposal(self.replica.id(), entries)
    }

    /// A change that came in [`Output::Apply`] takes effect. One that the server has rejected is not
    /// applied at all.
    pub fn apply_conf_change(&mut self, change: &ConfChangeV2) -> Result<ConfState, Error> {
        self.replica.membership = self.replica.membership.changed(change)?;
        self.handle_membership(&change.changes);
        Ok(self.replica.membership.conf_state())
    }

    /// At which index may a read be served that came now? The answer is an [`Output::Read`] with the
    /// same context, or none at all when a leader is lost or unknown: then ask again, with another
    /// context. It must not be empty, nor that of another read in the cluster: leaders before etcd
    /// 3.7 answer only one of them, and none that is empty.
    pub fn read_index(&mut self, context: Bytes) {
        self.handle_read(ReadRequest { from: self.replica.id(), context });
    }

    /// Starts an election without waiting for the timeout. Under lease based reads it has no effect
    /// while there is a leader: that relies on this node to wait.
    pub fn campaign(&mut self) {
        if self.replica.config.read_mode == ReadMode::Safe || !self.is_in_lease() {
            self.handle_timeout();
        }
    }

    /// Wants another voter to lead. Given up after an election timeout.
    pub fn transfer_leader(&mut self, to: MemberId) {
        self.handle_transfer(to);
    }

    /// Votes for others again, as if the leader had not been heard of; without effect on a leader,
    /// and under lease based reads, which rely on that.
    pub fn forget_leader(&mut self) {
        if let Role::Follower(follower) = &mut self.role
            && self.replica.config.read_mode == ReadMode::Safe
        {
            follower.leader = None;
        }
    }

    /// The last message to this member was not delivered.
    pub fn report_unreachable(&mut self, id: MemberId) {
        if let Role::Leader(leader) = &mut self.role {
            leader.handle_unreachable(id);
        }
    }

    /// A snapshot to this member was received, or was not.
    pub fn report_snapshot(&mut self, id: MemberId, received: bool) {
        if let Role::Leader(leader) = &mut self.role {
            leader.handle_snapshot_status(id, received);
        }
    }

    /// The next thing to do. None: nothing until there is new input (or, without asynchronous
    /// storage, until [`advance`](Self::advance)).
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.outputs.is_empty() && self.batch.is_none() {
            self.gather();
        }
        self.outputs.pop_front()
    }

    /// Whether [`poll_output`](Self::poll_output) has something. Entries to apply that storage could
    /// not give are not counted until the next tick, but tried by every poll.
    pub fn has_output(&self) -> bool {
        !self.outputs.is_empty() || self.batch.is_none() && self.has_news()
    }

    /// Without asynchronous storage: all outputs are done; to be called even if there were none,
    /// when [`has_output`](Self::has_output) said that there would be. Without effect if not all
    /// were taken.
    pub fn advance(&mut self) {
        if self.outputs.is_empty()
            && let Some(batch) = self.batch.take()
        {
            self.handle_batch(batch);
        }
    }

    /// With asynchronous storage: a write is durable, and its responses have gone before.
    pub fn handle_persisted(&mut self, ack: &PersistAck) {
        let current = ack.term == self.replica.term;
        let all = self.replica.config.has(Bug::AckOfOneCountsForAll);
        let ack = if all { &PersistAck { last: self.replica.log.unstable_last(), ..*ack } } else { ack };
        if let Some(snapshot) = self.replica.log.handle_persisted(ack, current) {
            self.replica.adopt(&snapshot.conf_state);
        }
    }

    /// With asynchronous storage: entries are applied.
    pub fn handle_applied(&mut self, ack: &ApplyAck) {
        self.replica.log.handle_applied(ack);
        if let Role::Leader(leader) = &mut self.role {
            leader.handle_applied(&mut self.replica, ack);
        }
    }

    pub fn status(&self) -> Status {
        let leader = if let Role::Leader(leader) = &self.role { Some(leader) } else { None };
        Status {
            id: self.replica.id(),
            hard_state: self.replica.hard_state(),
            soft_state: self.soft_state(),
            applied: self.replica.log.applied(),
            last: self.replica.log.last(),
            membership: self.replica.membership.clone(),
            progress: leader.map_or_else(BTreeMap::new, |leader| leader.progress.clone()),
            transferee: leader.and_then(|leader| leader.transferee),
            pending_reads: leader.map_or(0, |leader| leader.pending_reads()),
            uncommitted_bytes: leader.map_or(0, |leader| leader.uncommitted_bytes),
        }
    }

    fn soft_state(&self) -> SoftState {
        SoftState { leader: self.role.leader(self.replica.id()), role: self.role.name() }
    }

    /// Ticks after which an election begins; the next reset draws again. For tests of timing.
    pub const fn set_election_timeout(&mut self, ticks: u32) {
        self.replica.clock.set_timeout(ticks);
    }

    pub const fn storage(&self) -> &S {
        self.replica.log.storage()
    }

    /// Where the driver writes what [`Output::Persist`] holds.
    pub const fn storage_mut(&mut self) -> &mut S {
        self.replica.log.storage_mut()
    }
}

/// Requests, by who could fulfil them.
impl<S: Storage> Node<S> {
    fn handle_transfer(&mut self, to: MemberId) {
        match &mut self.role {
            Role::Follower(Follower { leader: Some(leader) }) => {
                self.replica.forward(to, *leader, Body::TransferLeader);
            }
            Role::Leader(leader) => leader.begin_transfer(&mut self.replica, to),
            Role::Candidate(_) | Role::Follower(_) | Role::PreCandidate(_) => {}
        }
    }

    fn handle_read(&mut self, request: ReadRequest) {
        match &mut self.role {
            Role::Follower(Follower { leader: Some(leader) }) => {
                let ReadRequest { from, context } = request;
                self.replica.forward(from, *leader, Body::ReadIndex { context });
            }
            Role::Leader(leader) => leader.handle_read(&mut self.replica, request),
            Role::Candidate(_) | Role::Follower(_) | Role::PreCandidate(_) => {}
        }
    }
}
