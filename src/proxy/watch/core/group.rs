//! Watchers of a feed that see the same events, so that these are put together once.

use std::collections::HashMap;

use super::batch::Batch;
use super::index::Index;
use super::message::Filters;
use super::output::{StreamId, WatcherId};
use super::range::Range;
use super::watcher::Seat;

/// All groups of a feed.
pub(super) struct Groups {
    index: Index<u32>,
    by_want: HashMap<(Range, Filters), u32>,
    groups: Vec<Group>,
    free: Vec<u32>,
}

pub(super) struct Group {
    range: Range,
    filters: Filters,
    pub members: Vec<Member>,
    /// Events of the present batch.
    pub chosen: Vec<u32>,
}

/// What a delivery must know of a watcher.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub watcher: WatcherId,
    pub stream: StreamId,
    pub watch_id: i64,
    pub fragment: bool,
    pub progress_notify: bool,
}

impl Groups {
    pub fn new() -> Self {
        Self { index: Index::new(), by_want: HashMap::new(), groups: Vec::new(), free: Vec::new() }
    }

    pub fn join(&mut self, range: &Range, filters: Filters, member: Member) -> Seat {
        let want = (range.clone(), filters);
        let number = if let Some(number) = self.by_want.get(&want) {
            *number
        } else {
            let group = Group { range: range.clone(), filters, members: Vec::new(), chosen: Vec::new() };
            let number = self.add(group);
            self.index.insert(range.clone(), number);
            self.by_want.insert(want, number);
            number
        };
        let members = &mut self.groups[number as usize].members;
        members.push(member);
        let at = u32::try_from(members.len() - 1).expect("watchers are limited");
        Seat { group: number, at }
    }

    /// Tells who has taken the seat.
    pub fn leave(&mut self, seat: Seat) -> Option<WatcherId> {
        let group = &mut self.groups[seat.group as usize];
        group.members.swap_remove(seat.at as usize);
        if group.members.is_empty() {
            let range = group.range.clone();
            self.index.remove(&range, seat.group);
            self.by_want.remove(&(range, group.filters));
            self.free.push(seat.group);
            return None;
        }
        group.members.get(seat.at as usize).map(|member| member.watcher)
    }

    /// Notes in each group which events it wants, and tells the groups that want any.
    pub fn choose(&mut self, batch: &Batch, touched: &mut Vec<u32>) {
        let Self { index, groups, .. } = self;
        for (at, event) in (0..).zip(batch.events()) {
            index.stab(batch.key(event), |_, number| {
                let group = &mut groups[number as usize];
                if group.filters.pass(event.kind) {
                    if group.chosen.is_empty() {
                        touched.push(number);
                    }
                    group.chosen.push(at);
                }
            });
        }
    }

    pub fn group(&self, number: u32) -> &Group {
        &self.groups[number as usize]
    }

    /// Forgets what was chosen, and keeps its memory.
    pub fn clear(&mut self, touched: &mut Vec<u32>) {
        for number in touched.drain(..) {
            self.groups[number as usize].chosen.clear();
        }
    }

    pub fn watchers(&self) -> Vec<WatcherId> {
        self.groups.iter().flat_map(|group| &group.members).map(|member| member.watcher).collect()
    }

    fn add(&mut self, group: Group) -> u32 {
        if let Some(number) = self.free.pop() {
            self.groups[number as usize] = group;
            return number;
        }
        self.groups.push(group);
        u32::try_from(self.groups.len() - 1).expect("watchers are limited")
    }
}
