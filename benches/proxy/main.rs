//! Compares etcdlet with the other ways of standing between a client and etcd, side by side in one run.
//!
//! ```text
//!                      +-> direct ---------------+
//!   generator (h2) ----+-> etcdlet --------------+--> one etcd member
//!   this process       +-> etcd grpc-proxy ------+
//!                      +-> haproxy, mode tcp ----+
//!                      +-> haproxy, mode http ---+
//!
//!                      +-> direct, in turn ------+
//!   generator (h2) ----+-> etcdlet --------------+--> a cluster of three members
//!                      +-> haproxy, mode http ---+
//! ```
//!
//! `cargo bench --bench proxy -- --help` lists the options; `--quick` is a smoke run, `--check` judges
//! the limits of `limits.rs`.
//!
//! Invariants:
//! - Every round visits every contender, in rotating order, so that drift of the machine hits all alike;
//!   ratios and limits pair figures of the same round.
//! - A call that does not end with grpc-status 0 and a reply of the right size makes the run invalid, and
//!   so does a watch that is not shown each event, once and in order (`hubs`).
//! - A missing program is a failure, never a skipped column.
//!
//! The members wait for their disk, as they do in production, unless told otherwise: how long a put takes
//! is then decided by how well their raft batches, which is where it matters whom a put is sent to.
//!
//! Absent on purpose: CPU pinning (two cores cannot give three processes their own) and TLS.

mod contender;
mod error;
mod etcd;
mod haproxy;
mod hubs;
mod limits;
mod load;
mod machine;
mod memory;
mod meter;
mod options;
mod process;
mod programs;
mod report;
mod results;
mod rounds;
mod usage;
mod workload;

use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::error::Error;
use crate::options::Options;
use crate::programs::Programs;

fn main() -> ExitCode {
    match try_main(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            report::say(&format!("FAILED: {error}"));
            ExitCode::from(EXIT_INVALID)
        }
    }
}

/// Whether the limits hold; always true without `--check`.
fn try_main(options: &Options) -> Result<bool, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Leaving by return lets the guards end every child; the default action of a signal would not.
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            outcome = run(options) => outcome,
            _ = terminate.recv() => Err(Error::Interrupted),
            interrupt = tokio::signal::ctrl_c() => Err(interrupt.err().map_or(Error::Interrupted, Error::from)),
        }
    })
}

async fn run(options: &Options) -> Result<bool, Error> {
    machine::raise_file_limit()?;
    let programs = Programs::try_find(options)?;
    let header = machine::header(&programs);
    report::say(&header.to_string());
    let results = rounds::run(options, &programs).await?;
    let verdicts = limits::judge(&results);
    report::write_all(options, &header, &results, &verdicts)?;
    Ok(!options.check || limits::hold(&verdicts))
}

/// Apart from 1, which says that a limit is broken.
const EXIT_INVALID: u8 = 2;
