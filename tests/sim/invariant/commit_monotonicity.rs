//! Terms, commit and applied indexes never fall, and keep their order.

use super::{Invariant, View};
use crate::event::{Event, Vitals};

#[derive(Debug, Default)]
pub(super) struct CommitMonotonicity;

impl Invariant for CommitMonotonicity {
    fn name(&self) -> &'static str {
        "commit monotonicity"
    }

    fn observe(&mut self, event: &Event, view: &View<'_>) -> Result<(), String> {
        match event {
            Event::Changed { member, before, after } => {
                let rises = before.term <= after.term
                    && before.commit <= after.commit
                    && before.applied <= after.applied;
                if !rises {
                    return Err(format!("{member} falls back from {before:?} to {after:?}"));
                }
                if before.term == after.term && before.vote.is_some() && before.vote != after.vote {
                    return Err(format!("{member} changes its vote in a term: {before:?}, {after:?}"));
                }
                in_order(after)
            }
            Event::Started { member } => {
                let member = &view.members[member];
                let Some(status) = member.status() else { return Ok(()) };
                let (stored, taken) = (member.disk().durable().hard_state, status.hard_state);
                if (stored.term, stored.vote) != (taken.term, taken.vote) || stored.commit > taken.commit {
                    return Err(format!("{} starts with {taken:?} from {stored:?}", member.id));
                }
                in_order(&Vitals::from(status))
            }
            _ => Ok(()),
        }
    }
}

fn in_order(vitals: &Vitals) -> Result<(), String> {
    let Vitals { applied, commit, last, .. } = vitals;
    if applied <= commit && *commit <= last.index { Ok(()) } else { Err(format!("out of order: {vitals:?}")) }
}
