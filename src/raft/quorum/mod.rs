//! What enough members agree on.
//!
//! Knows members only by their ids and asks its caller what each of them has said.
//!
//! Invariant: any two quorums of one configuration share a member, and so do a quorum of a joint
//! configuration and one of either half.

mod joint;
mod majority;
#[cfg(test)]
mod tests;

pub use joint::Joint;
pub use majority::Majority;

/// How a ballot stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoteResult {
    /// So many said no that it can't be won any more.
    Lost,
    Pending,
    Won,
}
