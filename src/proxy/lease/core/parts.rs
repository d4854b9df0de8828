//! What the core is made of, and what it says.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message;

use crate::proto::etcdserverpb::LeaseKeepAliveRequest;
use crate::types::status::Status;

/// A client's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in super::super) struct ClientId(pub(super) u64);

/// A stream to a member, and its successors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in super::super) struct LaneId(pub(super) u64);

/// What a renewal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in super::super) enum Subject {
    Lease(i64),
    /// A message that is not understood: it gets a stream of its own, so that whatever etcd thinks
    /// of it is the matter of its client.
    Raw(u64),
}

/// What happened that others have to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Output {
    /// There may be something for the client.
    Client(ClientId),
    /// There may be something to send on the lane, or it may end.
    Lane(LaneId),
    /// The lane has to be opened.
    Start(LaneId),
}

/// What was counted since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Counts {
    pub requests: u64,
    pub renewals: u64,
    pub resends: u64,
    /// Changes of the requests without an answer, and of the renewals in flight.
    pub waiting: i64,
    pub inflight: i64,
}

/// What is next for a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Taken {
    End(Status),
    Reply(Bytes),
}

/// How a stream to a member ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Ended {
    /// Without a word of etcd; the status is for clients.
    Broken(Status),
    Status(Status),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Next {
    /// Open another stream. So many in a row have failed.
    Again {
        failures: u32,
    },
    Stop,
}

/// The member answered something that was not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Unexpected;

#[derive(Default)]
pub(super) struct Client {
    /// The number of the first slot.
    pub first: u64,
    pub slots: VecDeque<Slot>,
    /// etcd has answered it, so that its token was good.
    pub accepted: bool,
    /// Ends it whatever it waits for.
    pub cut: Option<Status>,
}

/// What became of a request.
pub(super) enum Slot {
    End(Status),
    Reply {
        frame: Bytes,
        /// The lease, and since when its answer has waited for that to an earlier request.
        held: Option<(i64, Instant)>,
    },
    Waiting(Subject),
}

pub(super) struct Renewal {
    pub lane: LaneId,
    pub frame: Bytes,
    pub progress: Progress,
}

pub(super) enum Progress {
    Queued { waiters: Vec<Waiter> },
    Sent { waiters: Vec<Waiter>, open: Vec<Waiter> },
}

#[derive(Clone, Copy)]
pub(super) struct Waiter {
    pub client: ClientId,
    pub slot: u64,
    pub since: Instant,
}

/// As clients write it.
pub(super) fn request(lease: i64) -> Bytes {
    let message = LeaseKeepAliveRequest { id: lease }.encode_to_vec();
    let length = u32::try_from(message.len()).expect("a number is short");
    [&[0], &length.to_be_bytes()[..], &message].concat().into()
}

#[derive(Default)]
pub(super) struct Lane {
    pub ready: VecDeque<Subject>,
    /// In the order in which etcd answers.
    pub sent: VecDeque<Subject>,
    /// Since when the first of them is the first.
    pub head_since: Option<Instant>,
    /// It has one message and ends.
    pub raw: bool,
    /// Nothing more is sent on the present stream, which ends when all is answered.
    pub closing: bool,
    /// Something was answered on the present stream.
    pub answered: bool,
    pub failures: u32,
    pub failing_since: Option<Instant>,
}

impl Lane {
    pub fn is_stuck(&self, now: Instant) -> bool {
        self.head_since.is_some_and(|since| now >= since + HEAD_SLOW)
    }
}

/// A client counts the time of a lease from when it gets the answer. One that had to wait for
/// longer is not told any more: the lease is renewed once again.
pub(super) const HELD_MAX: Duration = Duration::from_millis(500);

/// A renewal takes a healthy leader a millisecond, or some heartbeats when it has to make sure that
/// it leads.
const HEAD_SLOW: Duration = Duration::from_millis(100);
