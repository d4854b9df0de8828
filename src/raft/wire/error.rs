//! Why bytes are no message.

use crate::raft::message::MessageType;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Known, but nothing that another member may say.
    #[error("message type {0:?} is local")]
    Local(MessageType),
    #[error("a message without sender or receiver")]
    NoAddress,
    /// A read that is not about exactly one request.
    #[error("a read of {0} requests")]
    ReadCount(usize),
    #[error("truncated, or a length beyond the end")]
    Truncated,
    /// Of a later version: to be skipped.
    #[error("message type {0} is unknown")]
    UnknownType(u64),
    #[error("kind {0} of an entry or a change is unknown")]
    UnknownKind(u64),
    #[error("malformed number or field")]
    Malformed,
}
