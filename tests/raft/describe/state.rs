//! What a node is and remembers.

use etcdlet::raft::{ConfState, HardState, RoleName, Snapshot, SoftState};
use etcdlet::types::ids::MemberId;

pub(super) fn soft_state(state: SoftState) -> String {
    format!("Lead:{} State:{}", number(state.leader), role(state.role))
}

pub(crate) const fn role(role: RoleName) -> &'static str {
    match role {
        RoleName::Candidate => "StateCandidate",
        RoleName::Follower => "StateFollower",
        RoleName::Leader => "StateLeader",
        RoleName::PreCandidate => "StatePreCandidate",
    }
}

pub(super) fn hard_state(state: HardState) -> String {
    let HardState { term, vote, commit } = state;
    let vote = vote.map_or_else(String::new, |id| format!(" Vote:{}", id.0));
    format!("Term:{term}{vote} Commit:{commit}")
}

pub(super) fn snapshot(snapshot: &Snapshot) -> String {
    let Snapshot { data: _, conf_state, last } = snapshot;
    let ConfState { voters, learners, voters_outgoing, learners_next, auto_leave } = conf_state;
    let [voters, learners] = [numbers(voters), numbers(learners)];
    let [outgoing, next] = [numbers(voters_outgoing), numbers(learners_next)];
    format!(
        "Index:{} Term:{} ConfState:Voters:{voters} VotersOutgoing:{outgoing} Learners:{learners} \
         LearnersNext:{next} AutoLeave:{auto_leave}",
        last.index, last.term
    )
}

fn number(id: Option<MemberId>) -> u64 {
    id.map_or(0, |id| id.0)
}

fn numbers(ids: &[MemberId]) -> String {
    let numbers: Vec<String> = ids.iter().map(|id| id.0.to_string()).collect();
    format!("[{}]", numbers.join(" "))
}
