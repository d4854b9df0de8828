//! The core's table, with what only the driver knows.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::core::{Identity, Numbers, Row, Upstream};
use super::state::Shared;
use crate::types::ids::EndpointId;
use crate::upstream::view::View;

/// What the hub has at one moment.
#[derive(Default)]
pub struct Overview {
    pub numbers: Numbers,
    /// For how long the one watcher is behind that has been so for longest.
    pub lag: Duration,
    pub feeds: Vec<FeedOverview>,
    /// Feeds that were left out.
    pub truncated: usize,
}

pub struct FeedOverview {
    pub row: Row,
    /// The same for feeds that are opened with the same metadata, and nothing that these could be
    /// guessed from.
    pub class: String,
    pub requires_leader: bool,
    /// The member that it is at, if it is known here and at one.
    pub endpoint: Option<String>,
}

impl Overview {
    pub(in crate::proxy::watch) fn of(shared: &Arc<Shared>, feeds_max: usize) -> Self {
        let (table, mut endpoints) = shared.table(feeds_max);
        let view = shared.proxy().map(|proxy| proxy.upstream.view());
        let requiring = shared.requiring_leader();
        let feeds = table.rows.into_iter().map(|row| FeedOverview {
            class: class(shared, &row.identity),
            requires_leader: requiring.contains(&row.identity),
            endpoint: address(view.as_deref(), &mut endpoints, row.upstream),
            row,
        });
        let now = Instant::now();
        let lag = table.numbers.behind_since.map(|since| now.saturating_duration_since(since));
        Self {
            feeds: feeds.collect(),
            lag: lag.unwrap_or_default(),
            truncated: table.truncated,
            numbers: table.numbers,
        }
    }
}

fn class(shared: &Shared, identity: &Identity) -> String {
    format!("{:08x}", shared.hasher.hash_one(identity) >> 32)
}

fn address(
    view: Option<&View>,
    endpoints: &mut HashMap<Upstream, EndpointId>,
    upstream: Upstream,
) -> Option<String> {
    let id = endpoints.remove(&upstream)?;
    let member = view?.members.iter().find(|member| member.endpoint.id == id)?;
    Some(member.endpoint.address.to_string())
}
