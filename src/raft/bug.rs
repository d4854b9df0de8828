//! Known bugs, to prove that the simulator would find them.
//!
//! Each has one seam, a condition with [`Config::has`]. Without the feature `raft-bugs`, and in any
//! optimised build, that is the constant `false`.

use std::collections::BTreeSet;

use super::config::Config;
use super::error::Error;
use super::index::EntryId;
use super::message::Append;
use super::quorum::{Joint, Majority};
use super::replica::Replica;
use super::storage::Storage;
use crate::types::ids::MemberId;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Entries are accepted before they are durable.
    AcceptsBeforeSync,
    /// When one write is durable, those after it are taken to be as well.
    AckOfOneCountsForAll,
    /// A leader counts who has an entry of an earlier term (Raft paper, figure 8).
    CommitsEarlierTerm,
    /// A follower takes the leader's commit index before it knows whether its log matches.
    CommitsUnmatched,
    /// Changes of the membership do not wait for each other.
    DoubleConfChange,
    /// A member votes for several candidates in one term.
    DoubleVote,
    /// The same, but only in a joint configuration: once for each half, as it were.
    DoubleVoteInJoint,
    /// A heartbeat's commit index may be beyond what the follower is known to hold.
    HeartbeatCommitsUnmatched,
    /// A follower appends behind whatever it has at that place.
    IgnoresTermOfPrevious,
    /// The new half of a joint configuration commits alone.
    JointHalfCommits,
    /// The new half of a joint configuration elects alone.
    JointHalfElects,
    /// A leader puts its entries in the place of those that it does not know to be committed.
    LeaderOverwrites,
    /// A candidate leads although it could forget that it voted for itself.
    LeadsBeforeVoteIsDurable,
    /// A leader counts learners among those who have an entry.
    LearnerCounts,
    /// The lease is relied on when a successor was told to ignore it.
    LeaseAfterTransfer,
    /// A leader takes over a later term and goes on leading.
    NoStepDown,
    /// A follower whose one message was lost is never tried again.
    ProbeNeverResumes,
    /// A new leader answers reads although its predecessor may have committed more.
    ReadBeforeOwnCommit,
    /// A leader answers reads without asking whether it still leads.
    ReadWithoutRound,
    /// The members that come with a snapshot are ignored.
    SnapshotForgetsMembers,
    /// A candidate is voted for that has less than the voter.
    StaleLogWins,
    /// Entries behind those of an append are cut off even if nothing conflicts.
    TruncatesWithoutConflict,
    /// Votes are given before they are durable.
    VotesBeforeSync,
    /// Votes are never written.
    VoteIsForgotten,
}

#[cfg(feature = "raft-bugs")]
impl Bug {
    pub const ALL: [Self; 24] = [
        Self::AcceptsBeforeSync,
        Self::AckOfOneCountsForAll,
        Self::CommitsEarlierTerm,
        Self::CommitsUnmatched,
        Self::DoubleConfChange,
        Self::DoubleVote,
        Self::DoubleVoteInJoint,
        Self::HeartbeatCommitsUnmatched,
        Self::IgnoresTermOfPrevious,
        Self::JointHalfCommits,
        Self::JointHalfElects,
        Self::LeaderOverwrites,
        Self::LeadsBeforeVoteIsDurable,
        Self::LearnerCounts,
        Self::LeaseAfterTransfer,
        Self::NoStepDown,
        Self::ProbeNeverResumes,
        Self::ReadBeforeOwnCommit,
        Self::ReadWithoutRound,
        Self::SnapshotForgetsMembers,
        Self::StaleLogWins,
        Self::TruncatesWithoutConflict,
        Self::VotesBeforeSync,
        Self::VoteIsForgotten,
    ];
}

impl Config {
    #[cfg(feature = "raft-bugs")]
    pub(crate) fn has(&self, bug: Bug) -> bool {
        cfg!(debug_assertions) && self.bug == Some(bug)
    }

    #[cfg(not(feature = "raft-bugs"))]
    pub(crate) const fn has(&self, _: Bug) -> bool {
        false
    }
}

impl Joint {
    pub(crate) fn incoming_only(&self) -> Self {
        Self { incoming: self.incoming.clone(), outgoing: Majority::default() }
    }

    pub(crate) fn with(&self, learners: &BTreeSet<MemberId>) -> Self {
        let mut all = self.clone();
        learners.iter().for_each(|id| all.incoming.insert(*id));
        all
    }
}

impl<S: Storage> Replica<S> {
    /// What a follower does wrong with an append before it looks whether it fits, and which entry it takes the new ones
    /// to follow.
    pub(crate) fn mistake_append(&mut self, append: &Append) -> Result<EntryId, Error> {
        let Append { previous, entries, commit } = append;
        let mut previous = *previous;
        if self.config.has(Bug::TruncatesWithoutConflict) && self.log.has(previous)? {
            self.log.append(entries);
        }
        if self.config.has(Bug::CommitsUnmatched) {
            self.log.commit_to(self.log.last().index.min(*commit))?;
        }
        if self.config.has(Bug::IgnoresTermOfPrevious) {
            previous.term = self.log.term(previous.index).unwrap_or(previous.term);
        }
        Ok(previous)
    }
}
