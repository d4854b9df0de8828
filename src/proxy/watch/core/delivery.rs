//! Events on their way from a feed to its watchers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::group::Member;
use super::message::{Fore, write_head};
use super::numbers::Counts;
use super::output::WatcherId;
use super::requests::HEAD_BYTES;
use super::stream::Stream;
use super::upstream::take_due;
use super::watcher::{Place, Watcher};
use super::{Batch, Config, Core, Delivery, Event, Events, FeedId, Header, Output, Spread, StreamId};

/// Events for one watcher, or for several that see the same.
struct Chosen<'a> {
    events: Vec<(&'a Batch, &'a Event)>,
    together: Events,
    length: usize,
}

/// The stream has no room.
struct Full;

/// What sending takes of the core.
struct Sender<'a> {
    config: &'a Config,
    streams: &'a mut HashMap<StreamId, Stream, Spread>,
    outputs: &'a mut std::collections::VecDeque<Output>,
    heads: &'a mut BytesMut,
    counts: &'a mut Counts,
    header: Header,
    /// The last head that was written: watchers on streams of their own mostly have the same id.
    last: Option<(i64, usize, Bytes)>,
}

impl Core {
    /// A batch of whole revisions from the feed's position on.
    pub(super) fn deliver(&mut self, id: FeedId, batch: Batch, now: Instant) {
        let Some(feed) = self.feeds.get_mut(&id) else { return };
        let before = feed.position;
        let (events_before, bytes_before) = (self.counts.events_out, self.counts.bytes_out);
        feed.position = batch.last_revision() + 1;
        feed.moved_at = now;
        let batch = Arc::new(batch);
        let mut touched = std::mem::take(&mut self.touched);
        feed.groups.choose(&batch, &mut touched);
        let mut sender = Sender {
            config: &self.config,
            streams: &mut self.streams,
            outputs: &mut self.outputs,
            heads: &mut self.heads,
            counts: &mut self.counts,
            header: feed.header,
            last: None,
        };
        let mut full = Vec::new();
        let mut prepared: Option<(&[u32], Chosen<'_>)> = None;
        for number in &touched {
            let group = feed.groups.group(*number);
            // Ranges around the same keys see the same events.
            let chosen = match prepared {
                Some((same, chosen)) if same == group.chosen => chosen,
                _ => {
                    let events = group.chosen.iter().map(|at| (&*batch, &batch.events()[*at as usize]));
                    sender.last = None;
                    Chosen::new(events.collect())
                }
            };
            for member in &group.members {
                match sender.send(member, &chosen) {
                    Ok(()) => {
                        if member.progress_notify {
                            keep_quiet(&mut self.watchers, member.watcher);
                        }
                    }
                    Err(Full) => full.push(member.watcher),
                }
            }
            prepared = Some((&group.chosen, chosen));
        }
        feed.groups.clear(&mut touched);
        self.touched = touched;
        for (position, watcher) in take_due(feed) {
            self.deliver_late(watcher, id, position, &batch, now);
        }
        for watcher in full {
            self.lag(watcher, before, now);
        }
        let received = batch.events().iter().map(|event| event.len() as u64).sum();
        self.counts.bytes_saved += (self.counts.bytes_out - bytes_before).saturating_sub(received);
        if let Some(feed) = self.feeds.get_mut(&id) {
            feed.events_out += self.counts.events_out - events_before;
        }
        self.keep(id, batch);
    }

    /// The rest of a batch for a watcher whose position the feed has passed with it.
    fn deliver_late(&mut self, id: WatcherId, feed: FeedId, position: i64, batch: &Batch, now: Instant) {
        let Some(watcher) = self.watchers.get(&id) else { return };
        let events = batch.events().iter().filter(|event| {
            event.revision >= position
                && watcher.filters.pass(event.kind)
                && watcher.range.includes(batch.key(event))
        });
        let chosen = Chosen::new(events.map(|event| (batch, event)).collect());
        let sent = self.send_one(id, feed, &chosen);
        self.on_met(id, feed, position);
        if sent.is_err() {
            self.lag(id, position, now);
        }
    }

    /// One step of a watcher that a ring has something for.
    pub(super) fn replay(&mut self, id: WatcherId, now: Instant) {
        let Some(watcher) = self.watchers.get(&id) else { return };
        let Place::Replaying { feed: feed_id, position } = watcher.place else { return };
        // Out of the map, because its events are looked at while they are sent.
        let Some(feed) = self.feeds.get(&feed_id) else { return };
        if position < feed.ring.floor() {
            self.detach(id, now);
            return self.place(id, position, now);
        }
        let (mut events, mut next, mut bytes, mut seen) = (Vec::new(), feed.position, 0, 0);
        let mut last = 0;
        for (batch, event) in feed.ring.from(position) {
            let enough = bytes >= self.config.replay_bytes || seen >= self.config.replay_events;
            if enough && event.revision != last {
                next = event.revision;
                break;
            }
            (last, seen) = (event.revision, seen + 1);
            if watcher.filters.pass(event.kind) && watcher.range.includes(batch.key(event)) {
                bytes += event.len();
                events.push((batch, event));
            }
        }
        let bytes_before = self.counts.bytes_out;
        self.replayed += seen.max(1);
        let chosen = Chosen::new(events);
        let header = feed.header;
        let member = member_of(watcher, id);
        let mut sender = Sender {
            config: &self.config,
            streams: &mut self.streams,
            outputs: &mut self.outputs,
            heads: &mut self.heads,
            counts: &mut self.counts,
            header,
            last: None,
        };
        if sender.send(&member, &chosen).is_err() {
            return self.lag(id, position, now);
        }
        if !chosen.events.is_empty() {
            keep_quiet(&mut self.watchers, id);
        }
        let sent = chosen.events.len() as u64;
        // Another watch would have had to bring it.
        self.counts.bytes_saved += self.counts.bytes_out - bytes_before;
        if let Some(feed) = self.feeds.get_mut(&feed_id) {
            feed.events_out += sent;
        }
        self.on_replayed(id, feed_id, next);
    }

    fn on_replayed(&mut self, id: WatcherId, feed_id: FeedId, position: i64) {
        let (Some(watcher), Some(feed)) = (self.watchers.get_mut(&id), self.feeds.get_mut(&feed_id)) else {
            return;
        };
        if position == feed.position {
            feed.replaying.remove(&id);
            super::joining::seat(watcher, id, feed);
        } else {
            watcher.place = Place::Replaying { feed: feed_id, position };
            self.replays.push_back(id);
        }
    }

    fn send_one(&mut self, id: WatcherId, feed: FeedId, chosen: &Chosen<'_>) -> Result<(), Full> {
        let (Some(watcher), Some(feed)) = (self.watchers.get_mut(&id), self.feeds.get(&feed)) else {
            return Ok(());
        };
        let member = member_of(watcher, id);
        let mut sender = Sender {
            config: &self.config,
            streams: &mut self.streams,
            outputs: &mut self.outputs,
            heads: &mut self.heads,
            counts: &mut self.counts,
            header: feed.header,
            last: None,
        };
        sender.send(&member, chosen)?;
        watcher.quiet &= chosen.events.is_empty();
        Ok(())
    }

    /// Its stream has no room for what is at `position`, so it waits off its feed.
    fn lag(&mut self, id: WatcherId, position: i64, now: Instant) {
        self.detach(id, now);
        let Some(watcher) = self.watchers.get_mut(&id) else { return };
        watcher.place = Place::Lagging { position };
        watcher.behind_since.get_or_insert(now);
        self.counts.lags += 1;
        if let Some(stream) = self.streams.get_mut(&watcher.stream) {
            stream.lagging.push(id);
        }
    }

    /// Keeps a batch for those to come, as long as there is room.
    fn keep(&mut self, id: FeedId, batch: Arc<Batch>) {
        let Some(feed) = self.feeds.get_mut(&id) else { return };
        if !feed.remembers() {
            return feed.ring.restart(feed.position);
        }
        self.ring_bytes += batch.size();
        feed.ring.push(batch);
        if self.ring_bytes <= self.config.ring_bytes {
            return;
        }
        // Some at once, so that the feeds need not be looked through each time. Those give that have
        // more than their share.
        let enough = self.config.ring_bytes - self.config.ring_bytes / 16;
        let rings = self.feeds.values().filter(|feed| feed.ring.bytes() > 0).count();
        let share = enough / rings.max(1);
        for feed in self.feeds.values_mut() {
            while self.ring_bytes > enough && feed.ring.bytes() > share {
                let before = feed.ring.bytes();
                feed.ring.evict();
                self.ring_bytes -= before - feed.ring.bytes();
            }
        }
    }
}

fn keep_quiet(watchers: &mut HashMap<WatcherId, Watcher, Spread>, id: WatcherId) {
    if let Some(watcher) = watchers.get_mut(&id) {
        watcher.quiet = false;
    }
}

fn member_of(watcher: &Watcher, id: WatcherId) -> Member {
    Member {
        watcher: id,
        stream: watcher.stream,
        watch_id: watcher.watch_id,
        fragment: watcher.fragment,
        progress_notify: watcher.progress_notify,
    }
}

impl<'a> Chosen<'a> {
    fn new(events: Vec<(&'a Batch, &'a Event)>) -> Self {
        let together = Events::gather(events.iter().copied());
        Self { length: together.len(), events, together }
    }

