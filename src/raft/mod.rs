//! The Raft core: who leads, what is in the log, what of it is committed, and who is a member.
//!
//! ```text
//!        tick, step, propose, read_index, …                  poll_output
//!   driver ───────────────────────────────> Node ────────────────────────────> driver
//!      ^                                     │  Role: Follower | PreCandidate
//!      │                                     │        | Candidate | Leader
//!      │                                     └─ Replica: term, vote, log, membership
//!      │
//!      │    Output::Send     a message for another member; may leave at once
//!      │    Output::Persist  hard state, snapshot, entries; then its responses; then its ack
//!      │    Output::Apply    committed entries for the state machine; then its ack
//!      │    Output::Read     a read that may be served once its index is applied
//!      │    Output::State    another leader or role
//!      └──── handle_persisted, handle_applied, or `advance` for both at once
//! ```
//!
//! The core decides and nothing else: it has no clock (a tick is a call), no socket (messages are
//! outputs), no disk (the log it has written is behind [`Storage`]), no chance (a seed is passed
//! in), no logs. Messages mean what etcd's mean, and [`wire`] writes and reads them as etcd does,
//! so that a node may share a cluster with etcd's own.
//!
//! Reading order: [`message`], [`output`], [`storage`], [`node`], `replica`, `role/`, then the
//! units that know nothing of each other: `log/`, [`progress`], [`quorum`], [`confchange`],
//! `read_index`.
//!
//! # The driver's duties
//!
//! It takes outputs until there are none. What [`Output::Persist`] holds is made durable in the
//! order given, before its `responses` go anywhere: those to this node itself are stepped, the
//! others sent. [`Output::Apply`] is applied in order, each configuration change through
//! [`Node::apply_conf_change`]. With [`Config::asynchronous_storage`] it hands back each ack
//! when it is done, in the order of the outputs; several may be under way. Without, it calls
//! [`Node::advance`] when the whole batch is done, and gets no further output before.
//!
//! # Invariants
//!
//! 1. **Terms never fall**, and in one term a node votes for one candidate.
//! 2. **One leader a term.** A vote counts when it is durable where it was given. A candidate
//!    leads only when its own vote is durable too, so that it cannot forget the term that it led;
//!    and asks for votes only then, so that none is left over for a later life with another log.
//! 3. **A leader only appends.** It never overwrites or drops an entry of its own log.
//! 4. **Log matching.** Two logs with an entry of the same index and term agree up to it: entries
//!    are accepted only behind an entry that matches.
//! 5. **Committed is for ever.** A leader counts replicas only for entries of its own term; a
//!    follower never truncates at or below its commit index.
//! 6. **Order of indexes:** applied ≤ applying ≤ committed ≤ last, and none of them falls.
//! 7. **Nothing is told before it is durable.** What accepts entries, and grants or wants a vote,
//!    waits in [`Persist::responses`]; the leader counts its own entries by the same way.
//! 8. **Progress:** match < next for every follower; the commit index in a heartbeat is never
//!    above what the follower is known to hold.
//! 9. **One configuration change at a time**, effective when applied; quorums of a joint
//!    configuration need both halves; learners never count.
//! 10. **Reads** get the commit index only from a leader that has committed in its own term, and
//!     that a quorum has confirmed after the read arrived (or that holds its lease).
//!
//! Deliberately absent: what a proposal means, members' addresses, the disk, the peer protocol.

mod bug;
mod clock;
pub mod confchange;
pub mod config;
pub mod entry;
pub mod error;
pub mod index;
mod log;
pub mod memory;
pub mod message;
pub mod node;
pub mod output;
pub mod progress;
pub mod quorum;
mod read_index;
mod replica;
mod role;
pub mod snapshot;
pub mod status;
pub mod storage;
pub mod wire;

#[cfg(feature = "raft-bugs")]
pub use bug::Bug;
pub use config::{Config, ReadMode};
pub use entry::{Entry, EntryType};
pub use error::Error;
pub use index::{EntryId, LogIndex};
pub use memory::MemoryStorage;
pub use message::{Body, Message, MessageType};
pub use node::Node;
pub use output::{Apply, ApplyAck, HardState, Output, Persist, PersistAck, ReadState, RoleName, SoftState};
pub use snapshot::{ConfState, Snapshot};
pub use status::Status;
pub use storage::{Storage, StorageError};
