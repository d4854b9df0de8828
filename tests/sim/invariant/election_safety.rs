//! At most one leader a term (Raft paper, figure 3), which holds after crashes too: the votes of a quorum are durable, and
//! the leader's own is.

use std::collections::BTreeMap;

use etcdlet::raft::RoleName;
use etcdlet::types::ids::{MemberId, Term};

use super::{Invariant, View, need_quorum};
use crate::event::Event;

#[derive(Debug, Default)]
pub(super) struct ElectionSafety {
    leaders: BTreeMap<Term, MemberId>,
}

impl Invariant for ElectionSafety {
    fn name(&self) -> &'static str {
        "election safety"
    }

    fn observe(&mut self, event: &Event, view: &View<'_>) -> Result<(), String> {
        let Event::Changed { member, before, after } = event else { return Ok(()) };
        let elected = before.role != RoleName::Leader || before.term != after.term;
        if after.role != RoleName::Leader || !elected {
            return Ok(());
        }
        let first = *self.leaders.entry(after.term).or_insert(*member);
        if first != *member {
            return Err(format!("{first} and {member} both lead term {}", after.term));
        }
        let own = view.members[member].disk().durable().hard_state;
        if own.term < after.term || own.vote != Some(*member) {
            return Err(format!("{member} leads {} and could forget that it voted: {own:?}", after.term));
        }
        let Some(status) = view.members[member].status() else { return Ok(()) };
        need_quorum(&status.membership, |id| has_voted(id, *member, after.term, view))
            .map_err(|why| format!("{member} leads {}, voted for {why}", after.term))
    }
}

/// For good, or has gone on to a later term.
fn has_voted(id: MemberId, candidate: MemberId, term: Term, view: &View<'_>) -> bool {
    view.members.get(&id).is_some_and(|member| {
        let own = member.disk().durable().hard_state;
        own.term > term || own.term == term && own.vote == Some(candidate)
    })
}
