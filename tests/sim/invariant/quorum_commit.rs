//! What a leader commits is durable at a quorum of voters (Raft paper, section 5.4), of both halves of a joint
//! configuration.

use etcdlet::raft::RoleName;
use etcdlet::raft::index::EntryId;
use etcdlet::types::ids::MemberId;

use super::{Invariant, View, need_quorum};
use crate::event::Event;

#[derive(Debug, Default)]
pub(super) struct QuorumCommit;

impl Invariant for QuorumCommit {
    fn name(&self) -> &'static str {
        "quorum commit"
    }

    fn observe(&mut self, event: &Event, view: &View<'_>) -> Result<(), String> {
        let Event::Changed { member, before, after } = event else { return Ok(()) };
        let leads = before.role == RoleName::Leader && after.role == RoleName::Leader;
        if !leads || after.commit == before.commit {
            return Ok(());
        }
        let Some(status) = view.members[member].status() else { return Ok(()) };
        let committed = EntryId { term: after.term, index: after.commit };
        need_quorum(&status.membership, |id| holds(id, committed, view))
            .map_err(|why| format!("{member} commits {committed}, held {why}"))
    }
}

fn holds(id: MemberId, entry: EntryId, view: &View<'_>) -> bool {
    let log = view.members.get(&id).map(|member| member.disk().durable());
    log.is_some_and(|log| entry.index <= log.compacted.index || log.term(entry.index) == Some(entry.term))
}
