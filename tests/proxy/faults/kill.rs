//! A member dies at once, and comes back.

use std::time::Duration;

use super::scene::Scene;
use super::{ALONE, OUTCOME_UNKNOWN};

#[test]
fn a_killed_leader_costs_reads_nothing_but_the_election() {
    let _alone = ALONE.blocking_lock();
    let mut scene = Scene::start();
    let leader = scene.leader;
    let fault = scene.suffer(leader, |cluster| cluster.members[leader].kill());
    scene.cluster.members[leader].restart();
    let verdict = scene.conclude("kill -9 of the leader", Some(&fault));
    let in_flight = verdict.puts_in_flight(&fault);
    verdict
        .no_failed_read()
        .stall_max(fault.election + Duration::from_millis(500))
        .failures_within(fault.election + Duration::from_millis(500))
        .ambiguous_max(in_flight)
        .none_refused()
        .puts_fail_only_by(14, OUTCOME_UNKNOWN)
        .pronounce();
}

#[test]
fn a_killed_follower_fails_no_read_and_stalls_nobody() {
    let _alone = ALONE.blocking_lock();
    let mut scene = Scene::start();
    let follower = scene.follower(0);
    let fault = scene.suffer(follower, |cluster| cluster.members[follower].kill());
    scene.cluster.members[follower].restart();
    let verdict = scene.conclude("kill -9 of a follower", Some(&fault));
    let in_flight = verdict.puts_in_flight(&fault);
    verdict
        .no_failed_read()
        .stall_max(Duration::from_secs(1))
        .ambiguous_max(in_flight)
        .none_refused()
        .puts_fail_only_by(14, OUTCOME_UNKNOWN)
        .pronounce();
}
