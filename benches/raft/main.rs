//! What the Raft core costs: nodes in memory, driven by one thread, without disk, network or clock.
//!
//! `cargo bench --bench raft` takes some seconds, and fails if a limit of `limits.rs` is broken.
//!
//! Invariants:
//! - Time is that of the thread on a processor, and the best of the rounds counts: what else the machine
//!   does is not the core's cost. Allocations do not depend on the machine: the worst round counts.
//! - A figure is had only if every node has applied exactly what was proposed, or has heard exactly the
//!   heartbeats that are due.
//!
//! Absent on purpose: how messages are encoded, and what storage costs.

mod cluster;
mod idle;
mod limits;
mod meter;
mod replication;

use std::process::ExitCode;

use crate::limits::Figure;

fn main() -> ExitCode {
    let figures: Vec<Figure> = replication::measure().into_iter().chain(idle::measure()).collect();
    for figure in &figures {
        println!("{figure}");
    }
    if figures.iter().all(Figure::holds) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
