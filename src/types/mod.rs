//! The vocabulary that every layer shares: what flows through the proxy and the two tables
//! that say how to treat it.
//!
//! ```text
//!   Call ──> (method table: shape, target, effect) ──> Reply
//!                                                       └─ Status (error table)
//! ```
//!
//! Invariants: nothing here touches a clock, a socket, a file or a runtime; a body is raw data
//! frames, never decoded messages; every RPC of etcd stands once in [`method::TABLE`], every path
//! of its JSON gateway once in [`gateway::TABLE`], every error text of etcd once in [`status`].

pub mod call;
pub mod client;
pub mod gateway;
pub mod hop;
pub mod ids;
pub mod method;
pub mod status;
