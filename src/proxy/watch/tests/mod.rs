//! The core against a naive model: a private watch for every watcher.
//!
//! ```text
//!   client (streams, what each watcher must see) <── core ──> cluster (members that lag, their watches)
//!                                └────────── world (a driver that does one thing at a time) ─────┘
//! ```

mod client;
mod cluster;
mod narrowing;
mod operators;
mod parting;
mod random;
mod scenarios;
mod surety;
mod world;
