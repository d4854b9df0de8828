//! What followers answer.

use super::Leader;
use crate::raft::bug::Bug;
use crate::raft::confchange::Membership;
use crate::raft::index::LogIndex;
use crate::raft::message::AppendResponse;
use crate::raft::progress::{Progress, ProgressState};
use crate::raft::replica::Replica;
use crate::raft::storage::Storage;
use crate::types::ids::{MemberId, Term};

impl Leader {
    pub(crate) fn handle_append_response<S: Storage>(
        &mut self,
        replica: &mut Replica<S>,
        from: MemberId,
        response: AppendResponse,
    ) {
        let Some(progress) = self.progress.get_mut(&from) else { return };
        progress.set_recent_active(true);
        match response {
            AppendResponse::Accepted { index } if index <= replica.log.last().index => {
                self.handle_accepted(replica, from, index);
            }
            // No follower of this leader can have what the leader has not.
            AppendResponse::Accepted { .. } => {}
            AppendResponse::Rejected { index, hint, hint_term } => {
                self.handle_rejected(replica, from, index, (hint, hint_term));
            }
        }
    }

    fn handle_accepted<S: Storage>(&mut self, replica: &mut Replica<S>, from: MemberId, index: LogIndex) {
        let Some(progress) = self.progress.get_mut(&from) else { return };
        let news = progress.handle_accepted(index);
        let guessed_right =
            progress.matched() == index && matches!(progress.state(), ProgressState::Probe { .. });
        if !news && !guessed_right {
            return;
        }
        match progress.state() {
            ProgressState::Probe { .. } => progress.become_replicate(replica.window()),
            ProgressState::Replicate { .. } => progress.free_inflights(),
            // From there on the log has what it needs, whatever became of the snapshot.
            ProgressState::Snapshot { .. } if index.next() >= replica.log.first_index() => {
                progress.become_probe();
                progress.become_replicate(replica.window());
            }
            ProgressState::Snapshot { .. } => {}
        }
        let news = self.commit_counted(replica);
        if news {
            self.release_early_reads(replica);
            self.broadcast_append(replica);
        }
        let Some(progress) = self.progress.get_mut(&from).filter(|_| from != replica.id()) else { return };
        if !news && progress.can_bump_commit(replica.log.committed()) {
            replica.send_append(from, progress, true);
        }
        // It may have room for more than one message.
        while replica.send_append(from, progress, false) {}
        if self.transferee == Some(from) && progress.matched() == replica.log.last().index {
            self.hand_over(replica, from);
        }
    }

    /// Both logs may hold long runs of terms that the other has not. The follower has skipped its
    /// own entries that are too new, the leader skips here its own that are too new for the follower.
    fn handle_rejected<S: Storage>(
        &mut self,
        replica: &mut Replica<S>,
        from: MemberId,
        rejected: LogIndex,
        (hint, hint_term): (LogIndex, Option<Term>),
    ) {
        let hint = match hint_term {
            None => hint,
            Some(term) => replica.log.last_up_to_term(hint, term).map_or(hint, |(index, _)| index),
        };
        let Some(progress) = self.progress.get_mut(&from) else { return };
        if progress.handle_rejected(rejected, hint) {
            replica.send_append(from, progress, true);
        }
    }

    /// Invariant 5: commits what a quorum has, if it is of this term. Gives whether that is news.
    pub(super) fn commit_counted<S: Storage>(&mut self, replica: &mut Replica<S>) -> bool {
        let matched = |id| self.progress.get(&id).map(Progress::matched);
        let Membership { voters, learners, .. } = &replica.membership;
        let voters = if replica.config.has(Bug::JointHalfCommits) { &voters.incoming_only() } else { voters };
        let voters = if replica.config.has(Bug::LearnerCounts) { &voters.with(learners) } else { voters };
        let counts = |index| index >= self.first_own || replica.config.has(Bug::CommitsEarlierTerm);
        voters.reached(matched).is_some_and(|index| {
            counts(index) && replica.log.commit_to(index).expect("members match no more than the log holds")
        })
    }

    pub(crate) fn handle_heartbeat_response<S: Storage>(
        &mut self,
        replica: &mut Replica<S>,
        from: MemberId,
        context: &[u8],
    ) {
        let Some(progress) = self.progress.get_mut(&from) else { return };
        progress.set_recent_active(true);
        if !replica.config.has(Bug::ProbeNeverResumes) {
            progress.set_paused(false);
        }
        let probed = matches!(progress.state(), ProgressState::Probe { .. });
        if probed || progress.matched() < replica.log.last().index {
            replica.send_append(from, progress, true);
        }
        self.handle_echo(replica, from, context);
    }
}
