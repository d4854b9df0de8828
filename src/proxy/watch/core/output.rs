//! What the core is told and what it wants done.

use bytes::Bytes;

use super::batch::Events;
use super::message::Header;
use super::range::Range;

/// A client's stream; the driver never uses one twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

/// A create that waits for its authorization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CreateId(pub(super) u64);

/// One opening of an upstream watch; a feed has another one each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Upstream {
    pub(super) feed: FeedId,
    pub(super) attempt: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeedId(pub(super) u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct WatcherId(pub(super) u64);

/// Who watches, in the driver's own encoding: whatever makes two streams different to a member,
/// as its token and `hasleader`. The core only compares it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity(pub Bytes);

#[derive(Clone, Debug)]
pub enum Output {
    Authorize(Authorize),
    /// This upstream watch is not needed any longer, whether it is open, being opened or waits.
    Close(Upstream),
    Deliver(Delivery),
    End {
        stream: StreamId,
        why: EndReason,
    },
    Open(Open),
    RequestProgress(Upstream),
}

/// May this stream watch this, and what is the revision?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorize {
    pub create: CreateId,
    pub stream: StreamId,
    /// Without one only the header is wanted: etcd refuses the create whoever asks.
    pub range: Option<Probe>,
}

/// The keys to be asked about, as a `RangeRequest` has them: what the client sent, because etcd
/// checks exactly that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    pub key: Bytes,
    pub range_end: Bytes,
}

/// The answer to [`Authorize`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// In etcd's words, as `rpc error: code = PermissionDenied desc = etcdserver: permission denied`.
    Denied { header: Option<Header>, reason: String },
    /// Nobody could be asked; the stream ends.
    Failed,
    /// With the header of the read that gave the revision.
    Permitted { header: Header },
}

/// A gRPC frame for a client: `head`, then `events`.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub stream: StreamId,
    pub head: Bytes,
    pub events: Events,
}

impl Delivery {
    /// What counts as queued until [`super::Core::handle_drained`] takes it off.
    pub fn len(&self) -> usize {
        self.head.len() + self.events.len()
    }

    pub fn is_empty(&self) -> bool {
        self.head.is_empty()
    }
}

/// A watch to be created upstream, with `progress_notify` and `fragment`.
#[derive(Clone, Debug)]
pub struct Open {
    pub upstream: Upstream,
    pub identity: Identity,
    pub range: Range,
    pub prev_kv: bool,
    /// Never 0.
    pub start_revision: i64,
    /// On a stream of its own: progress is answered only when every watch of a stream has caught up.
    pub alone: bool,
    /// Has been open before.
    pub resumes: bool,
}

/// Why a client's stream ends, `UNAVAILABLE` in any case: the client opens another one and goes
/// on from its own position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Nobody could say whether a create is permitted.
    AuthorizationFailed,
    IdentityExpired,
    /// No member has a leader, and the client asked for one.
    NoLeader,
    /// The cluster is another one, or an older one.
    Restored,
    TooManyWatchers,
    /// A member ended a watch that had been permitted, in these words.
    UpstreamCanceled(String),
}
