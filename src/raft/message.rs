//! What members tell each other.
//!
//! Names and meanings are etcd's. What etcd does by messages to itself (an election's trigger,
//! reports of the transport, acks of the disk) are methods of [`Node`](super::Node) here.

use bytes::Bytes;

use super::entry::Entry;
use super::index::{EntryId, LogIndex};
use super::snapshot::Snapshot;
use crate::types::ids::{MemberId, Term};

/// A message on its way between two members, or from a node to itself by way of its disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The sender. Of a forwarded message the one who asked first, and of
    /// [`Body::TransferLeader`] the member that shall lead.
    pub from: MemberId,
    pub to: MemberId,
    /// The sender's term, with the exceptions of [`Body::Propose`] and [`Body::ReadIndex`] (0, as
    /// they belong to no term) and of pre-votes (the term that the candidate would have).
    pub term: Term,
    pub body: Body,
}

impl Message {
    #[must_use]
    pub const fn kind(&self) -> MessageType {
        self.body.kind()
    }
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Leader to all: entries that follow one, and how far the leader has committed.
    Append(Append),
    AppendResponse(AppendResponse),
    /// Leader to all: `commit` is never above what the receiver is known to hold.
    Heartbeat {
        commit: LogIndex,
        context: Bytes,
    },
    /// The heartbeat's context, byte for byte.
    HeartbeatResponse {
        context: Bytes,
    },
    /// To the leader: entries of which only kind and data count.
    Propose {
        entries: Vec<Entry>,
    },
    /// To the leader: at which index may this read be served?
    ReadIndex {
        context: Bytes,
    },
    ReadIndexResponse {
        index: LogIndex,
        context: Bytes,
    },
    /// Leader to a follower that needs entries which the leader no longer has.
    Snapshot(Box<Snapshot>),
    /// Leader to the member that shall lead: campaign now.
    TimeoutNow,
    /// To the leader: hand over to the member in `from`.
    TransferLeader,
    Vote(VoteRequest),
    VoteResponse(VoteResponse),
}

impl Body {
    /// Whether it concerns whoever leads, in whichever term.
    #[must_use]
    pub const fn is_termless(&self) -> bool {
        matches!(self, Self::Propose { .. } | Self::ReadIndex { .. })
    }

    /// Whether it answers a member's own message, so that nobody else can have sent it.
    #[must_use]
    pub const fn is_response(&self) -> bool {
        matches!(
            self,
            Self::AppendResponse(_)
                | Self::HeartbeatResponse { .. }
                | Self::ReadIndexResponse { .. }
                | Self::VoteResponse(_)
        )
    }

    /// Whether a node may get it in its own name: by way of its disk, or forwarded by another member.
    #[must_use]
    pub const fn may_return(&self) -> bool {
        match self {
            Self::AppendResponse(AppendResponse::Accepted { .. })
            | Self::Propose { .. }
            | Self::ReadIndex { .. }
            | Self::TransferLeader
            | Self::VoteResponse(_) => true,
            Self::Append(_)
            | Self::AppendResponse(AppendResponse::Rejected { .. })
            | Self::Heartbeat { .. }
            | Self::HeartbeatResponse { .. }
            | Self::ReadIndexResponse { .. }
            | Self::Snapshot(_)
            | Self::TimeoutNow
            | Self::Vote(_) => false,
        }
    }

    #[must_use]
    pub const fn kind(&self) -> MessageType {
        match self {
            Self::Append(_) => MessageType::MsgApp,
            Self::AppendResponse(_) => MessageType::MsgAppResp,
            Self::Heartbeat { .. } => MessageType::MsgHeartbeat,
            Self::HeartbeatResponse { .. } => MessageType::MsgHeartbeatResp,
            Self::Propose { .. } => MessageType::MsgProp,
            Self::ReadIndex { .. } => MessageType::MsgReadIndex,
            Self::ReadIndexResponse { .. } => MessageType::MsgReadIndexResp,
            Self::Snapshot(_) => MessageType::MsgSnap,
            Self::TimeoutNow => MessageType::MsgTimeoutNow,
            Self::TransferLeader => MessageType::MsgTransferLeader,
            Self::Vote(request) => match request.ballot {
                Ballot::Election => MessageType::MsgVote,
                Ballot::PreElection => MessageType::MsgPreVote,
            },
            Self::VoteResponse(response) => match response.ballot {
                Ballot::Election => MessageType::MsgVoteResp,
                Ballot::PreElection => MessageType::MsgPreVoteResp,
            },
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// What precedes the entries; a receiver without it rejects them.
    pub previous: EntryId,
    /// None of them, or consecutive ones.
    pub entries: Vec<Entry>,
    /// May be behind the last entry: the receiver takes the smaller.
    pub commit: LogIndex,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendResponse {
    /// The log equals the leader's up to here. With 0 it says no more than its term.
    Accepted { index: LogIndex },
    /// There is no entry at `index` that equals the one before the leader's entries.
    Rejected {
        index: LogIndex,
        /// The last position that can match.
        hint: LogIndex,
        /// The term there, if it is known.
        hint_term: Option<Term>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoteRequest {
    pub ballot: Ballot,
    /// The candidate's last entry.
    pub last: EntryId,
    /// The leader wished it, so voters do not hold on to the leader that they have.
    pub transfer: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoteResponse {
    pub ballot: Ballot,
    pub granted: bool,
}

/// What a candidate asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ballot {
    Election,
    /// Whether an election could be won; it binds nobody.
    PreElection,
}

/// Message types of the wire, by their names there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageType {
    MsgHup = 0,
    MsgBeat = 1,
    MsgProp = 2,
    MsgApp = 3,
    MsgAppResp = 4,
    MsgVote = 5,
    MsgVoteResp = 6,
    MsgSnap = 7,
    MsgHeartbeat = 8,
    MsgHeartbeatResp = 9,
    MsgUnreachable = 10,
    MsgSnapStatus = 11,
    MsgCheckQuorum = 12,
    MsgTransferLeader = 13,
    MsgTimeoutNow = 14,
    MsgReadIndex = 15,
    MsgReadIndexResp = 16,
    MsgPreVote = 17,
    MsgPreVoteResp = 18,
    MsgStorageAppend = 19,
    MsgStorageAppendResp = 20,
    MsgStorageApply = 21,
    MsgStorageApplyResp = 22,
    MsgForgetLeader = 23,
}

impl MessageType {
    /// Every type, at the place of its number.
    pub const ALL: [Self; 24] = [
        Self::MsgHup,
        Self::MsgBeat,
        Self::MsgProp,
        Self::MsgApp,
        Self::MsgAppResp,
        Self::MsgVote,
        Self::MsgVoteResp,
        Self::MsgSnap,
        Self::MsgHeartbeat,
        Self::MsgHeartbeatResp,
        Self::MsgUnreachable,
        Self::MsgSnapStatus,
        Self::MsgCheckQuorum,
        Self::MsgTransferLeader,
        Self::MsgTimeoutNow,
        Self::MsgReadIndex,
        Self::MsgReadIndexResp,
        Self::MsgPreVote,
        Self::MsgPreVoteResp,
        Self::MsgStorageAppend,
        Self::MsgStorageAppendResp,
        Self::MsgStorageApply,
        Self::MsgStorageApplyResp,
        Self::MsgForgetLeader,
    ];
}
