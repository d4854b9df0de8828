//! Another membership has taken effect.

use super::Leader;
use crate::raft::confchange::ConfChangeSingle;
use crate::raft::progress::adjust;
use crate::raft::replica::Replica;
use crate::raft::storage::Storage;

impl Leader {
    /// Whether this node itself still counts, the caller has seen to.
    pub(crate) fn handle_membership<S: Storage>(
        &mut self,
        replica: &mut Replica<S>,
        changes: &[ConfChangeSingle],
    ) {
        let membership = &replica.membership;
        let removed = membership.removed_by(changes);
        adjust(&mut self.progress, &membership.ids(), &removed, replica.log.last().index);
        self.answer_confirmed(replica);
        if self.transferee.is_some_and(|to| !replica.membership.voters.contains(to)) {
            self.transferee = None;
        }
    }

    /// A smaller quorum may have been reached already; new members start to catch up.
    pub(crate) fn supply_all<S: Storage>(&mut self, replica: &mut Replica<S>) {
        if self.commit_counted(replica) {
            self.release_early_reads(replica);
            self.broadcast_append(replica);
            return;
        }
        for (id, progress) in self.followers(replica.id()) {
            replica.send_append(id, progress, false);
        }
    }
}
