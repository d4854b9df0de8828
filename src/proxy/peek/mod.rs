//! A look at a few protobuf fields of a message, without decoding it.
//!
//! ```text
//!   request body ─> frame: the message ─> request: lane, kind
//!   answer body ──> response: the header of each message (json: of an answer in JSON)
//!                     both read by fields: tag and value, one after the other
//! ```
//!
//! Invariants: nothing here panics whatever the bytes; no message is changed, and nothing is
//! allocated, but where a read is made a stricter one;
//! what can't be read is taken for the strictest thing it could be, and etcd is left to refuse it.
//!
//! Deliberately absent: compressed messages, which etcd's own clients never send and etcd does
//! not send unasked.

mod fields;
mod frame;
pub(crate) mod json;
mod lease;
mod request;
mod response;

pub(crate) use fields::{Fields, Value, raw_fields};
pub(crate) use frame::{frame_length, message};
pub(crate) use lease::{keep_alive, kept_alive};
pub(crate) use request::{Kind, alarm, is_linearizable, is_long_range, linearizable, range, txn};
pub(crate) use response::{Header, Headers, header};
