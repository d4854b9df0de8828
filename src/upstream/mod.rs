//! The cluster: which members there are, how they are, and how a call gets to one.
//!
//! ```text
//!   discovery ─> health ─> View ─┐  (control runtime, for all threads)
//!                                v
//!   Upstream ── balance: which member? ──> Connections ─┬─ Lane unary  ─┐
//!   (one a thread)                                      ├─ Lane bulk   ─┼─> Link (h2) ──> etcd
//!                                                       ├─ Lane stream ─┘
//!                                                       ├─ Http1 ──> etcd, or its HTTP port
//!                                                       └─ tunnel (bytes as they are) ──> etcd
//! ```
//!
//! Calls of different temper have their own connections ('lanes'), so that a large answer or
//! ten thousand idle watches never stand before a small one. A lane opens another link when
//! one is full: full means that more streams, all stalled, could use up the connection's
//! window (see `link.rs`), or that the member allows no more.
//!
//! Invariants: a call decides by one view; a call that was not sent comes back to the caller to
//! go elsewhere; what was sent is never sent again from here; an endpoint that refuses
//! connections is tried again for ever, at most every [`lane::RETRY_MAX`].

mod answer;
pub mod balance;
mod changes;
mod cluster;
pub mod config;
mod connections;
mod dial;
pub mod discovery;
pub mod error;
pub mod health;
mod http1;
pub mod lane;
mod link;
pub mod metrics;
mod pool;
mod response;
mod send;
mod tunnel;
mod uri;
pub mod view;
pub mod vitals;

pub use answer::{Answer, AnswerBody, Cut, From, Gather};
pub use balance::{Aim, Places};
pub use cluster::{Cluster, ClusterError};
pub use config::Config;
pub use error::Failure;
pub use health::Signals;
pub use lane::LaneKind;
pub use pool::Upstream;
pub use send::{Blocked, Route, Sent, Unsent};
pub use tunnel::{Tunnel, TunnelError};
