use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};

use crate::contender::Contender;
use crate::workload::Workload;

/// Compares etcdlet with etcd grpc-proxy and haproxy in front of real etcd members.
#[derive(Debug, Parser)]
#[command(name = "proxy", version)]
pub(crate) struct Options {
    /// Measure only these, for example direct,haproxy-h2.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Contender>,

    /// Run only these workloads.
    #[arg(long, value_enum, value_delimiter = ',')]
    workloads: Vec<Workload>,

    /// Rounds of each workload [default: 5, with --quick 2].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,

    /// A tenth of the calls: a smoke run, whose figures are rough.
    #[arg(long)]
    pub(crate) quick: bool,

    /// Exit with 1 when a limit is broken.
    #[arg(long)]
    pub(crate) check: bool,

    /// Where etcd's data goes, such as a tmpfs [default: the temporary directory].
    #[arg(long)]
    pub(crate) data_dir: Option<PathBuf>,

    /// Run etcd with --unsafe-no-fsync: puts then measure the proxies more and the disk less.
    #[arg(long)]
    pub(crate) unsafe_no_fsync: bool,

    /// Given by `cargo bench` to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    pub(crate) fn contenders(&self) -> Vec<Contender> {
        selected(&self.only)
    }

    pub(crate) fn workloads(&self) -> Vec<Workload> {
        selected(&self.workloads)
    }

    pub(crate) fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 2 } else { 5 })
    }
}

/// Cargo's target directory.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from)
}

/// In the order of declaration whatever the order on the command line; all of them when none is named.
fn selected<T: ValueEnum + PartialEq>(named: &[T]) -> Vec<T> {
    T::value_variants()
        .iter()
        .filter(|variant| named.is_empty() || named.contains(variant))
        .cloned()
        .collect()
}
