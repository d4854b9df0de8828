//! Without a leader, writes that have not been sent wait for one; not for ever, and not all of them.

use std::time::{Duration, Instant};

use etcdlet::proto::etcdserverpb as pb;
use futures_util::future::join_all;
use tokio::time::sleep;

use super::{ALONE, NO_LEADER, WARM_UP, unavailable};
use crate::health::view_becomes;
use crate::support::control::Control;
use crate::support::etcd::{Cluster, Etcd};
use crate::support::grpc::{Channel, Status};
use crate::support::load::{PUT, RANGE};
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn a_write_is_held_for_five_seconds_when_two_of_three_members_are_dead() {
    let _alone = ALONE.lock().await;
    let mut scene = Scene::start("").await;
    scene.lose_quorum(Etcd::kill).await;
    let puts = scene.puts("held", 3).await;
    assert_all_held_in_vain(&puts);
    for member in &mut scene.cluster.members {
        if !member.is_running() {
            member.respawn();
        }
    }
    scene.assert_recovers("held").await;
}

#[tokio::test]
async fn a_write_is_held_for_five_seconds_when_two_of_three_members_are_frozen() {
    let _alone = ALONE.lock().await;
    let mut scene = Scene::start("").await;
    scene.lose_quorum(Etcd::freeze).await;
    let puts = scene.puts("held", 3).await;
    assert_all_held_in_vain(&puts);
    for member in &mut scene.cluster.members {
        member.thaw();
    }
    scene.assert_recovers("held").await;
}

#[tokio::test]
async fn a_write_beyond_the_configured_holds_is_refused_at_once() {
    let _alone = ALONE.lock().await;
    let mut scene = Scene::start(TWO_HOLDS).await;
    scene.lose_quorum(Etcd::kill).await;
    let puts = scene.puts("held", 3).await;
    let (refused, held): (Vec<_>, Vec<_>) = puts.into_iter().partition(|put| put.time < AT_ONCE);
    assert_eq!((refused.len(), held.len()), (1, 2), "two are held: {refused:?}, {held:?}");
    assert_eq!(refused[0].result, Err(unavailable(NO_LEADER)));
    assert_all_held_in_vain(&held);
}

#[tokio::test]
async fn a_thousand_writes_are_held_and_those_beyond_are_refused_at_once() {
    let _alone = ALONE.lock().await;
    let mut scene = Scene::start("").await;
    scene.lose_quorum(Etcd::kill).await;
    let puts = scene.puts("held", HELD_MAX + 20).await;
    let (refused, held): (Vec<_>, Vec<_>) = puts.into_iter().partition(|put| put.time < 3 * AT_ONCE);
    println!("{} held, {} refused at once", held.len(), refused.len());
    let other = refused.iter().find(|put| put.result != Err(unavailable(NO_LEADER)));
    assert!(other.is_none(), "{other:?}");
    assert_eq!((held.len(), refused.len()), (HELD_MAX, 20));
    assert_all_held_in_vain(&held);
}

#[tokio::test]
async fn writes_that_are_held_while_a_leader_is_elected_succeed() {
    let _alone = ALONE.lock().await;
    let mut scene = Scene::start("").await;
    let leader = scene.cluster.leader();
    let fault = Instant::now();
    scene.cluster.members[leader].kill();
    let mut survivors = scene.cluster.endpoints();
    survivors.remove(leader);
    let control = Control::start(survivors);
    // The sidecar has seen the connection break, and the survivors wait for at least a second.
    sleep(Duration::from_millis(300)).await;
    let puts = scene.puts("during", 20).await;
    let election = control.first_success(fault);
    let longest = puts.iter().map(|put| put.time).max().expect("there are some");
    let failed: Vec<&Put> = puts.iter().filter(|put| put.result.is_err()).collect();
    println!("election {election:.3?}, longest put {longest:.3?}, {} of 20 failed", failed.len());
    assert!(failed.is_empty(), "{failed:?}");
    assert!(longest <= election + Duration::from_millis(500), "{longest:?}");
    scene.cluster.members[leader].restart();
    let versions = scene.versions("during").await;
    assert_eq!(versions, [1; 20], "each is applied once");
}

