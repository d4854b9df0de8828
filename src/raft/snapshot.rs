//! The state that stands for a prefix of the log.

use bytes::Bytes;

use super::index::EntryId;
use crate::types::ids::MemberId;

/// The state machine after the entry `last`, with the membership that was in effect then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Opaque to the core.
    pub data: Bytes,
    pub conf_state: ConfState,
    /// The last entry that the snapshot stands for.
    pub last: EntryId,
}

/// A membership as it is stored and sent; [`Membership`](super::confchange::Membership) is its
/// checked form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfState {
    pub voters: Vec<MemberId>,
    pub learners: Vec<MemberId>,
    /// Voters of the configuration that a joint one leaves; empty outside of one.
    pub voters_outgoing: Vec<MemberId>,
    /// They become learners when the joint configuration is left.
    pub learners_next: Vec<MemberId>,
    /// The leader leaves the joint configuration by itself.
    pub auto_leave: bool,
}

impl ConfState {
    /// Whether it is a voter of either half or a learner.
    #[must_use]
    pub fn names(&self, id: MemberId) -> bool {
        let Self { voters, learners, voters_outgoing, learners_next: _, auto_leave: _ } = self;
        [voters, learners, voters_outgoing].into_iter().any(|ids| ids.contains(&id))
    }
}
