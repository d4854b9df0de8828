//! How a node behaves.

#[cfg(feature = "raft-bugs")]
use super::bug::Bug;
use super::error::Error;
use super::index::LogIndex;
use crate::types::ids::MemberId;

/// The defaults of [`Config::new`] are those that etcd runs with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub id: MemberId,
    /// Ticks without a leader until an election, at least; up to twice as many, by chance.
    pub election_ticks: u32,
    /// Ticks between a leader's heartbeats.
    pub heartbeat_ticks: u32,
    /// Up to where the state machine has applied the log already.
    pub applied: LogIndex,
    /// Persist and apply are acknowledged one by one, and several may be under way.
    pub asynchronous_storage: bool,
    /// Encoded bytes of entries in one append message; one entry may always go.
    pub message_bytes_max: u64,
    /// Encoded bytes of committed entries that are handed out and not yet acknowledged.
    pub applying_bytes_max: u64,
    /// Payload bytes of proposals that are not yet applied; beyond it proposals are dropped.
    pub uncommitted_bytes_max: u64,
    /// Append messages under way to one follower.
    pub inflight_messages_max: usize,
    /// Payload bytes in the append messages under way to one follower.
    pub inflight_bytes_max: u64,
    /// A leader that hears from no quorum steps down, and nobody votes who hears from a leader.
    pub check_quorum: bool,
    /// Ask whether an election can be won before disturbing anybody by it.
    pub pre_vote: bool,
    pub read_mode: ReadMode,
    /// A follower drops proposals instead of forwarding them.
    pub proposal_forwarding: bool,
    /// The leader refuses configuration changes that are illegal, or come before another is applied.
    pub conf_change_validation: bool,
    /// A leader steps down when a change that removes or demotes it is applied.
    pub step_down_on_removal: bool,
    /// Reads that wait for the leader's first commit or for a quorum; beyond it they are dropped.
    pub pending_reads_max: usize,
    /// Behaves wrongly in this way, for a test.
    #[cfg(feature = "raft-bugs")]
    pub bug: Option<Bug>,
}

/// How a leader makes sure that it still leads before a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReadMode {
    /// By clocks: within an election timeout of a quorum's answers. Needs `check_quorum`.
    LeaseBased,
    /// By a round of heartbeats.
    Safe,
}

impl Config {
    /// What etcd runs with: a heartbeat every tick of 100 ms, an election after 1 s.
    #[must_use]
    pub const fn new(id: MemberId) -> Self {
        Self {
            id,
            election_ticks: 10,
            heartbeat_ticks: 1,
            applied: LogIndex::ZERO,
            asynchronous_storage: false,
            message_bytes_max: 1 << 20,
            applying_bytes_max: 1 << 20,
            uncommitted_bytes_max: NO_LIMIT,
            inflight_messages_max: 512,
            inflight_bytes_max: NO_LIMIT,
            check_quorum: true,
            pre_vote: true,
            read_mode: ReadMode::Safe,
            proposal_forwarding: true,
            conf_change_validation: true,
            step_down_on_removal: false,
            pending_reads_max: 65_536,
            #[cfg(feature = "raft-bugs")]
            bug: None,
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let rules = [
            (self.id.0 != 0, "the id must not be 0"),
            (self.id.0 < RESERVED_IDS_FROM, "the id is reserved for storage threads"),
            (self.heartbeat_ticks > 0, "the heartbeat interval must be positive"),
            (
                self.election_ticks > self.heartbeat_ticks,
                "the election timeout must be longer than the heartbeat interval",
            ),
            (self.election_ticks <= u32::MAX / 2, "twice the election timeout must be a number of ticks"),
            (self.inflight_messages_max > 0, "messages in flight must be positive"),
            (self.applying_bytes_max > 0, "the size of entries handed out must be positive"),
            (
                self.inflight_bytes_max >= self.message_bytes_max,
                "bytes in flight must not be fewer than those of one message",
            ),
            (
                self.check_quorum || self.read_mode == ReadMode::Safe,
                "lease based reads need the quorum to be checked",
            ),
        ];
        rules.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, why)| Err(Error::Config(why)))
    }
}

/// For the sizes of [`Config`].
pub const NO_LIMIT: u64 = u64::MAX;

/// etcd names its storage threads by the two highest ids.
const RESERVED_IDS_FROM: u64 = u64::MAX - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_etcd_runs_with_is_allowed() {
        assert_eq!(Config::new(MemberId(1)).check(), Ok(()));
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let valid = Config::new(MemberId(1));
        for broken in [
            Config { id: MemberId(0), ..valid.clone() },
            Config { id: MemberId(u64::MAX - 1), ..valid.clone() },
            Config { heartbeat_ticks: 0, ..valid.clone() },
            Config { election_ticks: 1, ..valid.clone() },
            Config { election_ticks: u32::MAX, ..valid.clone() },
            Config { inflight_messages_max: 0, ..valid.clone() },
            Config { inflight_bytes_max: 1, ..valid.clone() },
            Config { applying_bytes_max: 0, ..valid.clone() },
            Config { check_quorum: false, read_mode: ReadMode::LeaseBased, ..valid },
        ] {
            assert!(matches!(broken.check(), Err(Error::Config(_))), "{broken:?}");
        }
    }
}
