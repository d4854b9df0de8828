//! `/watches`: what clients' watches share, in JSON.

use serde_json::{Value, json};

use crate::proxy::watch::core::{FeedState, Row};
use crate::proxy::watch::{FeedOverview, Hub, Overview};

/// `query` may have a `limit`. An error is for who asked.
pub(super) fn render(hub: &Hub, query: Option<&str>) -> Result<String, String> {
    let overview = hub.overview(limit(query)?);
    Ok(format!("{:#}\n", describe(&overview)))
}

fn limit(query: Option<&str>) -> Result<usize, String> {
    let mut limit = ROWS;
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let Some(("limit", value)) = pair.split_once('=') else {
            return Err(format!("{pair}: not known; there is limit=N\n"));
        };
        let parsed = value.parse().ok().filter(|rows| *rows <= ROWS_MAX);
        limit = parsed.ok_or_else(|| format!("limit: expected a whole number up to {ROWS_MAX}\n"))?;
    }
    Ok(limit)
}

fn describe(overview: &Overview) -> Value {
    let Overview { numbers, lag, feeds, truncated } = overview;
    json!({
        "streams": numbers.streams,
        "watchers": numbers.watchers,
        "feeds": numbers.feeds,
        "coalescing_ratio": numbers.coalescing_ratio(),
        "catch_ups": numbers.catch_ups,
        "ring_bytes": numbers.ring_bytes,
        "queued_bytes": numbers.queued_bytes,
        "lagging": numbers.lagging,
        "lag_revisions": numbers.lag_revisions,
        "lag_seconds": lag.as_secs_f64(),
        "truncated": truncated,
        "table": feeds.iter().map(describe_feed).collect::<Vec<_>>(),
    })
}

fn describe_feed(feed: &FeedOverview) -> Value {
    let FeedOverview { row, class, requires_leader, endpoint } = feed;
    let Row { upstream: _, identity: _, range, .. } = row;
    let (key, range_end) = range.wire();
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    json!({
        "key": text(&key),
        "range_end": text(&range_end),
        "prefix": range.prefix().map(text),
        "class": class,
        "require_leader": requires_leader,
        "prev_kv": row.prev_kv,
        "private": row.private,
        "standing": row.standing,
        "state": match row.state {
            FeedState::CatchUp => "catch-up",
            FeedState::Created => "created",
            FeedState::Opening => "opening",
        },
        "endpoint": endpoint,
        "position": row.position,
        "ring_floor": row.ring_floor,
        "ring_bytes": row.ring_bytes,
        "watchers": row.watchers,
        "lagging": row.lagging,
        "events_received": row.events_in,
        "events_delivered": row.events_out,
    })
}

/// A screen or two of what matters most.
const ROWS: usize = 1000;

/// Some 50 MB of text.
const ROWS_MAX: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_read_and_nothing_else() {
        assert_eq!(limit(None), Ok(ROWS));
        assert_eq!(limit(Some("")), Ok(ROWS));
        assert_eq!(limit(Some("limit=0")), Ok(0));
        assert_eq!(limit(Some("limit=17&")), Ok(17));
        for bad in ["limit=", "limit=-1", "limit=100001", "limit", "colour=red"] {
            assert!(limit(Some(bad)).is_err(), "{bad}");
        }
    }
}
