//! A member stands still with its connections open, and wakes up.

use std::time::Duration;

use super::ALONE;
use super::scene::Scene;
use crate::support::load::WORKERS;

#[test]
fn a_frozen_follower_fails_no_call_and_stalls_none_for_a_second() {
    let _alone = ALONE.blocking_lock();
    let mut scene = Scene::start();
    let mut last = None;
    for follower in [scene.follower(0), scene.follower(1)] {
        last = Some(scene.suffer(follower, |cluster| cluster.members[follower].freeze()));
        scene.cluster.members[follower].thaw();
        scene.cluster.wait_healthy();
    }
    scene
        .conclude("SIGSTOP of one follower, then of the other", last.as_ref())
        .no_failed_call()
        .stall_max(Duration::from_secs(1))
        .pronounce();
}

#[test]
fn a_frozen_leader_costs_reads_nothing_but_the_election() {
    let _alone = ALONE.blocking_lock();
    let mut scene = Scene::start();
    let leader = scene.leader;
    let fault = scene.suffer(leader, |cluster| cluster.members[leader].freeze());
    scene.cluster.members[leader].thaw();
    scene
        .conclude("SIGSTOP of the leader", Some(&fault))
        .no_failed_read()
        .stall_max(fault.election + Duration::from_secs(1))
        .failures_within(fault.election + Duration::from_secs(1))
        .ambiguous_max(WORKERS)
        .none_refused()
        .pronounce();
}
