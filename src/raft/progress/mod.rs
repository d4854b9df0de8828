//! How far a leader knows each follower to be, and what it may send.
//!
//! ```text
//!             accepted                     entries are gone, follower is active
//!   Probe ──────────────> Replicate ──────────────────────────────> Snapshot
//!     ^  one at a time        │ a window of messages                   │ nothing
//!     └── rejected, unreachable ┘ <── reported, or accepted far enough ─┘
//! ```
//!
//! Invariant 8 of the core: `matched < next`.

mod inflights;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use inflights::Inflights;

use super::index::LogIndex;
use crate::types::ids::MemberId;

/// What is known of one follower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    matched: LogIndex,
    next: LogIndex,
    /// The highest commit index that it was told, as far as it can know what that commits.
    sent_commit: LogIndex,
    state: ProgressState,
    recent_active: bool,
}

/// How a follower is supplied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProgressState {
    /// Where its log ends is a guess: one message, then its answer.
    Probe { paused: bool },
    /// It takes what it is sent: as much as the window holds.
    Replicate { inflights: Inflights, paused: bool },
    /// It is sent this snapshot, and nothing else.
    Snapshot { pending: LogIndex },
}

/// Limits of the window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub messages_max: usize,
    pub bytes_max: u64,
}

/// Members that are gone are forgotten, even if they are back, and new ones tried from the end of the
/// log. A new one counts as active, or it could not be sent a snapshot before it was heard of.
pub fn adjust(
    progress: &mut BTreeMap<MemberId, Progress>,
    members: &BTreeSet<MemberId>,
    removed: &BTreeSet<MemberId>,
    last: LogIndex,
) {
    progress.retain(|id, _| members.contains(id) && !removed.contains(id));
    for id in members {
        progress.entry(*id).or_insert_with(|| Progress::new(last.max(LogIndex(1)), true));
    }
}

impl Progress {
    /// Of a member of which nothing is known but that it is new, or that its leader is.
    #[must_use]
    pub const fn new(next: LogIndex, recent_active: bool) -> Self {
        Self {
            matched: LogIndex::ZERO,
            next,
            sent_commit: LogIndex::ZERO,
            state: ProgressState::Probe { paused: false },
            recent_active,
        }
    }

    /// Up to where its log is known to equal the leader's.
    #[must_use]
    pub const fn matched(&self) -> LogIndex {
        self.matched
    }

    /// The entry to send next.
    #[must_use]
    pub const fn next(&self) -> LogIndex {
        self.next
    }

    #[must_use]
    pub const fn state(&self) -> &ProgressState {
        &self.state
    }

    /// Whether it was heard of since the leader last counted.
    #[must_use]
    pub const fn recent_active(&self) -> bool {
        self.recent_active
    }

    /// Whether nothing may be sent before it answers.
    #[must_use]
    pub const fn is_paused(&self) -> bool {
        match &self.state {
            ProgressState::Probe { paused } | ProgressState::Replicate { paused, .. } => *paused,
            ProgressState::Snapshot { .. } => true,
        }
    }

    /// Messages under way.
    #[must_use]
    pub fn inflight_count(&self) -> usize {
        match &self.state {
            ProgressState::Replicate { inflights, .. } => inflights.count(),
            _ => 0,
        }
    }

    /// Whether only messages without entries may be sent.
    #[must_use]
    pub fn inflight_full(&self) -> bool {
        matches!(&self.state, ProgressState::Replicate { inflights, .. } if inflights.is_full())
    }
}

/// What the leader does and learns.
impl Progress {
    pub(crate) const fn set_recent_active(&mut self, recent_active: bool) {
        self.recent_active = recent_active;
    }

    /// The leader itself, whose log is by definition the right one.
    pub(crate) fn become_own(&mut self, matched: LogIndex, window: Window) {
        self.matched = matched;
        self.recent_active = true;
        self.become_replicate(window);
    }

