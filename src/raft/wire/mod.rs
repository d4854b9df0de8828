//! Messages and records as etcd writes and reads them (`raftpb`).
//!
//! Written as etcd 3.6 does: every scalar is there, even 0; a snapshot only in the message that
//! carries one; payload and context only when not empty. Read are the shapes of all versions: 3.5
//! puts an empty snapshot into every message, 3.7 leaves out what is 0; unknown fields are skipped,
//! repeated numbers may be packed, and the order does not matter.
//!
//! Reading shares the memory of the frame it is given: payloads point into it.

mod error;
mod field;
mod message;
mod record;
#[cfg(test)]
mod tests;

pub use error::DecodeError;
pub use message::Fields;
pub(super) use record::encoded_bytes;
pub use record::{Record, within};
