//! etcdlet, the per-node etcd agent.
//!
//! ```text
//!    local clients                  etcdlet (one process a node)              the cluster
//!   gRPC (h2, h2c) ─┐   listen/        api/              proxy/         upstream/
//!   HTTP/1.1 ───────┴─> accept, TLS ─> request -> Call ─> admit, route ─> lanes ──> etcd
//!                       sniff          Reply -> response  settle
//! ```
//!
//! Reading order: [`types`] (what flows), [`listen`], [`api`], [`proxy`], [`upstream`], and
//! [`app`], which puts them together.
//!
//! Invariants: a request goes left to right and its answer comes back by return value; nothing
//! imports to its left (`tests/tidy.rs` checks the layers); bodies are raw data frames from end
//! to end; no promise of etcd is weakened.

pub mod admin;
pub mod api;
pub mod app;
pub mod cli;
pub mod config;
#[cfg(test)]
#[path = "../tests/fuzz/mod.rs"]
mod fuzz;
pub mod listen;
pub mod net;
pub mod proto;
pub mod proxy;
pub mod raft;
pub mod telemetry;
pub mod tls;
pub mod types;
pub mod upstream;
