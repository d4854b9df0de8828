//! Members agree on the membership after each entry, consecutive ones have no disjoint quorums, changes come one at a
//! time, and only a voter is elected (Raft thesis, chapter 4).

use std::collections::{BTreeMap, BTreeSet};

use etcdlet::raft::{ConfState, LogIndex, Persist, RoleName};
use etcdlet::types::ids::{MemberId, Term};

use super::{Invariant, View};
use crate::event::Event;

#[derive(Debug, Default)]
pub(super) struct ConfigurationSafety {
    /// After the entries that could change it.
    memberships: BTreeMap<LogIndex, ConfState>,
    /// The last change that each leader has put into its log.
    proposed: BTreeMap<(MemberId, Term), LogIndex>,
}

impl ConfigurationSafety {
    fn handle_membership(
        &mut self,
        member: MemberId,
        index: LogIndex,
        now: &ConfState,
    ) -> Result<(), String> {
        if let Some(first) = self.memberships.get(&index) {
            return if first == now {
                Ok(())
            } else {
                Err(format!("{member} has {now:?} after {index}, others {first:?}"))
            };
        }
        if let Some((_, before)) = self.memberships.range(..index).next_back() {
            follows(before, now).map_err(|why| format!("{why} at {index}: from {before:?} to {now:?}"))?;
        }
        self.memberships.insert(index, now.clone());
        Ok(())
    }

    /// What a snapshot says is what it was when its last entry was applied.
    fn handle_snapshot(&mut self, member: MemberId, index: LogIndex, now: &ConfState) -> Result<(), String> {
        match self.memberships.range(..=index).next_back() {
            Some((_, known)) if known != now => {
                Err(format!("{member} takes {now:?} from a snapshot at {index}, it was {known:?}"))
            }
            _ => Ok(()),
        }
    }

    fn handle_proposal(
        &mut self,
        member: MemberId,
        persist: &Persist,
        view: &View<'_>,
    ) -> Result<(), String> {
        let Some(status) = view.members[&member].status() else { return Ok(()) };
        let term = status.hard_state.term;
        for entry in persist.entries.iter().filter(|entry| entry.is_conf_change() && entry.term == term) {
            let stored = &view.members[&member].disk().written().entries;
            let stored = stored.iter().filter(|it| it.is_conf_change() && it.index < entry.index);
            let before = stored.map(|it| it.index).chain(self.proposed.get(&(member, term)).copied()).max();
            if let Some(before) = before.filter(|before| *before > status.applied && *before < entry.index) {
                let applied = status.applied;
                return Err(format!(
                    "{member} proposes a change at {} behind one at {before}, having applied {applied}",
                    entry.index
                ));
            }
            self.proposed.insert((member, term), entry.index);
        }
        Ok(())
    }
}

impl Invariant for ConfigurationSafety {
    fn name(&self) -> &'static str {
        "configuration safety"
    }

    fn observe(&mut self, event: &Event, view: &View<'_>) -> Result<(), String> {
        match event {
            Event::Applied { member, entry, membership: Some(membership), .. } => {
                self.handle_membership(*member, entry.index, membership)
            }
            Event::Changed { member, before, after } if after.role == RoleName::Leader => {
                let elected = before.role != RoleName::Leader || before.term != after.term;
                let voters = view.members[member].status().map(|status| &status.membership.voters);
                if elected && voters.is_some_and(|voters| !voters.contains(*member)) {
                    return Err(format!("{member} is elected and no voter of {voters:?}"));
                }
                Ok(())
            }
            Event::Persist { member, persist } if view.role(*member) == Some(RoleName::Leader) => {
                self.handle_proposal(*member, persist, view)
            }
            Event::Restored { member, last, membership, .. } => {
                self.handle_snapshot(*member, last.index, membership)
            }
            Event::Started { member } => {
                let snapshot = &view.members[member].disk().durable().snapshot;
                if self.memberships.is_empty() {
                    self.memberships.insert(snapshot.last.index, snapshot.conf_state.clone());
                }
                if snapshot.last.index == LogIndex::ZERO {
                    return Ok(());
                }
                self.handle_snapshot(*member, snapshot.last.index, &snapshot.conf_state)
            }
            _ => Ok(()),
        }
    }
}

/// Whether every quorum of one has a member in common with every quorum of the other.
fn follows(before: &ConfState, now: &ConfState) -> Result<(), &'static str> {
    let set = |ids: &[MemberId]| ids.iter().copied().collect::<BTreeSet<_>>();
    let (voters, then) = (set(&now.voters), set(&before.voters));
    let (outgoing, outgoing_then) = (set(&now.voters_outgoing), set(&before.voters_outgoing));
    if voters.is_empty() || now.learners.iter().any(|id| voters.contains(id) || outgoing.contains(id)) {
        return Err("no legal membership");
    }
    match (outgoing_then.is_empty(), outgoing.is_empty()) {
        (true, true) if voters.symmetric_difference(&then).count() > 1 => Err("several voters at once"),
        (true, false) if outgoing != then => {
            Err("a joint configuration that does not begin with the last one")
        }
        (false, true) if voters != then => Err("a joint configuration that ends with another one"),
        (false, false) if (voters, outgoing) != (then, outgoing_then) => Err("a change within a joint one"),
        _ => Ok(()),
    }
}
