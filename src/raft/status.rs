//! What a node shows of itself.

use std::collections::BTreeMap;

use super::confchange::Membership;
use super::index::{EntryId, LogIndex};
use super::output::{HardState, SoftState};
use super::progress::Progress;
use crate::types::ids::MemberId;

/// A copy, for metrics and people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub id: MemberId,
    pub hard_state: HardState,
    pub soft_state: SoftState,
    pub applied: LogIndex,
    pub last: EntryId,
    pub membership: Membership,
    /// Of every member, this one included; empty unless this node leads.
    pub progress: BTreeMap<MemberId, Progress>,
    /// The member that shall lead instead.
    pub transferee: Option<MemberId>,
    /// Reads that wait for a quorum, or for the first commit of a new leader.
    pub pending_reads: usize,
    /// Payload bytes of proposals that are not yet applied.
    pub uncommitted_bytes: u64,
}
