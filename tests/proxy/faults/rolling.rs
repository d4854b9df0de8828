//! All members are restarted in turn, as an upgrade does it.

use std::thread::sleep;
use std::time::Duration;

use super::ALONE;
use super::scene::Scene;
use crate::support::load::WORKERS;

#[test]
fn a_rolling_restart_fails_no_read_and_loses_no_acked_write() {
    let _alone = ALONE.blocking_lock();
    let mut scene = Scene::start();
    let mut leaders_lost = 0;
    for index in 0..scene.cluster.members.len() {
        leaders_lost += usize::from(scene.cluster.leader() == index);
        scene.cluster.members[index].terminate();
        scene.cluster.members[index].restart();
        scene.cluster.wait_healthy();
        sleep(Duration::from_secs(1));
    }
    scene
        .conclude(&format!("rolling restart, {leaders_lost} of the members led"), None)
        .no_failed_read()
        .ambiguous_max(leaders_lost * WORKERS)
        .pronounce();
}
