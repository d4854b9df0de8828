//! Who belongs to the cluster, and how far each is.

use std::collections::BTreeMap;

use etcdlet::raft::confchange::Membership;
use etcdlet::raft::progress::{Progress, ProgressState};
use etcdlet::types::ids::MemberId;

/// `voters=(1 2)&&(3) learners=(4) learners_next=(3) autoleave`
pub(crate) fn membership(membership: &Membership) -> String {
    let Membership { voters, learners, learners_next, auto_leave } = membership;
    let mut text = format!("voters={}", set(voters.incoming.iter()));
    if membership.is_joint() {
        text += &format!("&&{}", set(voters.outgoing.iter()));
    }
    for (name, ids) in [("learners", learners), ("learners_next", learners_next)] {
        if !ids.is_empty() {
            text += &format!(" {name}={}", set(ids.iter().copied()));
        }
    }
    if *auto_leave { text + " autoleave" } else { text }
}

fn set(ids: impl Iterator<Item = MemberId>) -> String {
    let ids: Vec<String> = ids.map(|id| id.to_string()).collect();
    format!("({})", ids.join(" "))
}

/// Each on its line.
pub(crate) fn progress_by_id(all: &BTreeMap<MemberId, Progress>, membership: &Membership) -> String {
    let line = |(id, its): (&MemberId, _)| {
        let learner = if membership.learners.contains(id) { " learner" } else { "" };
        format!("{}: {}\n", id.0, progress(its, learner))
    };
    all.iter().map(line).collect()
}

fn progress(progress: &Progress, learner: &str) -> String {
    let (state, pending) = match progress.state() {
        ProgressState::Probe { .. } => ("StateProbe", String::new()),
        ProgressState::Replicate { .. } => ("StateReplicate", String::new()),
        ProgressState::Snapshot { pending } => ("StateSnapshot", format!(" pendingSnap={pending}")),
    };
    let paused = if progress.is_paused() { " paused" } else { "" };
    let inactive = if progress.recent_active() { "" } else { " inactive" };
    let inflight = match progress.inflight_count() {
        0 => String::new(),
        count => format!(" inflight={count}{}", if progress.inflight_full() { "[full]" } else { "" }),
    };
    let (matched, next) = (progress.matched(), progress.next());
    format!("{state} match={matched} next={next}{learner}{paused}{pending}{inactive}{inflight}")
}
