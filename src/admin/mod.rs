//! The admin port: what the process says of itself (its metrics, whether it is ready, the cluster as
//! it sees it, what watches share, its configuration), and the two things that it can be told: what to
//! log, and to end.
//!
//! Invariants: an answer is made from what there is, and waits for nobody; nothing that it shows is a
//! secret; a client holds no more than one of a limited number of connections, for a limited time.

mod answer;
mod cluster;
pub mod config;
pub mod health;
mod server;
mod watches;

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Notify, watch};

pub use config::Config;
pub use server::run;

use crate::proxy::Watermark;
use crate::telemetry::log::Levels;
use crate::telemetry::metrics::Metrics;
use crate::upstream::health::Publisher;

/// Where the answers come from.
#[derive(Clone)]
pub struct State {
    pub any_host: bool,
    pub changes: bool,
    pub metrics: Metrics,
    pub views: Publisher,
    pub watermark: Watermark,
    pub watches: crate::proxy::watch::Hub,
    pub health: health::Health,
    /// In effect, as text.
    pub config: watch::Receiver<ConfigText>,
    pub levels: Levels,
    /// Told to end.
    pub drain: Arc<Notify>,
}

#[derive(Clone, Debug)]
pub struct ConfigText {
    pub yaml: Bytes,
    pub json: Bytes,
}
