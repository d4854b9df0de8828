//! New entries.

use super::Leader;
use crate::raft::Error;
use crate::raft::bug::Bug;
use crate::raft::entry::{Entry, EntryType, payload_bytes};
use crate::raft::error::DropReason;
use crate::raft::index::LogIndex;
use crate::raft::output::ApplyAck;
use crate::raft::replica::Replica;
use crate::raft::storage::Storage;

impl Leader {
    /// Puts the entries into the log and sends them. An illegal configuration change becomes an
    /// empty entry, so that those around it keep their places.
    pub(crate) fn propose<S: Storage>(
        &mut self,
        replica: &mut Replica<S>,
        mut entries: Vec<Entry>,
    ) -> Result<(), Error> {
        if !self.progress.contains_key(&replica.id()) {
            return Err(Error::ProposalDropped(DropReason::Removed));
        }
        if self.transferee.is_some() {
            return Err(Error::ProposalDropped(DropReason::Transferring));
        }
        let pending_before = self.pending_conf_index;
        for (index, entry) in (replica.log.last().index.next().0..).map(LogIndex).zip(&mut entries) {
            if entry.kind == EntryType::Normal {
                continue;
            }
            if self.may_change(replica, entry) {
                self.pending_conf_index = index;
            } else {
                *entry = Entry::default();
            }
        }
        let bytes = payload_bytes(&entries);
        let uncommitted = self.uncommitted_bytes.saturating_add(bytes);
        if self.uncommitted_bytes > 0 && bytes > 0 && uncommitted > replica.config.uncommitted_bytes_max {
            self.pending_conf_index = pending_before;
            return Err(Error::ProposalDropped(DropReason::TooMuchUncommitted));
        }
        self.append(replica, entries);
        self.broadcast_append(replica);
        Ok(())
    }

    /// Invariant 9: one change at a time, and out of a joint configuration before the next.
    fn may_change<S: Storage>(&self, replica: &Replica<S>, entry: &Entry) -> bool {
        let Ok(Some(change)) = entry.conf_change() else { return false };
        let applied =
            self.pending_conf_index <= replica.log.applied() || replica.config.has(Bug::DoubleConfChange);
        let joint = replica.membership.is_joint();
        applied && joint == change.changes.is_empty() || !replica.config.conf_change_validation
    }

    /// Invariant 3: behind all that is there. The own log is counted when it says that it is durable.
    pub(super) fn append<S: Storage>(&mut self, replica: &mut Replica<S>, mut entries: Vec<Entry>) {
        self.uncommitted_bytes += payload_bytes(&entries);
        let overwrites = replica.config.has(Bug::LeaderOverwrites);
        let last = if overwrites { replica.log.committed() } else { replica.log.last().index };
        for (index, entry) in (last.next().0..).map(LogIndex).zip(&mut entries) {
            (entry.term, entry.index) = (replica.term, index);
        }
        let behind = entries.first().is_none_or(|first| first.index > last);
        assert!(behind, "a leader would replace its own entries");
        replica.log.append(&entries);
        replica.accept(replica.id(), replica.log.last().index);
    }

    /// Less is uncommitted, and a joint configuration may be over.
    pub(crate) fn handle_applied<S: Storage>(&mut self, replica: &mut Replica<S>, ack: &ApplyAck) {
        self.uncommitted_bytes = self.uncommitted_bytes.saturating_sub(ack.payload_bytes);
        if replica.membership.auto_leave && replica.log.applied() >= self.pending_conf_index {
            self.leave_joint(replica);
        }
    }

    /// The empty payload that says so is never too large. While a handover is under way it is
    /// dropped, and tried again when more is applied.
    fn leave_joint<S: Storage>(&mut self, replica: &mut Replica<S>) {
        let leave = Entry { kind: EntryType::ConfChangeV2, ..Entry::default() };
        // The successor leaves it if this one can't.
        drop(self.propose(replica, vec![leave]));
    }
}
