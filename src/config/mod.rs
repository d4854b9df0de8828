//! Configuration: flags, environment and a YAML file become one checked [`Config`].
//!
//! ```text
//!   YAML ──(yaml.rs)──> Section, typed key by key ─┐
//!   flags and ETCDLET_* ──> Overrides ─────────────┴─(resolve.rs)──> Config, or all errors
//! ```
//!
//! Invariants: a key that is not known is an error; every error is found in one pass and names
//! the path of its key; a default stands in `defaults.rs` with its reason and nowhere else.

mod defaults;
mod hubs;
mod listen;
mod prefixes;
mod register;
mod resolve;
mod section;
mod share;
mod tls;
mod upstream;
mod yaml;

use std::path::PathBuf;
use std::time::Duration;

use crate::net::address::Address;
use crate::proxy;
use crate::telemetry::log;

pub use resolve::{load, of_text};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub listen: crate::listen::Config,
    pub upstream: crate::upstream::Config,
    pub proxy: proxy::Config,
    pub drain: Drain,
    /// Threads of the data path, each with its own connections to the cluster.
    pub threads: usize,
    pub admin: Address,
    pub log: log::Config,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drain {
    /// Calls under way when the process stops may take as long.
    pub timeout: Duration,
    /// Watches and other endless calls end within this span.
    pub stream_jitter: Duration,
}

/// What flags and the environment say; each wins over the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    pub listen_client_urls: Option<Vec<String>>,
    pub cert_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    pub endpoints: Option<Vec<String>>,
    pub discovery_srv: Option<String>,
    pub discovery_srv_name: Option<String>,
    pub cacert: Option<PathBuf>,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub admin_url: Option<String>,
    pub threads: Option<usize>,
    pub log_level: Option<String>,
    pub log_format: Option<String>,
}

/// Everything that is wrong, each with the key or flag it is about.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigErrors(pub Vec<String>);
