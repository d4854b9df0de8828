//! What must hold at every moment, or after a run; one file each.
//!
//! An invariant sees every event and may look at all members. It keeps its own memory of what happened, and relies on
//! nothing that the code under test says about itself if the disk can be asked instead.

mod commit_monotonicity;
mod configuration_safety;
mod durability;
mod election_safety;
mod leader_append_only;
mod leader_completeness;
mod liveness;
mod log_matching;
mod quorum_commit;
mod read_linearizability;
mod state_machine_safety;

use std::collections::BTreeMap;

use etcdlet::raft::RoleName;
use etcdlet::raft::confchange::Membership;
use etcdlet::types::ids::MemberId;

use super::event::Event;
use super::member::Member;
use super::scenario::Scenario;

pub(crate) trait Invariant {
    fn name(&self) -> &'static str;

    /// An error says what is wrong, with the facts.
    fn observe(&mut self, event: &Event, view: &View<'_>) -> Result<(), String>;

    /// Whether something that must come to be has not, so that a run that could end goes on.
    fn waits(&self, _view: &View<'_>) -> bool {
        false
    }

    /// The run is over, after its calm part.
    fn finish(&mut self, _view: &View<'_>) -> Result<(), String> {
        Ok(())
    }

    /// Of a run that is over: what is right, but should be rare.
    fn remark(&self) -> Option<&'static str> {
        None
    }
}

/// The world at the moment of an event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub scenario: &'a Scenario,
    /// All that there ever were, the removed ones too.
    pub members: &'a BTreeMap<MemberId, Member>,
}

impl View<'_> {
    /// None while it is down.
    pub(crate) fn role(&self, member: MemberId) -> Option<RoleName> {
        let status = self.members.get(&member).and_then(Member::status);
        status.map(|status| status.soft_state.role)
    }
}

/// More than half of the voters, and of those that a joint configuration leaves.
pub(crate) fn need_quorum(membership: &Membership, has: impl Fn(MemberId) -> bool) -> Result<(), String> {
    for half in [&membership.voters.incoming, &membership.voters.outgoing] {
        let voters: Vec<MemberId> = half.iter().collect();
        let having: Vec<MemberId> = half.iter().filter(|id| has(*id)).collect();
        if !voters.is_empty() && having.len() * 2 <= voters.len() {
            return Err(format!("of {voters:?} only by {having:?}"));
        }
    }
    Ok(())
}

/// Those that every run is held to.
pub(crate) fn all() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(election_safety::ElectionSafety::default()),
        Box::new(leader_append_only::LeaderAppendOnly::default()),
        Box::new(log_matching::LogMatching::default()),
        Box::new(leader_completeness::LeaderCompleteness::default()),
        Box::new(state_machine_safety::StateMachineSafety::default()),
        Box::new(commit_monotonicity::CommitMonotonicity),
        Box::new(durability::Durability),
        Box::new(quorum_commit::QuorumCommit),
        Box::new(configuration_safety::ConfigurationSafety::default()),
        Box::new(liveness::Liveness::default()),
        Box::new(read_linearizability::ReadLinearizability::default()),
    ]
}
