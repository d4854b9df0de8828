//! What happens by itself after a while.

use std::time::Instant;

use super::feed::Feed;
use super::stream::Stream;
use super::{Core, FeedId, Output, StreamId};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    Feed(FeedId),
    Stream(StreamId),
}

impl Core {
    /// When [`Self::handle_timeout`] has something to do at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at).into_iter().chain(self.replays_due).min()
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((at, timer)) = self.timers.first().copied()
            && at <= now
        {
            self.timers.remove(&(at, timer));
            match timer {
                Timer::Feed(feed) => self.on_feed_timer(feed, now),
                Timer::Stream(stream) => {
                    if let Some(state) = self.streams.get_mut(&stream) {
                        state.tick = None;
                    }
                    self.tick(stream, now);
                }
            }
        }
    }

    fn on_feed_timer(&mut self, id: FeedId, now: Instant) {
        let Some(feed) = self.feeds.get_mut(&id) else { return };
        feed.timer = None;
        if feed.expiry(&self.config).is_some_and(|expiry| expiry <= now) {
            return self.close(id, now);
        }
        if feed.narrows_at(&self.config).is_some_and(|due| due <= now) {
            self.narrow(id, now);
        }
        self.arm(id, now);
    }

    /// Asks for progress if that is due, and sets the timer of a feed to what is due next. To be
    /// called when one of these times may have come nearer; it is found out by itself when one has
    /// become later.
    pub(super) fn arm(&mut self, id: FeedId, now: Instant) {
        let Some(feed) = self.feeds.get_mut(&id) else { return };
        let mut request = feed.next_request(&self.config);
        if request.is_some_and(|due| due <= now) {
            if feed.unanswered >= UNANSWERED_MAX {
                // Others on its stream may be the reason; or the member has not caught up, or has
                // nothing new since the watch began.
                self.isolate(id, now);
                self.confirm(id);
                self.give_up_waiting(id, now);
            }
            let Some(feed) = self.feeds.get_mut(&id) else { return };
            feed.requested_at = Some(now);
            feed.unanswered = feed.unanswered.saturating_add(1);
            self.outputs.push_back(Output::RequestProgress(feed.upstream()));
            request = feed.next_request(&self.config);
        }
        let Some(feed) = self.feeds.get_mut(&id) else { return };
        let due = [request, feed.expiry(&self.config), feed.narrows_at(&self.config)];
        let due = due.into_iter().flatten().min();
        if let Some(due) = due
            && feed.timer.is_none_or(|set| due < set)
        {
            if let Some(set) = feed.timer.replace(due) {
                self.timers.remove(&(set, Timer::Feed(id)));
            }
            self.timers.insert((due, Timer::Feed(id)));
        }
    }

    pub(super) fn disarm(&mut self, feed: &Feed) {
        if let Some(set) = feed.timer {
            self.timers.remove(&(set, Timer::Feed(feed.id)));
        }
    }

    pub(super) fn set_tick(&mut self, stream: StreamId, tick: Option<Instant>) {
        let Some(state) = self.streams.get_mut(&stream) else { return };
        if let Some(set) = std::mem::replace(&mut state.tick, tick) {
            self.timers.remove(&(set, Timer::Stream(stream)));
        }
        self.timers.extend(tick.map(|tick| (tick, Timer::Stream(stream))));
    }

    pub(super) fn stop_ticking(&mut self, stream: StreamId, state: &mut Stream) {
        if let Some(set) = state.tick.take() {
            self.timers.remove(&(set, Timer::Stream(stream)));
        }
    }
}

/// Progress requests of a feed before its position is taken as it is. What is known is true, and
/// clients that need more ask again.
const UNANSWERED_MAX: u32 = 4;
