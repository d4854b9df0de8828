//! Two sets of members that both have to agree while one replaces the other.

use super::{Majority, VoteResult};
use crate::types::ids::MemberId;

/// Outside of a change of several voters `outgoing` is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Joint {
    pub incoming: Majority,
    pub outgoing: Majority,
}

impl Joint {
    /// The highest value that quorums of both halves have reached; none if both are empty.
    pub fn reached<T: Copy + Default + Ord>(&self, of: impl Fn(MemberId) -> Option<T>) -> Option<T> {
        match (self.incoming.reached(&of), self.outgoing.reached(&of)) {
            (Some(incoming), Some(outgoing)) => Some(incoming.min(outgoing)),
            (incoming, outgoing) => incoming.or(outgoing),
        }
    }

    pub fn vote_result(&self, of: impl Fn(MemberId) -> Option<bool>) -> VoteResult {
        match (self.incoming.vote_result(&of), self.outgoing.vote_result(&of)) {
            (VoteResult::Lost, _) | (_, VoteResult::Lost) => VoteResult::Lost,
            (VoteResult::Won, VoteResult::Won) => VoteResult::Won,
            _ => VoteResult::Pending,
        }
    }

    #[must_use]
    pub fn contains(&self, id: MemberId) -> bool {
        self.incoming.contains(id) || self.outgoing.contains(id)
    }

    /// Each voter of either half once, by id.
    #[must_use]
    pub fn ids(&self) -> Vec<MemberId> {
        let mut ids: Vec<MemberId> = self.incoming.iter().chain(self.outgoing.iter()).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Whether this member decides alone.
    #[must_use]
    pub fn is_only(&self, id: MemberId) -> bool {
        self.incoming.is_only(id) && (self.outgoing.is_empty() || self.outgoing.is_only(id))
    }
}
