//! The network between members loses packets, in one direction or both.
//!
//! The stall counts from when the majority can write: that is the control client's first success there.

use std::time::Duration;

use super::ALONE;
use super::scene::Scene;
use crate::support::etcd::Options;
use crate::support::load::WORKERS;
use crate::support::netns::{Net, Place, enter};

#[test]
fn a_leader_that_lost_both_followers_but_not_the_node_costs_only_the_election() {
    partition(
        "a_leader_that_lost_both_followers_but_not_the_node_costs_only_the_election",
        "leader | followers, the node reaches all three",
        Lost::Leader,
        |leader, followers| both_ways(leader, &followers),
    );
}

#[test]
fn a_leader_that_lost_the_followers_and_the_node_costs_only_the_election() {
    partition(
        "a_leader_that_lost_the_followers_and_the_node_costs_only_the_election",
        "leader | followers and node",
        Lost::Leader,
        |leader, [first, second]| both_ways(leader, &[first, second, Place::Node]),
    );
}

#[test]
fn a_leader_that_is_heard_but_hears_no_follower_costs_only_the_election() {
    partition(
        "a_leader_that_is_heard_but_hears_no_follower_costs_only_the_election",
        "leader receives nothing from the followers",
        Lost::Leader,
        |leader, followers| followers.map(|follower| (follower, leader)).to_vec(),
    );
}

#[test]
fn a_leader_that_hears_its_followers_unheard_costs_only_the_election() {
    partition(
        "a_leader_that_hears_its_followers_unheard_costs_only_the_election",
        "followers receive nothing from the leader",
        Lost::Leader,
        |leader, followers| followers.map(|follower| (leader, follower)).to_vec(),
    );
}

#[test]
fn a_follower_that_lost_its_peers_but_not_the_node_stalls_nobody_for_long() {
    partition(
        "a_follower_that_lost_its_peers_but_not_the_node_stalls_nobody_for_long",
        "follower | the others, the node reaches all three",
        Lost::Follower,
        |leader, [first, second]| both_ways(first, &[leader, second]),
    );
}

/// Who is not in the majority.
#[derive(Clone, Copy)]
enum Lost {
    /// The first of the two.
    Follower,
    Leader,
}

/// `directions` says what is lost, of the leader and the two followers.
fn partition(
    name: &str,
    what: &str,
    lost: Lost,
    directions: impl FnOnce(Place, [Place; 2]) -> Vec<(Place, Place)>,
) {
    let _alone = ALONE.blocking_lock();
    enter(module_path!(), name, |net: &Net| {
        let mut scene = Scene::of(Options::default().hosts(net.hosts()).start_cluster(3));
        let followers = [scene.follower(0), scene.follower(1)];
        let directions = directions(Place::Member(scene.leader), followers.map(Place::Member));
        let outside = match lost {
            Lost::Follower => followers[0],
            Lost::Leader => scene.leader,
        };
        let mut cut = None;
        let fault = scene.suffer(outside, |_| cut = Some(net.cut(&directions)));
        cut.expect("the fault was made").heal();
        scene
            .conclude(what, Some(&fault))
            .no_failed_read()
            .stall_max(fault.election + Duration::from_secs(1))
            .ambiguous_max(WORKERS)
            .pronounce();
    });
}

fn both_ways(one: Place, others: &[Place]) -> Vec<(Place, Place)> {
    others.iter().flat_map(|&other| [(one, other), (other, one)]).collect()
}
