//! Two logs with an entry of the same index and term are equal up to it (Raft paper, figure 3).

use std::collections::BTreeMap;

use etcdlet::raft::index::EntryId;
use etcdlet::raft::{Entry, LogIndex};
use etcdlet::types::ids::{MemberId, Term};

use super::{Invariant, View};
use crate::disk::Image;
use crate::event::Event;
use crate::seed::digest;

#[derive(Debug, Default)]
pub(super) struct LogMatching {
    /// Of the log up to an entry; the same wherever there is such an entry.
    digests: BTreeMap<EntryId, u64>,
    /// The terms of what each was given to write, with the term before the first.
    logs: BTreeMap<MemberId, BTreeMap<LogIndex, Term>>,
}

impl LogMatching {
    fn append(&mut self, member: MemberId, entry: &Entry) -> Result<(), String> {
        let log = self.logs.entry(member).or_default();
        log.split_off(&entry.index);
        let previous = entry.index.previous();
        let term =
            *log.get(&previous).ok_or_else(|| format!("{member} has nothing before {}", entry.id()))?;
        log.insert(entry.index, entry.term);
        let before = EntryId { term, index: previous };
        let before = *self.digests.get(&before).ok_or_else(|| format!("{before} came from nowhere"))?;
        let own = digest(before, &[&entry.term.0.to_le_bytes(), &[entry.kind as u8], &entry.data]);
        if *self.digests.entry(entry.id()).or_insert(own) == own {
            Ok(())
        } else {
            Err(format!("{member} has another log up to {} than others", entry.id()))
        }
    }

    fn begin(&mut self, member: MemberId, first: EntryId) {
        self.logs.insert(member, BTreeMap::from([(first.index, first.term)]));
    }

    fn start(&mut self, member: MemberId, image: &Image) -> Result<(), String> {
        let first = image.compacted;
        // The first members begin behind an entry that nobody wrote, the others before all entries.
        if first.index <= LogIndex(1) {
            self.digests.entry(first).or_default();
        }
        self.begin(member, first);
        image.entries.iter().try_for_each(|entry| self.append(member, entry))
    }
}

impl Invariant for LogMatching {
    fn name(&self) -> &'static str {
        "log matching"
    }

    fn observe(&mut self, event: &Event, view: &View<'_>) -> Result<(), String> {
        match event {
            Event::Persist { member, persist } => {
                if let Some(snapshot) = &persist.snapshot {
                    self.begin(*member, snapshot.last);
                }
                persist.entries.iter().try_for_each(|entry| self.append(*member, entry))
            }
            Event::Started { member } => self.start(*member, view.members[member].disk().durable()),
            _ => Ok(()),
        }
    }
}
