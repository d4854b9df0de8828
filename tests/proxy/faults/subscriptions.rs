//! Watchers and leases beside the load: whatever happens to a member, nothing is lost or shown twice.

use std::thread::sleep;
use std::time::Duration;

use super::ALONE;
use super::scene::{Fault, Scene, Verdict};
use crate::support::etcd::Cluster;
use crate::support::load::Streams;

#[test]
fn without_a_fault_no_stream_breaks_and_nothing_is_late() {
    let _alone = ALONE.blocking_lock();
    let scene = start();
    sleep(Duration::from_secs(3));
    judge(scene.conclude("streams, no fault", None), None)
        .breaks_max(0, 0)
        .watch_lag_max(CALM_MAX)
        .keep_alive_stall_max(CALM_MAX)
        .pronounce();
}

#[test]
fn watchers_and_leases_lose_nothing_to_a_killed_leader() {
    let _alone = ALONE.blocking_lock();
    let mut scene = start();
    let leader = scene.leader;
    let fault = scene.suffer(leader, |cluster| cluster.members[leader].kill());
    scene.cluster.members[leader].restart();
    judge(scene.conclude("streams, kill -9 of the leader", Some(&fault)), Some(&fault))
        .breaks_max(BREAKS_MAX, BREAKS_MAX)
        .pronounce();
}

#[test]
fn watchers_and_leases_lose_nothing_to_a_frozen_leader() {
    let _alone = ALONE.blocking_lock();
    let mut scene = start();
    let leader = scene.leader;
    let fault = scene.suffer(leader, |cluster| cluster.members[leader].freeze());
    scene.cluster.members[leader].thaw();
    judge(scene.conclude("streams, SIGSTOP of the leader", Some(&fault)), Some(&fault))
        .breaks_max(BREAKS_MAX, BREAKS_MAX)
        .pronounce();
}

#[test]
fn watchers_and_leases_lose_nothing_to_followers_that_freeze_and_die() {
    let _alone = ALONE.blocking_lock();
    let mut scene = start();
    let [frozen, killed] = [scene.follower(0), scene.follower(1)];
    scene.suffer(frozen, |cluster| cluster.members[frozen].freeze());
    scene.cluster.members[frozen].thaw();
    scene.cluster.wait_healthy();
    let fault = scene.suffer(killed, |cluster| cluster.members[killed].kill());
    scene.cluster.members[killed].restart();
    judge(scene.conclude("streams, SIGSTOP of a follower, kill -9 of the other", Some(&fault)), Some(&fault))
        .breaks_max(2 * BREAKS_MAX, 2 * BREAKS_MAX)
        .pronounce();
}

#[test]
fn watchers_and_leases_lose_nothing_to_a_rolling_restart() {
    let _alone = ALONE.blocking_lock();
    let mut scene = start();
    for index in 0..scene.cluster.members.len() {
        scene.cluster.members[index].terminate();
        scene.cluster.members[index].restart();
        scene.cluster.wait_healthy();
        sleep(Duration::from_secs(1));
    }
    scene
        .conclude("streams, rolling restart", None)
        .nothing_lost()
        .breaks_max(3 * BREAKS_MAX, 3 * BREAKS_MAX)
        .pronounce();
}

fn start() -> Scene {
    Scene::with_streams(Cluster::start(3), Streams { watches: 12, keep_alives: 12 })
}

/// What holds after each fault, whatever becomes of the streams.
fn judge(verdict: Verdict, fault: Option<&Fault>) -> Verdict {
    let stall_max = fault.map_or(CALM_MAX, |fault| fault.election + Duration::from_secs(1));
    verdict.nothing_lost().keep_alive_stall_max(stall_max)
}

/// How often one fault may end a stream: it is passed through to a member, ends with it, and may be opened again on one
/// that is about to follow. Where streams are carried on elsewhere, this is 0.
const BREAKS_MAX: usize = 0;
/// A machine that is later than this without a fault shows nothing with one.
const CALM_MAX: Duration = Duration::from_millis(500);
