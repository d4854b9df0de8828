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

pub(super) use account::Account;
pub(in crate::proxy) use client::Watches;
pub(super) use standing::run as stand;
pub(super) use state::Shared;
pub use table::{FeedOverview, Overview};
pub(super) use tick::run as tick;

use crate::proxy::frames::framed;
