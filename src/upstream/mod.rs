//! Connections to the cluster: which endpoints there are, and how a call gets to one.
//!
//! ```text
//!   Upstream ── round robin ──> Endpoint ─┬─ Lane unary  ─┐
//!                                         ├─ Lane bulk   ─┼─> Link (an h2 connection) ──> etcd
//!                                         ├─ Lane stream ─┘
//!                                         └─ http1 (hyper's pooled client) ──> etcd
//! ```
//!
//! Calls of different temper have their own connections ('lanes'), so that a large answer or
//! ten thousand idle watches never stand before a small one. A lane opens another link when
//! one is full: full means that more streams, all stalled, could use up the connection's
//! window (see `link.rs`), or that the member allows no more.
//!
//! Invariants: a call that was not sent comes back to the caller to go elsewhere; a call that
//! was sent is never sent again; an endpoint that refuses connections is tried again for ever,
//! at most every [`lane::RETRY_MAX`].

mod answer;
pub mod config;
mod dial;
mod endpoint;
pub mod error;
mod http1;
pub mod lane;
mod link;
pub mod metrics;
mod pool;

pub use answer::Answer;
pub use config::Config;
pub use error::Failure;
pub use lane::LaneKind;
pub use pool::Upstream;
