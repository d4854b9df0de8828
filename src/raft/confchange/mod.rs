//! Who the members are, and how that changes.
//!
//! ```text
//!   simple ──── one voter at most, any learners ────> simple
//!      │                                                ^
//!      └─ enter ─> joint (incoming && outgoing) ─ leave ┘
//! ```
//!
//! A change is an entry of the log and takes effect when it is applied. [`Membership`] is a value:
//! a change gives another one or says why it is illegal.
//!
//! Invariants: learners are no voters of either half; who becomes a learner later (`learners_next`)
//! is a voter of the outgoing half; outside of a joint configuration the outgoing half and
//! `learners_next` are empty and nothing is left automatically; some voter remains.

mod change;
mod membership;
#[cfg(test)]
mod tests;

pub use change::{ConfChange, ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2};
pub use membership::Membership;

/// Why a change is illegal; the texts are etcd's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfChangeError {
    #[error("config is already joint")]
    AlreadyJoint,
    /// A membership that breaks the rules of this folder, from a disk or another member.
    #[error("invalid config")]
    Invalid,
    #[error("more than one voter changed without entering joint config")]
    ManyVoters,
    #[error("can't make a zero-voter config joint")]
    NoVoters,
    #[error("can't leave a non-joint config")]
    NotJoint,
    #[error("removed all voters")]
    RemovedAllVoters,
    #[error("can't apply simple config change in joint config")]
    SimpleWhileJoint,
}
