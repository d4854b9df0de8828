//! Reads that must see every write that finished before them.

use super::Leader;
use crate::raft::ReadMode;
use crate::raft::bug::Bug;
use crate::raft::index::LogIndex;
use crate::raft::message::Body;
use crate::raft::output::ReadState;
use crate::raft::read_index::ReadRequest;
use crate::raft::replica::Replica;
use crate::raft::storage::Storage;
use crate::types::ids::MemberId;

impl Leader {
    /// Invariant 10: before its first own commit a leader does not know what its predecessors have
    /// committed. Beyond the limit reads are dropped, as they may always be.
    pub(crate) fn handle_read<S: Storage>(&mut self, replica: &mut Replica<S>, request: ReadRequest) {
        if self.pending_reads() >= replica.config.pending_reads_max {
            return;
        }
        if replica.log.committed() < self.first_own && !replica.config.has(Bug::ReadBeforeOwnCommit) {
            self.early_reads.push(request);
            return;
        }
        let index = replica.log.committed();
        let alone = replica.membership.voters.is_only(replica.id());
        if alone || self.has_lease(replica) || replica.config.has(Bug::ReadWithoutRound) {
            answer(replica, index, request);
            return;
        }
        self.reads.wait(request, index);
        self.broadcast_heartbeat(replica);
    }

    pub(super) fn release_early_reads<S: Storage>(&mut self, replica: &mut Replica<S>) {
        if replica.log.committed() >= self.first_own {
            for request in std::mem::take(&mut self.early_reads) {
                self.handle_read(replica, request);
            }
        }
    }

    pub(super) fn handle_echo<S: Storage>(
        &mut self,
        replica: &mut Replica<S>,
        from: MemberId,
        context: &[u8],
    ) {
        if context.is_empty() {
            return;
        }
        self.reads.handle_echo(from, context);
        self.answer_confirmed(replica);
    }

    /// Those that a quorum has confirmed, which may be a smaller one than before.
    pub(super) fn answer_confirmed<S: Storage>(&mut self, replica: &mut Replica<S>) {
        for (index, request) in self.reads.take_confirmed(&replica.membership.voters) {
            answer(replica, index, request);
        }
    }

    fn has_lease<S: Storage>(&self, replica: &Replica<S>) -> bool {
        replica.config.read_mode == ReadMode::LeaseBased
            && (!self.lease_is_void || replica.config.has(Bug::LeaseAfterTransfer))
            && self.reads.has_lease(self.ticks, u64::from(replica.config.election_ticks) / 2)
    }
}

/// To this node's own driver, or to the member that forwarded it.
fn answer<S: Storage>(replica: &mut Replica<S>, index: LogIndex, request: ReadRequest) {
    let ReadRequest { from, context } = request;
    if from == replica.id() {
        replica.outbox.reads.push_back(ReadState { index, context });
    } else {
        replica.send(from, Body::ReadIndexResponse { index, context });
    }
}