    /// Where to go on is a guess again; behind a snapshot it is what that brought.
    pub(crate) fn become_probe(&mut self) {
        let known = match self.state {
            ProgressState::Snapshot { pending } => self.matched.max(pending),
            ProgressState::Probe { .. } | ProgressState::Replicate { .. } => self.matched,
        };
        self.state = ProgressState::Probe { paused: false };
        self.next = known.next();
        self.sent_commit = self.sent_commit.min(known);
    }

    pub(crate) fn become_replicate(&mut self, window: Window) {
        self.state = ProgressState::Replicate { inflights: Inflights::new(window), paused: false };
        self.next = self.matched.next();
    }

    pub(crate) fn become_snapshot(&mut self, last: LogIndex) {
        self.state = ProgressState::Snapshot { pending: last };
        self.next = last.next();
        self.sent_commit = last;
    }

    /// The transport says what became of the snapshot. Either way the next message waits: for the
    /// follower's own answer to the snapshot, or, if it did not arrive, for a sign of life.
    pub(crate) fn handle_snapshot_status(&mut self, received: bool) {
        if let ProgressState::Snapshot { pending } = &mut self.state {
            if !received {
                *pending = LogIndex::ZERO;
            }
            self.become_probe();
            self.set_paused(true);
        }
    }

    pub(crate) fn handle_unreachable(&mut self) {
        if matches!(self.state, ProgressState::Replicate { .. }) {
            self.become_probe();
        }
    }

    pub(crate) const fn set_paused(&mut self, pause: bool) {
        match &mut self.state {
            ProgressState::Probe { paused } | ProgressState::Replicate { paused, .. } => *paused = pause,
            ProgressState::Snapshot { .. } => {}
        }
    }

    /// An append with so many entries is on its way. A full window lets messages without entries
    /// pass, one a sign of life: without them it would never open again if all answers were lost.
    pub(crate) fn handle_sent(&mut self, entries: usize, bytes: u64, commit: LogIndex) {
        match &mut self.state {
            ProgressState::Probe { paused } => *paused |= entries > 0,
            ProgressState::Replicate { inflights, paused } => {
                if entries > 0 {
                    self.next = self.next + entries as u64;
                    inflights.add(self.next.previous(), bytes);
                }
                *paused = inflights.is_full();
            }
            ProgressState::Snapshot { .. } => unreachable!("nothing is sent besides a snapshot"),
        }
        self.sent_commit = commit;
    }

    pub(crate) const fn handle_sent_commit(&mut self, commit: LogIndex) {
        self.sent_commit = commit;
    }

    /// Whether to know of this commit index would let the follower commit more.
    pub(crate) fn can_bump_commit(&self, commit: LogIndex) -> bool {
        commit > self.sent_commit && self.sent_commit < self.next.previous()
    }

    /// The follower has everything up to `index`; gives whether that was not known.
    pub(crate) fn handle_accepted(&mut self, index: LogIndex) -> bool {
        if index <= self.matched {
            return false;
        }
        self.matched = index;
        self.next = self.next.max(index.next());
        self.set_paused(false);
        self.assert_order();
        true
    }

    pub(crate) fn free_inflights(&mut self) {
        if let ProgressState::Replicate { inflights, .. } = &mut self.state {
            inflights.free_to(self.matched);
        }
    }

    /// The follower has not the entry at `rejected`; `hint` may match. Gives whether that says where
    /// to go on: an answer to a message sent long ago does not.
    pub(crate) fn handle_rejected(&mut self, rejected: LogIndex, hint: LogIndex) -> bool {
        if matches!(self.state, ProgressState::Replicate { .. }) {
            if rejected <= self.matched {
                return false;
            }
            self.become_probe();
            return true;
        }
        if self.next.previous() != rejected {
            return false;
        }
        self.next = rejected.min(hint.next()).max(self.matched.next());
        self.sent_commit = self.sent_commit.min(self.next.previous());
        self.set_paused(false);
        self.assert_order();
        true
    }

    /// Invariant 8.
    fn assert_order(&self) {
        assert!(self.matched < self.next, "{} is known to match and is sent again", self.next);
    }
}
