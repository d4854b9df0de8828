//! One upstream watch and who lives on it.

use std::collections::BTreeSet;
use std::time::Instant;

use super::batch::Assembly;
use super::group::Groups;
use super::message::Header;
use super::output::{FeedId, Identity, Open, StreamId, Upstream, WatcherId};
use super::range::Range;
use super::ring::Ring;
use crate::proxy::watch::Config;

/// Feeds of one class may be shared by its streams.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ClassKey {
    pub identity: Identity,
    pub prev_kv: bool,
    /// Of this watcher only.
    pub private: Option<WatcherId>,
}

pub(super) struct Feed {
    pub id: FeedId,
    pub class: ClassKey,
    pub range: Range,
    pub kind: Kind,
    pub attempt: u32,
    pub link: Link,
    /// Since when there is nothing at a member for it, unless it is only moving.
    pub opening_since: Option<Instant>,
    /// Has been created at least once.
    pub proven: bool,
    /// On an upstream stream of its own.
    pub alone: bool,
    /// Is to get one, because clients ask for its progress.
    pub isolates: bool,
    /// Counts as a catch-up under way.
    pub is_load: bool,
    /// When another watch was last opened to take its place.
    pub doubled_at: Option<Instant>,
    /// Somebody on it wants to be notified of progress.
    pub listens: bool,
    /// Stays without watchers.
    pub standing: bool,
    pub fate: Fate,
    /// Since when nobody may need all of its range.
    pub slack_since: Option<Instant>,
    /// Of the last response.
    pub header: Header,
    /// Every event below it has come.
    pub position: i64,
    /// What the member was asked for: from its position on, or a little more.
    pub start_revision: i64,
    pub moved_at: Instant,
    pub assembly: Assembly,
    pub ring: Ring,
    pub groups: Groups,
    pub ahead: BTreeSet<(i64, WatcherId)>,
    pub replaying: BTreeSet<WatcherId>,
    pub events_in: u64,
    pub events_out: u64,
    /// Watchers in all of these.
    pub watchers: usize,
    /// Client streams that wait for its progress.
    pub waiting: BTreeSet<StreamId>,
    /// Since when it has no watchers.
    pub idle_since: Option<Instant>,
    /// Requests for progress since the last one came.
    pub unanswered: u32,
    /// The last progress request.
    pub requested_at: Option<Instant>,
    /// The last progress that nobody had requested.
    pub notified_at: Option<Instant>,
    pub timer: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Private, until a shared feed can take over from its position; or, where there is none, until
    /// it has seen this revision and becomes one.
    CatchUp {
        until: i64,
    },
    Shared,
}

/// Where its watchers are to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// To a wider feed, as soon as that can take them.
    Merges,
    /// To narrower ones.
    Splits,
    Stays,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// Whether its start was compacted is not said yet.
    Created,
    /// It has brought events or progress: what is still to come will come.
    Flowing,
    Opening,
}

impl Feed {
    pub fn new(id: FeedId, class: ClassKey, range: Range, kind: Kind, position: i64, now: Instant) -> Self {
        Self {
            id,
            class,
            range,
            kind,
            attempt: 0,
            link: Link::Opening,
            opening_since: Some(now),
            proven: false,
            alone: kind != Kind::Shared,
            isolates: false,
            is_load: kind != Kind::Shared,
            doubled_at: None,
            listens: false,
            standing: false,
            fate: Fate::Stays,
            slack_since: None,
            header: Header::default(),
            position,
            start_revision: position,
            moved_at: now,
            assembly: Assembly::default(),
            ring: Ring::new(position),
            groups: Groups::new(),
            ahead: BTreeSet::new(),
            replaying: BTreeSet::new(),
            events_in: 0,
            events_out: 0,
            watchers: 0,
            waiting: BTreeSet::new(),
            idle_since: Some(now),
            unanswered: 0,
            requested_at: None,
            notified_at: None,
            timer: None,
        }
    }

    pub fn upstream(&self) -> Upstream {
        Upstream { feed: self.id, attempt: self.attempt }
    }

    /// A new opening; nothing of the one before counts any longer.
    pub fn open(&mut self, start_revision: i64) -> Open {
        self.attempt += 1;
        self.start_revision = start_revision;
        self.link = Link::Opening;
        self.assembly = Assembly::default();
        self.unanswered = 0;
        self.requested_at = None;
        self.notified_at = None;
        Open {
            upstream: self.upstream(),
            identity: self.class.identity.clone(),
            range: self.range.clone(),
            prev_kv: self.class.prev_kv,
            start_revision,
            alone: self.alone,
            resumes: self.proven,
        }
    }

    pub fn is_open(&self) -> bool {
        self.link != Link::Opening
    }

    pub fn is_shared(&self) -> bool {
        self.kind == Kind::Shared
    }

    /// Whether somebody may come back to it, or come late.
    pub fn remembers(&self) -> bool {
        self.is_shared() && self.class.private.is_none()
    }

    pub fn is_leaving(&self) -> bool {
        self.fate != Fate::Stays
    }

    /// Someone waits for it to come further, though it may be far already; or to know whether what
    /// is to come was compacted.
    fn wants_progress(&self) -> bool {
        self.is_leaving() || !self.is_shared() || self.link != Link::Flowing
    }

    /// When it may and must ask for progress next; never while it is not open.
    pub fn next_request(&self, config: &Config) -> Option<Instant> {
        let is_needed = self.watchers > 0 || self.is_leaving() || self.standing;
        if self.link == Link::Opening || !is_needed && self.link == Link::Flowing {
            return None;
        }
        let refresh = self.moved_at + config.refresh_interval;
        let after = |pause| self.requested_at.map_or(self.moved_at, |requested| requested + pause);
        let due = if !self.waiting.is_empty() {
            after(config.progress_pause)
        } else if self.wants_progress() {
            // Less and less often where a member does not answer.
            after((config.catch_up_pause * (1 << self.unanswered.min(10))).min(config.refresh_interval))
        } else {
            refresh.max(after(config.refresh_interval))
        };
        Some(due)
    }

    /// When it is closed for want of watchers.
    pub fn expiry(&self, config: &Config) -> Option<Instant> {
        self.idle_since.filter(|_| !self.standing).map(|since| since + config.linger)
    }

    /// When it is looked whether narrower feeds would do.
    pub fn narrows_at(&self, config: &Config) -> Option<Instant> {
        let may =
            self.is_open() && self.remembers() && !self.is_leaving() && !self.standing && self.watchers > 0;
        self.slack_since.filter(|_| may).map(|since| since + config.narrow_after)
    }

    /// Everyone on it with a position.
    pub fn all_watchers(&self) -> Vec<(WatcherId, i64)> {
        let live = self.groups.watchers().into_iter().map(|watcher| (watcher, self.position));
        let ahead = self.ahead.iter().map(|(position, watcher)| (*watcher, *position));
        live.chain(ahead).collect()
    }
}
