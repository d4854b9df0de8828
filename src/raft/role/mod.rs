//! What a node is, each role with only what it alone has.
//!
//! ```text
//!              timeout                quorum says yes              quorum votes
//!   Follower ──────────> PreCandidate ───────────────> Candidate ───────────────> Leader
//!      ^  ^                   │ quorum says no,            │ quorum says no,         │
//!      │  └───────────────────┘ a leader, a higher term    │ a leader, a higher term │
//!      └───────────────────────────────────────────────────┴── a higher term, no quorum, removed
//! ```
//!
//! Without pre-votes a timeout leads to [`Candidate`] at once, and so does a handover.

mod candidate;
mod follower;
pub(crate) mod leader;

pub(crate) use candidate::{Campaign, Candidate, Verdict};
pub(crate) use leader::Leader;

use super::output::RoleName;
use crate::types::ids::MemberId;

#[derive(Debug)]
pub(crate) enum Role {
    Follower(Follower),
    PreCandidate(Candidate),
    Candidate(Candidate),
    Leader(Box<Leader>),
}

#[derive(Debug)]
pub(crate) struct Follower {
    /// Heard of in this term, and not forgotten since.
    pub leader: Option<MemberId>,
}

impl Role {
    pub(crate) const fn name(&self) -> RoleName {
        match self {
            Self::Follower(_) => RoleName::Follower,
            Self::PreCandidate(_) => RoleName::PreCandidate,
            Self::Candidate(_) => RoleName::Candidate,
            Self::Leader(_) => RoleName::Leader,
        }
    }

    pub(crate) const fn leader(&self, own: MemberId) -> Option<MemberId> {
        match self {
            Self::Follower(follower) => follower.leader,
            Self::PreCandidate(_) | Self::Candidate(_) => None,
            Self::Leader(_) => Some(own),
        }
    }
}
