//! Following a leader. Whoever hears of one in its term follows it, so this is for every replica.

use bytes::Bytes;

use crate::raft::Error;
use crate::raft::bug::Bug;
use crate::raft::confchange::Membership;
use crate::raft::index::LogIndex;
use crate::raft::message::{Append, AppendResponse, Body};
use crate::raft::replica::Replica;
use crate::raft::snapshot::{ConfState, Snapshot};
use crate::raft::storage::Storage;
use crate::types::ids::MemberId;

impl<S: Storage> Replica<S> {
    pub(crate) fn handle_append(&mut self, from: MemberId, append: &Append) -> Result<(), Error> {
        let Append { previous, entries, commit } = append;
        if previous.index < self.log.committed() {
            self.accept(from, self.log.committed());
            return Ok(());
        }
        let previous = &self.mistake_append(append)?;
        if let Some(index) = self.log.try_append(*previous, entries, *commit)? {
            self.accept(from, index);
            return Ok(());
        }
        // Of its own entries those of a later term than the leader's cannot match: the leader skips
        // them at once, and by the term in the answer those of its own log that are too new for us.
        let end = previous.index.min(self.log.last().index);
        let (hint, hint_term) = self.log.last_up_to_term(end, previous.term)?;
        let rejected = AppendResponse::Rejected { index: previous.index, hint, hint_term };
        self.send(from, Body::AppendResponse(rejected));
        Ok(())
    }

    pub(crate) fn handle_heartbeat(
        &mut self,
        from: MemberId,
        commit: LogIndex,
        context: Bytes,
    ) -> Result<(), Error> {
        self.log.commit_to(commit)?;
        self.send(from, Body::HeartbeatResponse { context });
        Ok(())
    }

    pub(crate) fn handle_snapshot(&mut self, from: MemberId, snapshot: Box<Snapshot>) -> Result<(), Error> {
        let restored = self.restore(snapshot)?;
        let index = if restored { self.log.last().index } else { self.log.committed() };
        self.accept(from, index);
        Ok(())
    }

    /// Gives whether the log was replaced: it is not when it holds the snapshot's last entry, and
    /// when the snapshot is of a cluster without this node.
    fn restore(&mut self, snapshot: Box<Snapshot>) -> Result<bool, Error> {
        if snapshot.last.index <= self.log.committed() || !snapshot.conf_state.names(self.id()) {
            return Ok(false);
        }
        if snapshot.last.index > LogIndex::PLAUSIBLE_MAX {
            return Err(Error::ImplausibleSnapshot(snapshot.last));
        }
        if self.log.has(snapshot.last)? {
            self.log.commit_to(snapshot.last.index)?;
            return Ok(false);
        }
        Membership::try_from(&snapshot.conf_state)?;
        self.log.restore(snapshot);
        Ok(true)
    }

    /// The membership of a snapshot takes effect with all else that it holds: until it is written,
    /// changes from before it are applied, to the membership from before it.
    pub(crate) fn adopt(&mut self, conf_state: &ConfState) {
        if !self.config.has(Bug::SnapshotForgetsMembers) {
            self.membership = Membership::try_from(conf_state).expect("it was checked when it came");
        }
    }
}