struct Scene {
    sidecar: Sidecar,
    cluster: Cluster,
}

#[derive(Debug)]
struct Put {
    time: Duration,
    result: Result<(), Status>,
}

impl Scene {
    /// `more` is added to the configuration.
    async fn start(more: &str) -> Self {
        let cluster = Cluster::start(3);
        let endpoints = cluster.endpoints().join("', '");
        let sidecar = Sidecar::with_config(&format!(
            "
listen: [{{url: 'http://{{listen}}'}}]
upstream: {{endpoints: ['{endpoints}']}}
admin: {{url: 'http://{{admin}}'}}
{more}
"
        ));
        let scene = Self { sidecar, cluster };
        let warm = scene.puts("warm", 3).await;
        assert!(warm.iter().all(|put| put.result.is_ok()), "{warm:?}");
        sleep(WARM_UP).await;
        scene
    }

    /// Takes the leader and a follower away and waits until the last member, and the sidecar, know that none leads.
    async fn lose_quorum(&mut self, fault: fn(&mut Etcd)) {
        let leader = self.cluster.leader();
        fault(&mut self.cluster.members[leader]);
        fault(&mut self.cluster.members[(leader + 1) % 3]);
        view_becomes(&self.sidecar, KNOWN_LIMIT, "none leads", |view| view["leader_state"] == "none").await;
    }

    /// So many writes at the same time, each to its own key under `prefix`.
    async fn puts(&self, prefix: &str, count: usize) -> Vec<Put> {
        let mut channels = Vec::new();
        for _ in 0..count.div_ceil(CALLS_PER_CONNECTION) {
            channels.push(Channel::connect(&self.sidecar.url()).await.expect("the sidecar accepts"));
        }
        let channels = &channels;
        join_all((0..count).map(|number| async move {
            let key = format!("{prefix}/{number:04}");
            let request = pb::PutRequest { key: key.into(), ..Default::default() };
            let started = Instant::now();
            let channel = &channels[number / CALLS_PER_CONNECTION];
            let result = channel.call::<_, pb::PutResponse>(PUT, &request).await.map(drop);
            Put { time: started.elapsed(), result }
        }))
        .await
    }

    /// The versions of all keys under `prefix`, as a member says itself.
    async fn versions(&self, prefix: &str) -> Vec<i64> {
        let request = pb::RangeRequest {
            key: format!("{prefix}/").into(),
            range_end: format!("{prefix}0").into(),
            ..Default::default()
        };
        let channel = Channel::connect(&self.cluster.members[0].endpoint()).await.expect("etcd accepts");
        let response: pb::RangeResponse = channel.call(RANGE, &request).await.expect("etcd answers");
        response.kvs.iter().map(|kv| kv.version).collect()
    }

    /// That writes succeed soon when all members are back, and that none under `prefix` was applied.
    async fn assert_recovers(&mut self, prefix: &str) {
        self.cluster.wait_healthy();
        let versions = self.versions(prefix).await;
        assert!(versions.is_empty(), "{} writes that were \"not sent\" are there", versions.len());
        let puts = self.puts("after", 3).await;
        assert!(puts.iter().all(|put| put.result.is_ok() && put.time < Duration::from_secs(2)), "{puts:?}");
    }
}

fn assert_all_held_in_vain(puts: &[Put]) {
    let wrong = |put: &&Put| {
        put.result != Err(unavailable(NO_LEADER))
            || !(Duration::from_millis(4500)..=Duration::from_millis(6500)).contains(&put.time)
    };
    let wrong: Vec<&Put> = puts.iter().filter(wrong).collect();
    let (first, count) = (wrong.first(), wrong.len());
    assert!(wrong.is_empty(), "{count} of {} were not held for 5 s in vain: {first:?}", puts.len());
}

const TWO_HOLDS: &str = "hold: {calls: 2, timeout: 5s}";
const HELD_MAX: usize = 1000;
/// A sidecar without calls asks every 5 s, give or take a tenth; then a member that still followed needs
/// up to two election timeouts of at most 2 s to see it.
const KNOWN_LIMIT: Duration = Duration::from_secs(10);
const AT_ONCE: Duration = Duration::from_millis(500);
const CALLS_PER_CONNECTION: usize = 100;
