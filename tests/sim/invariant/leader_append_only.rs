//! A leader never overwrites or drops an entry of its own log (Raft paper, figure 3).

use std::collections::BTreeMap;

use etcdlet::raft::{LogIndex, RoleName};
use etcdlet::types::ids::MemberId;

use super::{Invariant, View};
use crate::event::Event;

#[derive(Debug, Default)]
pub(super) struct LeaderAppendOnly {
    /// The last entry that each was given to write.
    written: BTreeMap<MemberId, LogIndex>,
}

impl Invariant for LeaderAppendOnly {
    fn name(&self) -> &'static str {
        "leader append-only"
    }

    fn observe(&mut self, event: &Event, view: &View<'_>) -> Result<(), String> {
        match event {
            Event::Changed { member, before, after } => {
                let leads = before.role == RoleName::Leader && after.role == RoleName::Leader;
                if leads && before.term == after.term && after.last < before.last {
                    return Err(format!("leader {member} had {} and has {} now", before.last, after.last));
                }
            }
            Event::Persist { member, persist } => {
                let last = self.written.entry(*member).or_default();
                let leads = view.role(*member) == Some(RoleName::Leader);
                let first = persist.entries.first().map(|entry| entry.index);
                if leads && (persist.snapshot.is_some() || first.is_some_and(|first| first <= *last)) {
                    return Err(format!("leader {member} writes {first:?} over its log up to {last}"));
                }
                if let Some(entry) = persist.entries.last() {
                    *last = entry.index;
                } else if let Some(snapshot) = &persist.snapshot {
                    *last = snapshot.last.index;
                }
            }
            Event::Started { member } => {
                self.written.insert(*member, view.members[member].disk().durable().last().index);
            }
            _ => {}
        }
        Ok(())
    }
}
