//! No two members apply different entries at an index (Raft paper, figure 3), nor anything different before it.

use std::collections::BTreeMap;

use etcdlet::raft::LogIndex;
use etcdlet::types::ids::MemberId;

use super::{Invariant, View};
use crate::event::Event;

#[derive(Debug, Default)]
pub(super) struct StateMachineSafety {
    /// Of all that was applied up to an index, with who was first.
    digests: BTreeMap<LogIndex, (u64, MemberId)>,
}

impl Invariant for StateMachineSafety {
    fn name(&self) -> &'static str {
        "state machine safety"
    }

    fn observe(&mut self, event: &Event, view: &View<'_>) -> Result<(), String> {
        let (index, digest, member) = match event {
            Event::Applied { member, entry, digest, .. } => (entry.index, *digest, *member),
            Event::Restored { member, last, digest, .. } => (last.index, *digest, *member),
            Event::Started { member } => {
                let Some(process) = view.members[member].process() else { return Ok(()) };
                (process.machine().applied(), process.machine().digest(), *member)
            }
            _ => return Ok(()),
        };
        let (first, by) = *self.digests.entry(index).or_insert((digest, member));
        if first == digest {
            Ok(())
        } else {
            Err(format!("{by} and {member} have applied different entries up to {index}"))
        }
    }
}
