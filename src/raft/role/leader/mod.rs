//! Leading: followers are supplied, counted and, if need be, one of them made the successor.
//!
//! Invariant 5: entries of earlier terms are committed by one of the own term behind them, never by
//! counting who has them.

mod membership;
mod propose;
mod reads;
mod replicate;
mod respond;

use std::collections::BTreeMap;

use crate::raft::index::LogIndex;
use crate::raft::message::Body;
use crate::raft::progress::Progress;
use crate::raft::quorum::VoteResult;
use crate::raft::read_index::{ReadIndex, ReadRequest};
use crate::raft::replica::Replica;
use crate::raft::storage::Storage;
use crate::raft::{Entry, ReadMode};
use crate::types::ids::MemberId;

#[derive(Debug)]
pub(crate) struct Leader {
    /// Of every member, this one included.
    pub(crate) progress: BTreeMap<MemberId, Progress>,
    /// The member that shall lead in place of this one.
    pub(crate) transferee: Option<MemberId>,
    /// A handover was begun in this term, which lets others be elected within the lease.
    lease_is_void: bool,
    heartbeat_elapsed: u32,
    /// Since this node leads.
    ticks: u64,
    /// The empty entry by which the term began: what is committed from there on is of this term.
    first_own: LogIndex,
    /// No configuration change behind it is in the log.
    pending_conf_index: LogIndex,
    pub(crate) uncommitted_bytes: u64,
    reads: ReadIndex,
    /// Reads from before the first commit of the term.
    early_reads: Vec<ReadRequest>,
}

impl Leader {
    /// The term begins with an empty entry, which is sent with the first appends.
    pub(crate) fn begin<S: Storage>(replica: &mut Replica<S>) -> Self {
        assert_eq!(replica.vote, Some(replica.id()), "who leads a term has voted for itself in it");
        let last = replica.log.last().index;
        let mut progress: BTreeMap<MemberId, Progress> =
            replica.membership.ids().into_iter().map(|id| (id, Progress::new(last.next(), false))).collect();
        if let Some(own) = progress.get_mut(&replica.id()) {
            own.become_own(last, replica.window());
        }
        let leases = replica.config.read_mode == ReadMode::LeaseBased;
        let mut leader = Self {
            progress,
            transferee: None,
            lease_is_void: false,
            heartbeat_elapsed: 0,
            ticks: 0,
            first_own: last.next(),
            // There may be one that is not applied yet: this is the safe assumption.
            pending_conf_index: last,
            uncommitted_bytes: 0,
            reads: ReadIndex::new(replica.id(), leases),
            early_reads: Vec::new(),
        };
        leader.append(replica, vec![Entry::default()]);
        leader
    }

    /// Gives whether it still leads: not without a quorum that answers.
    pub(crate) fn tick<S: Storage>(&mut self, replica: &mut Replica<S>) -> bool {
        self.ticks += 1;
        self.heartbeat_elapsed += 1;
        replica.clock.tick();
        if replica.clock.is_past_minimum() {
            replica.clock.restart();
            if replica.config.check_quorum && !self.count_active(replica) {
                return false;
            }
            self.transferee = None;
        }
        if self.heartbeat_elapsed >= replica.config.heartbeat_ticks {
            self.heartbeat_elapsed = 0;
            self.broadcast_heartbeat(replica);
        }
        true
    }

    /// Whether a quorum was heard of since it was last asked.
    fn count_active<S: Storage>(&mut self, replica: &Replica<S>) -> bool {
        let active = |id| Some(self.progress.get(&id).is_some_and(Progress::recent_active));
        let result = replica.membership.voters.vote_result(active);
        for (id, progress) in &mut self.progress {
            if *id != replica.id() {
                progress.set_recent_active(false);
            }
        }
        result == VoteResult::Won
    }

    /// Hands over to this voter as soon as it has the whole log.
    pub(crate) fn begin_transfer<S: Storage>(&mut self, replica: &mut Replica<S>, to: MemberId) {
        let Some(progress) = self.progress.get_mut(&to) else { return };
        if self.transferee == Some(to) || replica.membership.learners.contains(&to) {
            return;
        }
        self.transferee = None;
        if to == replica.id() {
            return;
        }
        replica.clock.restart();
        self.transferee = Some(to);
        if progress.matched() == replica.log.last().index {
            self.hand_over(replica, to);
        } else {
            replica.send_append(to, progress, true);
        }
    }

    fn hand_over<S: Storage>(&mut self, replica: &mut Replica<S>, to: MemberId) {
        self.lease_is_void = true;
        replica.send(to, Body::TimeoutNow);
    }

    pub(crate) fn handle_unreachable(&mut self, id: MemberId) {
        if let Some(progress) = self.progress.get_mut(&id) {
            progress.handle_unreachable();
        }
    }

    pub(crate) fn handle_snapshot_status(&mut self, id: MemberId, received: bool) {
        if let Some(progress) = self.progress.get_mut(&id) {
            progress.handle_snapshot_status(received);
        }
    }

    pub(crate) fn pending_reads(&self) -> usize {
        self.early_reads.len() + self.reads.waiting_count()
    }

    /// Every follower, with what is known of it.
    fn followers(&mut self, own: MemberId) -> impl Iterator<Item = (MemberId, &mut Progress)> {
        self.progress.iter_mut().map(|(id, progress)| (*id, progress)).filter(move |(id, _)| *id != own)
    }
}