    /// As many events in each part as etcd's `sendFragments` puts there: so many that the message
    /// stays below the limit, and at least one.
    fn parts(&self, head: usize, limit: usize) -> Vec<&[(&'a Batch, &'a Event)]> {
        let (mut parts, mut start, mut size) = (Vec::new(), 0, head);
        for (at, (_, event)) in self.events.iter().enumerate() {
            if at > start && size + event.len() >= limit {
                parts.push(&self.events[start..at]);
                (start, size) = (at, head);
            }
            size += event.len();
        }
        parts.push(&self.events[start..]);
        parts
    }
}

impl Sender<'_> {
    /// Nothing is sent where there are no events. The header has the revision of the last event,
    /// which is all that its reader has been shown.
    fn send(&mut self, member: &Member, chosen: &Chosen<'_>) -> Result<(), Full> {
        let Some((_, last)) = chosen.events.last() else { return Ok(()) };
        let Some(stream) = self.streams.get_mut(&member.stream) else { return Ok(()) };
        if stream.queued >= self.config.stream_bytes {
            return Err(Full);
        }
        self.counts.events_out += chosen.events.len() as u64;
        stream.shown = stream.shown.max(last.revision);
        self.header.revision = last.revision;
        let fore = Fore { watch_id: member.watch_id, ..Fore::default() };
        let head = match &self.last {
            Some((watch_id, length, head)) if (*watch_id, *length) == (member.watch_id, chosen.length) => {
                head.clone()
            }
            _ => {
                if self.heads.capacity() < HEAD_BYTES {
                    self.heads.reserve(HEADS_BYTES);
                }
                let head = write_head(self.heads, &self.header, &fore, chosen.length);
                self.last = Some((member.watch_id, chosen.length, head.clone()));
                head
            }
        };
        let message = head.len() - 5 + chosen.length;
        let mut push = |head: Bytes, events: Events, length: usize| {
            let bytes = head.len() + length;
            stream.queued += bytes;
            self.counts.bytes_out += bytes as u64;
            self.outputs.push_back(Output::Deliver(Delivery { stream: member.stream, head, events }));
        };
        if !member.fragment || message < self.config.fragment_bytes || chosen.events.len() < 2 {
            push(head, chosen.together.clone(), chosen.length);
            return Ok(());
        }
        // With two bytes more for the mark of a fragment.
        let parts = chosen.parts(head.len() - 5 + 2, self.config.fragment_bytes);
        for (at, part) in (1..).zip(&parts) {
            let events = Events::gather(part.iter().copied());
            let fore = Fore { fragment: at < parts.len(), ..fore };
            let head = write_head(self.heads, &self.header, &fore, events.len());
            let length = events.len();
            push(head, events, length);
        }
        Ok(())
    }
}

/// Heads that share one allocation, which lives until the last of them is sent.
const HEADS_BYTES: usize = 4096;
