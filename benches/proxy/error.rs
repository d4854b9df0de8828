use std::io;
use std::path::PathBuf;

use crate::contender::Contender;
use crate::load::CallError;
use crate::workload::Workload;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{program} ended while starting or was not ready in time; its log ends with:\n{log}")]
    Dead { program: String, log: String },

    #[error("only {hard} file descriptors are allowed here, {needed} are needed: raise the hard limit")]
    FileLimit { hard: u64, needed: u64 },

    #[error("interrupted")]
    Interrupted,

    #[error(
        "INVALID RUN: {failed} of {calls} calls of {workload} through {contender} failed, first: {first}"
    )]
    Invalid { workload: Workload, contender: Contender, failed: u64, calls: u64, first: CallError },

    #[error(transparent)]
    Io(#[from] io::Error),

    #[error("{program} not found ({}): run `{remedy}` or set {variable}", tried.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "))]
    Missing { program: &'static str, tried: Vec<PathBuf>, remedy: &'static str, variable: &'static str },

    #[error("INVALID RUN: {workload} through {contender} did not finish in {limit_secs} s")]
    Stuck { workload: Workload, contender: Contender, limit_secs: u64 },

    #[error("cannot read the usage of {program}: {source}")]
    Usage { program: String, source: io::Error },
}
