//! The messages of one direction of a call, out of data frames that may be cut anywhere.

use bytes::{Bytes, BytesMut};

use super::Namespaces;
use super::edit::{Flaw, edited};
use super::messages::Message;
use super::prefix::Namespace;
use crate::proxy::frames::{Frames, TooLong};
use crate::types::status::{Code, Status};

/// Edits one message after the other.
pub(super) struct Flow {
    namespace: Namespace,
    of: &'static Message,
    direction: Direction,
    frames: Frames,
    /// Of a message, where that is limited.
    length_max: usize,
    hold: Hold,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Answer,
    Request,
}

impl Flow {
    pub fn of_requests(namespace: Namespace, of: &'static Message, all: &Namespaces) -> Self {
        Self::new(namespace, of, Direction::Request, all.config.request_bytes, all)
    }

    /// A member's messages are as long as etcd lets them be.
    pub fn of_answers(namespace: Namespace, of: &'static Message, all: &Namespaces) -> Self {
        Self::new(namespace, of, Direction::Answer, usize::MAX - PREFIX, all)
    }

    fn new(
        namespace: Namespace,
        of: &'static Message,
        direction: Direction,
        length_max: usize,
        all: &Namespaces,
    ) -> Self {
        let frames = Frames::new(length_max + PREFIX);
        Self { namespace, of, direction, frames, length_max, hold: Hold { all: all.clone(), bytes: 0 } }
    }

    /// The messages that are whole with these bytes, edited; perhaps none.
    pub fn on_data(&mut self, data: Bytes) -> Result<Bytes, Status> {
        self.frames.on_data(data);
        let mut out = Out::Empty;
        while let Some(frame) = self.frames.next() {
            let frame = frame
                .map_err(|too_long: TooLong| self.refuse("too-long", too_long.refusal(self.length_max)))?;
            out.push(self.edit(frame)?);
        }
        self.hold(0)?;
        Ok(out.freeze())
    }

    /// Counts what waits here, and so many bytes that wait elsewhere.
    pub fn hold(&mut self, edited: usize) -> Result<(), Status> {
        if self.hold.set(self.frames.waiting() + edited) {
            return Ok(());
        }
        let text = "etcdlet: too many bytes of messages wait to be edited (limits.namespace-total-bytes)";
        Err(self.refuse("limit", Status::new(Code::ResourceExhausted, text)))
    }

    /// What was left when the data ended: less than a message, so that nobody can read it as one.
    pub fn rest(&mut self) -> Option<Bytes> {
        self.frames.rest()
    }

    pub fn is_empty(&self) -> bool {
        self.frames.waiting() == 0
    }

    fn edit(&self, frame: Bytes) -> Result<Bytes, Status> {
        let (prefix, message) = frame.split_at(PREFIX);
        if prefix[0] != 0 {
            return Err(self.refuse("compressed", compressed()));
        }
        let depth_max = match self.direction {
            Direction::Request => DEPTH_MAX,
            Direction::Answer => DEPTH_MAX + 2,
        };
        match edited(&self.namespace, self.of, message, depth_max) {
            Ok(None) => Ok(frame),
            Ok(Some(edited)) => Ok(edited.into()),
            Err(flaw) => Err(self.refuse_flaw(flaw)),
        }
    }

    fn refuse_flaw(&self, flaw: Flaw) -> Status {
        match (flaw, self.direction) {
            (Flaw::TooDeep, Direction::Request) => {
                let text = "etcdserver: too many operations in txn request";
                self.refuse("too-deep", Status::new(Code::InvalidArgument, text))
            }
            (_, Direction::Request) => {
                let text = "etcdlet: a request that cannot be decoded cannot be kept in its namespace";
                self.refuse("malformed", Status::new(Code::Internal, text))
            }
            (_, Direction::Answer) => {
                tracing::error!(?flaw, "a member's answer cannot be put out of its namespace");
                let text = "etcdlet: the member's answer is not of the namespace";
                self.refuse("answer", Status::new(Code::Internal, text))
            }
        }
    }

    fn refuse(&self, reason: &str, status: Status) -> Status {
        self.hold.all.metrics.on_refused(reason);
        status
    }
}

pub(super) fn compressed() -> Status {
    let text = "etcdlet: compressed messages cannot be put into the namespace of this listener";
    Status::new(Code::Unimplemented, text)
}

/// Nearly always one message.
enum Out {
    Empty,
    One(Bytes),
    Several(BytesMut),
}

impl Out {
    fn push(&mut self, frame: Bytes) {
        *self = match std::mem::replace(self, Self::Empty) {
            Self::Empty => Self::One(frame),
            Self::One(first) => {
                let mut several = BytesMut::from(&first[..]);
                several.extend_from_slice(&frame);
                Self::Several(several)
            }
            Self::Several(mut several) => {
                several.extend_from_slice(&frame);
                Self::Several(several)
            }
        };
    }

    fn freeze(self) -> Bytes {
        match self {
            Self::Empty => Bytes::new(),
            Self::One(frame) => frame,
            Self::Several(several) => several.freeze(),
        }
    }
}

/// Bytes that a call takes of the limit.
struct Hold {
    all: Namespaces,
    bytes: usize,
}

impl Hold {
    /// Whether all together are within the limit.
    fn set(&mut self, bytes: usize) -> bool {
        let before = std::mem::replace(&mut self.bytes, bytes);
        let gauge = &self.all.metrics.bytes;
        gauge.add(bytes as i64 - before as i64);
        bytes <= before || gauge.get() <= i64::try_from(self.all.config.total_bytes).unwrap_or(i64::MAX)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// gRPC's own bytes before a message.
const PREFIX: usize = 5;

/// Two levels a transaction, and each has an operation: by default etcd takes 128.
const DEPTH_MAX: usize = 512;
