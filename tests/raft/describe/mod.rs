//! The printed forms of etcd-io/raft, to the byte: what `Describe…` and `String` give there (`util.go`,
//! `tracker/`, `quorum/`).
//!
//! Ids are hexadecimal in messages and in sets of members, and decimal in all else, as they are there.

mod entry;
mod members;
mod message;
mod ready;
mod state;

pub(crate) use entry::{changes, entries};
pub(crate) use members::{membership, progress_by_id};
pub(crate) use message::{APPEND_THREAD, APPLY_THREAD, MessageText};
pub(crate) use ready::Ready;
pub(crate) use state::role;
