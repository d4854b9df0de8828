//! What is committed in a term is in the logs of the leaders of all later terms (Raft paper, figure 3).

use std::collections::BTreeMap;

use etcdlet::raft::{LogIndex, RoleName};
use etcdlet::types::ids::{MemberId, Term};

use super::{Invariant, View};
use crate::event::Event;

#[derive(Debug, Default)]
pub(super) struct LeaderCompleteness {
    /// The terms of entries that somebody took for committed, with the earliest term in which one did.
    committed: BTreeMap<LogIndex, (Term, Term)>,
}

impl LeaderCompleteness {
    fn note(&mut self, index: LogIndex, term: Term, in_term: Term) {
        let (_, earliest) = self.committed.entry(index).or_insert((term, in_term));
        *earliest = in_term.min(*earliest);
    }

    /// An election that began earlier may be won late, and such a leader need not know of later ones.
    fn check(&self, leader: MemberId, leads: Term, view: &View<'_>) -> Result<(), String> {
        // Who leads has made its own vote durable, and so what it wrote before.
        let log = view.members[&leader].disk().durable();
        for (index, (term, in_term)) in self.committed.range(log.compacted.index.next()..) {
            if *in_term < leads && log.term(*index) != Some(*term) {
                let found = log.term(*index);
                return Err(format!(
                    "{leader} leads without {term}/{index}, which was committed; it has {found:?}"
                ));
            }
        }
        Ok(())
    }
}

impl Invariant for LeaderCompleteness {
    fn name(&self) -> &'static str {
        "leader completeness"
    }

    fn observe(&mut self, event: &Event, view: &View<'_>) -> Result<(), String> {
        match event {
            Event::Applied { member, entry, .. } => {
                if let Some(status) = view.members[member].status() {
                    self.note(entry.index, entry.term, status.hard_state.term);
                }
                Ok(())
            }
            Event::Changed { member, before, after } if after.role == RoleName::Leader => {
                if before.role != RoleName::Leader || before.term != after.term {
                    return self.check(*member, after.term, view);
                }
                // It commits by counting an entry of its own term.
                if after.commit > before.commit {
                    self.note(after.commit, after.term, after.term);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
