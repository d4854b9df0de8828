//! What a node wants done.

use bytes::Bytes;

use super::entry::Entry;
use super::index::{EntryId, LogIndex};
use super::message::Message;
use super::snapshot::Snapshot;
use crate::types::ids::{MemberId, Term};

/// One thing for the driver to do, in the order that [`Node::poll_output`](super::Node::poll_output)
/// gives them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Committed entries for the state machine, after every [`Output::Persist`] before it (without
    /// asynchronous storage; with it they are durable already).
    Apply(Apply),
    /// To be made durable, before anything in its `responses` leaves.
    Persist(Persist),
    /// A read may be served when its index is applied.
    Read(ReadState),
    /// A message for another member; depends on nothing that is not durable.
    Send(Message),
    /// Another leader or another role than before.
    State(SoftState),
}

/// What is to be made durable: the snapshot first, as it replaces the log; then the entries, which
/// replace all stored ones from the first of them on; then the hard state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Persist {
    pub hard_state: Option<HardState>,
    /// To be restored by the state machine as well: it counts as applied when it is acknowledged.
    pub snapshot: Option<Box<Snapshot>>,
    pub entries: Vec<Entry>,
    /// Whether entries and hard state have to be flushed to the disk: a mere change of the commit
    /// index need not. A snapshot always has to.
    pub must_sync: bool,
    /// For after that, in this order: those to this node itself are stepped, the others sent. One
    /// without anything to write waits for the writes before it all the same. (Without
    /// asynchronous storage those to itself are kept for [`Node::advance`](super::Node::advance).)
    pub responses: Vec<Message>,
    /// Behind the responses to be handed to
    /// [`Node::handle_persisted`](super::Node::handle_persisted). None without asynchronous
    /// storage, and when there is nothing to acknowledge.
    pub ack: Option<PersistAck>,
}

impl Persist {
    /// Whether there is neither anything to write nor anything to say afterwards.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { hard_state, snapshot, entries, must_sync: _, responses, ack } = self;
        let writes = hard_state.is_some() || snapshot.is_some() || !entries.is_empty();
        !writes && responses.is_empty() && ack.is_none()
    }
}

/// Says up to where the log is durable; meant for the node that gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersistAck {
    /// The node's term then: entries of the same index may be others in a later one.
    pub(crate) term: Term,
    pub(crate) last: Option<EntryId>,
    pub(crate) snapshot: Option<LogIndex>,
}

impl PersistAck {
    /// The term in which the write was asked for.
    #[must_use]
    pub const fn term(&self) -> Term {
        self.term
    }

    /// The last entry of the log when the write was asked for, if any was not yet durable.
    #[must_use]
    pub const fn last(&self) -> Option<EntryId> {
        self.last
    }

    /// The last index of the snapshot, if there was one to write.
    #[must_use]
    pub const fn snapshot(&self) -> Option<LogIndex> {
        self.snapshot
    }
}

/// Committed entries, at least one, that follow those handed out before. With asynchronous storage a
/// snapshot that was given out later may have been written first: then what it covers is skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Apply {
    pub entries: Vec<Entry>,
    /// For [`Node::handle_applied`](super::Node::handle_applied); none without asynchronous storage.
    pub ack: Option<ApplyAck>,
}

/// Says up to where entries are applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplyAck {
    pub(crate) index: LogIndex,
    /// Encoded size of the entries, by which their hand-out is limited.
    pub(crate) bytes: u64,
    /// Size of their payloads, by which uncommitted proposals are limited.
    pub(crate) payload_bytes: u64,
}

impl ApplyAck {
    #[must_use]
    pub const fn index(&self) -> LogIndex {
        self.index
    }
}

/// What a node must never forget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HardState {
    pub term: Term,
    pub vote: Option<MemberId>,
    pub commit: LogIndex,
}

/// Who leads, as this node sees it, and what it is itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoftState {
    pub leader: Option<MemberId>,
    pub role: RoleName,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RoleName {
    Follower,
    PreCandidate,
    Candidate,
    Leader,
}

/// The answer to [`Node::read_index`](super::Node::read_index).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadState {
    /// The state machine holds all writes that finished before the read, once this is applied.
    pub index: LogIndex,
    /// As it was given with the read.
    pub context: Bytes,
}
