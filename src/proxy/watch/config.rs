//! Limits and pauses of the watch hub.

use std::time::Duration;

use bytes::Bytes;

use crate::upstream::health::Credentials;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Whether watches are shared at all.
    pub coalesce: bool,
    /// What is different below these, each of them once.
    pub prefixes: Vec<Prefix>,
    /// As whom feeds are opened, so that users can share them. Without it feeds are shared by token.
    pub account: Option<Credentials>,
    /// Bytes that all rings together may hold.
    pub ring_bytes: usize,
    /// Bytes that may wait for one client stream. Beyond it its watchers lag.
    pub stream_bytes: usize,
    /// From this size on a response goes in parts to a client that asked for that.
    pub fragment_bytes: usize,
    /// Bytes of the events that one response of a replay brings.
    pub replay_bytes: usize,
    /// Events that one step of a replay looks at.
    pub replay_events: usize,
    /// A watch that starts this many revisions back, and finds no feed, becomes a feed at once;
    /// an older one catches up by itself first.
    pub lag_revisions: i64,
    /// Private catch-up watches at a time. Further watchers wait for one to end.
    pub catch_ups: usize,
    /// Requests of a stream that may wait for an authorization.
    pub requests: usize,
    pub watchers: usize,
    /// How long a feed without watchers stays.
    pub linger: Duration,
    /// How long a feed stays wider than its watchers need.
    pub narrow_after: Duration,
    /// Between two progress requests of a feed, when clients wait for them.
    pub progress_pause: Duration,
    /// The same when watchers wait to move to another feed.
    pub catch_up_pause: Duration,
    /// The position of a feed that shows no events is confirmed again after this.
    pub refresh_interval: Duration,
    /// Between two progress notifications of a watcher that asked for them and sees no events,
    /// until a member is seen to send them more often.
    pub progress_interval: Duration,
}

/// What is different for watches that are wholly below a prefix and below no longer one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// Empty for all keys.
    pub prefix: Bytes,
    /// Whether they share feeds.
    pub coalesce: bool,
    /// A feed that is there from the start and stays, if any.
    pub standing: Option<StandingFeed>,
}

/// For whom a feed stands: callers without a token, who ask for the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StandingFeed {
    pub prev_kv: bool,
    pub require_leader: bool,
}

impl Prefix {
    /// Without anything special.
    pub fn of(prefix: &[u8]) -> Self {
        Self { prefix: Bytes::copy_from_slice(prefix), coalesce: true, standing: None }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            coalesce: true,
            // Needs a user of its own.
            account: None,
            prefixes: Vec::new(),
            // A minute of 4,000 events a second with 256 bytes each.
            ring_bytes: 64 << 20,
            // Some seconds of the same, and eight of the largest requests.
            stream_bytes: 16 << 20,
            // etcd's `--max-request-bytes` and the 512 KiB that it adds for itself.
            fragment_bytes: (1536 + 512) << 10,
            // As much as a stream's window takes at once.
            replay_bytes: 256 << 10,
            // About a millisecond.
            replay_events: 10_000,
            // As many as etcd sends in one response.
            lag_revisions: 1000,
            // Each reads history from a member's disk; etcd serves 512 at a time.
            catch_ups: 256,
            // etcd itself takes 16 ahead.
            requests: 1024,
            // Each costs about half a KiB.
            watchers: 1_000_000,
            // Clients that reconnect come back within seconds.
            linger: Duration::from_secs(10),
            // Whoever looks at everything looks again.
            narrow_after: Duration::from_secs(60),
            // kube-apiserver asks every 100 ms.
            progress_pause: Duration::from_millis(50),
            // etcd looks after its own lagging watchers as often.
            catch_up_pause: Duration::from_millis(100),
            // A watch that is opened again elsewhere must not begin below a compaction. One request
            // serves all watches of a stream.
            refresh_interval: Duration::from_secs(5),
            // etcd's `--watch-progress-notify-interval`.
            progress_interval: Duration::from_secs(600),
        }
    }
}
