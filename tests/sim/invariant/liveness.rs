//! Once faults stop, the cluster becomes whole again: clients are served, and every member catches up.
//!
//! One end is allowed: nobody can be elected, because a member that has left the voters, and need not know of the
//! others any more, has a longer log than those who still count on its vote. etcd's core stops there too.

use std::collections::{BTreeMap, BTreeSet};

use etcdlet::raft::quorum::{Majority, VoteResult};
use etcdlet::raft::{Config, HardState, LogIndex, RoleName, SoftState, Status};
use etcdlet::types::ids::MemberId;

use super::{Invariant, View};
use crate::event::Event;
use crate::linearizable::Request;
use crate::state_machine::RequestId;

#[derive(Debug, Default)]
pub(super) struct Liveness {
    /// What was committed anywhere when faults stopped; none before.
    committed: Option<LogIndex>,
    /// Asked for since then.
    reads: BTreeSet<RequestId>,
    writes: BTreeSet<RequestId>,
    read_answered: bool,
    write_answered: bool,
    stuck: bool,
}

impl Invariant for Liveness {
    fn name(&self) -> &'static str {
        "liveness"
    }

    fn observe(&mut self, event: &Event, view: &View<'_>) -> Result<(), String> {
        match event {
            Event::Answered { id, .. } => {
                self.read_answered |= self.reads.contains(id);
                self.write_answered |= self.writes.contains(id);
            }
            Event::Called { command, .. } if self.committed.is_some() => {
                let ids = if command.request == Request::Get { &mut self.reads } else { &mut self.writes };
                ids.insert(command.id);
            }
            Event::Calm => {
                let commit = |status: &&Status| status.hard_state.commit;
                self.committed = Some(up(view).values().map(commit).max().unwrap_or_default());
            }
            _ => {}
        }
        Ok(())
    }

    fn waits(&self, view: &View<'_>) -> bool {
        self.wanting(&up(view), &view.scenario.config).is_some()
    }

    fn finish(&mut self, view: &View<'_>) -> Result<(), String> {
        let up = up(view);
        let Some(what) = self.wanting(&up, &view.scenario.config) else { return Ok(()) };
        self.stuck = is_stuck_rightly(&up);
        if self.stuck { Ok(()) } else { Err(format!("{what} although there are no faults:{}", shown(&up))) }
    }

    fn remark(&self) -> Option<&'static str> {
        self.stuck.then_some("stuck for want of a former voter")
    }
}

impl Liveness {
    fn wanting(&self, up: &BTreeMap<MemberId, &Status>, config: &Config) -> Option<String> {
        if !self.write_answered {
            return Some(String::from("no write is done"));
        }
        if !self.read_answered {
            return Some(String::from("no read is answered"));
        }
        self.left_behind(up, config).map(|id| format!("{id} does not catch up"))
    }

    /// A member of the present configuration without all that was committed when faults stopped.
    fn left_behind(&self, up: &BTreeMap<MemberId, &Status>, config: &Config) -> Option<MemberId> {
        let newest = up.values().max_by_key(|status| status.applied)?;
        // With neither of these nobody tells a leader of a later term but candidates, which a learner never is: the
        // votes that it is asked for by members that were removed can leave it in a term of its own, for ever.
        let is_told = config.check_quorum || config.pre_vote;
        let is_lost = |status: &Status| !is_told && status.hard_state.term > newest.hard_state.term;
        let learners = &newest.membership.learners;
        let has_all = |id: MemberId, status: &Status| {
            Some(status.applied) >= self.committed || learners.contains(&id) && is_lost(status)
        };
        newest.membership.ids().into_iter().find(|id| !up.get(id).is_some_and(|status| has_all(*id, status)))
    }
}

fn up<'a>(view: &View<'a>) -> BTreeMap<MemberId, &'a Status> {
    let status = |member: &'a crate::member::Member| Some((member.id, member.status()?));
    view.members.values().filter_map(status).collect()
}

fn shown(up: &BTreeMap<MemberId, &Status>) -> String {
    let line = |status: &&Status| {
        let Status { id, hard_state, soft_state, applied, last, membership, .. } = status;
        let (HardState { term, commit, .. }, role) = (hard_state, soft_state.role);
        let joint = |ids: &Majority| ids.iter().map(|id| id.to_string()).collect::<Vec<_>>().join(" ");
        let (incoming, outgoing) = (joint(&membership.voters.incoming), joint(&membership.voters.outgoing));
        format!(
            "\n  {id} {role:?} in {term} applied {applied} commit {commit} last {last} voters {incoming}/{outgoing}"
        )
    };
    up.values().map(line).collect()
}

/// Whether nobody leads or can be elected, and somebody could if former voters voted for it.
fn is_stuck_rightly(up: &BTreeMap<MemberId, &Status>) -> bool {
    let wins = |candidate: &Status, votes: &dyn Fn(&Status) -> bool| {
        let vote =
            |id| Some(up.get(&id).is_some_and(|status| status.last <= candidate.last || votes(status)));
        is_voter(candidate) && candidate.membership.voters.vote_result(vote) == VoteResult::Won
    };
    let none = |_: &Status| false;
    let former = |status: &Status| !is_voter(status);
    // Who does not vote has no timeout either: it may take a leader that has stepped down for one for ever.
    let led = |status: &Status| match status.soft_state {
        SoftState { role: RoleName::Leader, .. } => true,
        SoftState { leader, .. } => leader.is_some() && is_voter(status),
    };
    !up.values().any(|status| led(status))
        && !up.values().any(|status| wins(status, &none))
        && up.values().any(|status| wins(status, &former))
}

/// By the configuration that it knows itself.
fn is_voter(status: &Status) -> bool {
    status.membership.voters.contains(status.id)
}
