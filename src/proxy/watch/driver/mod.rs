//! All that waits: clients' streams, streams to members, questions, time.
//!
//! ```text
//!   client ──> requests ─┐                              ┌─> pipe ──> member
//!                        ├─> state: the core, outboxes ─┼─> authorize ──> two reads
//!   client <── outbox  <─┘        ^ tick: time          └─< pipe <── responses
//! ```
//!
//! Invariants: the core is told everything under one lock and its outputs are done before the lock
//! is given back, so that they are done in its order; nothing waits under the lock.

mod account;
mod authorize;
mod client;
mod objection;
mod opener;
mod pipe;
mod pipes;
mod standing;
mod state;
mod table;
mod tick;

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

pub(super) use account::Account;
pub(in crate::proxy) use client::Watches;
pub(super) use standing::run as stand;
pub(super) use state::Shared;
pub use table::{FeedOverview, Overview};
pub(super) use tick::run as tick;

/// A message in its gRPC frame.
fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(5 + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).expect("requests of a watch are small"));
    message.encode(&mut frame).expect("the buffer has room");
    frame.freeze()
}
