//! What goes to followers.

use super::Leader;
use crate::raft::bug::Bug;
use crate::raft::entry::{Entry, payload_bytes};
use crate::raft::index::{EntryId, LogIndex};
use crate::raft::message::{Append, Body};
use crate::raft::progress::Progress;
use crate::raft::replica::Replica;
use crate::raft::storage::{Storage, StorageError};
use crate::types::ids::MemberId;

impl Leader {
    pub(crate) fn broadcast_append<S: Storage>(&mut self, replica: &mut Replica<S>) {
        for (id, progress) in self.followers(replica.id()) {
            replica.send_append(id, progress, true);
        }
    }

    /// Invariant 8: a follower would stop for ever at a commit index behind its log.
    pub(super) fn broadcast_heartbeat<S: Storage>(&mut self, replica: &mut Replica<S>) {
        let context = self.reads.begin_round(self.ticks, u64::from(replica.config.election_ticks));
        for (id, progress) in self.followers(replica.id()) {
            let commit = progress.matched().min(replica.log.committed());
            let unclamped = replica.config.has(Bug::HeartbeatCommitsUnmatched);
            let commit = if unclamped { replica.log.committed() } else { commit };
            progress.handle_sent_commit(commit);
            replica.send(id, Body::Heartbeat { commit, context: context.clone() });
        }
    }
}

impl<S: Storage> Replica<S> {
    /// The next entries for a follower, or none just to tell how far the leader has committed if
    /// `even_empty`. Gives whether anything was sent.
    pub(super) fn send_append(&mut self, to: MemberId, progress: &mut Progress, even_empty: bool) -> bool {
        if progress.is_paused() {
            return false;
        }
        let (previous, entries) = match self.next_append(progress) {
            Ok(append) => append,
            // It is asked for again with the follower's next answer to a heartbeat.
            Err(StorageError::TemporarilyUnavailable) => return false,
            Err(StorageError::Compacted | StorageError::Unavailable) => {
                return self.send_snapshot(to, progress);
            }
        };
        if entries.is_empty() && !even_empty {
            return false;
        }
        let commit = self.log.committed();
        progress.handle_sent(entries.len(), payload_bytes(&entries), commit);
        self.send(to, Body::Append(Append { previous, entries, commit }));
        true
    }

    fn next_append(&self, progress: &Progress) -> Result<(EntryId, Vec<Entry>), StorageError> {
        let index = progress.next().previous();
        let term = self.log.term(index)?;
        let entries = if progress.inflight_full() {
            Vec::new()
        } else {
            self.log.entries_from(progress.next(), self.config.message_bytes_max)?
        };
        Ok((EntryId { term, index }, entries))
    }

    /// What the follower needs is compacted. One that does not answer would not take it.
    fn send_snapshot(&mut self, to: MemberId, progress: &mut Progress) -> bool {
        if !progress.recent_active() {
            return false;
        }
        let Ok(snapshot) = self.log.snapshot() else { return false };
        // One from before the member was added would be refused: there will be a later one.
        if snapshot.last.index == LogIndex::ZERO || !snapshot.conf_state.names(to) {
            return false;
        }
        progress.become_snapshot(snapshot.last.index);
        self.send(to, Body::Snapshot(Box::new(snapshot)));
        true
    }
}
