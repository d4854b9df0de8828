//! Configuration: flags, environment and a YAML file become one checked [`Config`].
//!
//! ```text
//!   YAML ──(yaml.rs)──> Document ──> Section, typed key by key ─┐
//!                         │   flags and ETCDLET_* ──> Overrides ─┴─(resolve.rs)──> Config, or all errors
//!                         └─ against the one before: what a reload may take over
//! ```
//!
//! Invariants: a key that is not known is an error; every error is found in one pass and names
//! the path of its key; a default stands in `defaults.rs` with its reason and nowhere else; a key
//! waits for a restart unless `reference/` says otherwise.

mod audit;
mod defaults;
mod document;
mod flags;
mod hubs;
mod limits;
mod listen;
mod prefixes;
mod process;
pub mod reference;
mod register;
mod resolve;
mod section;
mod share;
mod tls;
mod upstream;
mod yaml;

use std::path::PathBuf;
use std::time::Duration;

use crate::admin;
use crate::proxy;
use crate::telemetry::log;

#[cfg(test)]
pub(crate) use document::parse;
pub use document::{Document, Shown, Source};
pub(crate) use section::time;
pub use tls::ListenTls;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub listen: crate::listen::Config,
    pub upstream: crate::upstream::Config,
    pub proxy: proxy::Config,
    pub drain: Drain,
    /// Threads of the data path, each with its own connections to the cluster.
    pub threads: usize,
    pub reload: Reload,
    pub admin: admin::Config,
    pub log: log::Config,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drain {
    /// Between the word that no new connections are wanted, and the first that is ended.
    pub delay: Duration,
    /// Calls under way when the process stops may take as long.
    pub timeout: Duration,
    /// Watches and other endless calls end within this span.
    pub stream_jitter: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reload {
    /// How often files are looked at; `None`: only SIGHUP counts.
    pub interval: Option<Duration>,
}

/// What flags and the environment say; each wins over the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    pub listen_client_urls: Option<Vec<String>>,
    pub cert_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    pub namespace: Option<String>,
    pub listen_tls: ListenTls,
    pub endpoints: Option<Vec<String>>,
    pub http_endpoints: Option<Vec<String>>,
    pub discovery_srv: Option<String>,
    pub discovery_srv_name: Option<String>,
    pub cacert: Option<PathBuf>,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub admin_url: Option<String>,
    pub grpc_keepalive_min_time: Option<Duration>,
    pub grpc_keepalive_interval: Option<Duration>,
    pub grpc_keepalive_timeout: Option<Duration>,
    pub threads: Option<usize>,
    pub log_level: Option<String>,
    pub log_format: Option<String>,
}

/// Everything that is wrong, each with the key or flag it is about.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigErrors(pub Vec<String>);
