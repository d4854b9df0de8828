//! A member that defragments answers no reads, applies nothing, and does not even answer Status, which looks for the
//! store's revision (so until etcd 3.6 at least). All else of it goes on: it answers a PING, and keeps its leadership.
//!
//! A database for which every machine needs seconds would be too large for a test: the member is slowed down instead, by
//! freezing it most of the time, but never for long enough to matter by itself.

use std::time::{Duration, Instant};

use etcdlet::proto::etcdserverpb as pb;
use futures_util::future::join_all;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::{ALONE, Client, SOON, config, doze, settles, standing, view};
use crate::support::etcd::{Cluster, Etcd};
use crate::support::grpc::{Channel, Event};
use crate::support::load::{Class, Load, PUT};
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn a_follower_that_defragments_is_stuck_and_stalls_no_read() {
    let _alone = ALONE.lock().await;
    stalls_no_read("a follower", |leader| (leader + 1) % 3).await;
}

#[tokio::test]
async fn a_leader_that_defragments_is_stuck_and_stalls_no_read() {
    let _alone = ALONE.lock().await;
    stalls_no_read("the leader", |leader| leader).await;
}

async fn stalls_no_read(what: &str, victim: fn(usize) -> usize) {
    let mut cluster = large_cluster().await;
    // Slow as it is, a follower may get no call that could be waited for.
    let sidecar = Sidecar::with_config(&config(&cluster.endpoints(), "probe: {idle-interval: 200ms}"));
    settles(&sidecar, &cluster.endpoints()).await;
    let client = Client::connect(&sidecar.url()).await;
    let mut watches = Vec::new();
    for _ in 0..12 {
        watches.push(client.watch().await);
    }
    let load = Load::start(&sidecar.url());
    sleep(Duration::from_secs(1)).await;
    let leader = cluster.leader();
    let endpoint = cluster.members[victim(leader)].endpoint();
    let defragmentation = defragment(&endpoint);
    let began = Instant::now();
    let mut seen = vec![(Duration::ZERO, "healthy".to_owned())];
    let slow = slowed_down(&mut cluster.members[victim(leader)], &defragmentation);
    let watched = async {
        loop {
            let view = view(&sidecar);
            let now = standing(&view, &endpoint);
            if seen.last().is_some_and(|(_, last)| last != now) {
                seen.push((began.elapsed(), now.to_owned()));
            }
            if defragmentation.is_finished() && now == "healthy" {
                return began.elapsed();
            }
            assert!(began.elapsed() < 2 * SOON, "{what} does not come back: {view:#}");
            sleep(Duration::from_millis(10)).await;
        }
    };
    let (healthy_again, ()) = tokio::join!(watched, slow);
    let took = defragmentation.await.expect("it does not panic");
    sleep(Duration::from_millis(500)).await;
    let report = load.stop();
    println!(
        "\n{what} defragmented for {took:.3?}, in rotation after {healthy_again:.3?}: {seen:.3?}\n{report}"
    );
    assert!(
        took < TELLING || seen.iter().any(|(_, standing)| standing == "stuck"),
        "{what} was not stuck in {took:?}: {seen:?}"
    );
    assert!(
        healthy_again < took + Duration::from_secs(3),
        "in rotation only after {healthy_again:?}: {seen:?}"
    );
    assert_eq!(cluster.leader(), leader, "the leader stays");
    for class in [Class::Linearizable, Class::Serializable] {
        let summary = report.of(class);
        assert!(summary.failed == 0 && summary.stall() < Duration::from_secs(1), "{class:?}: {summary:?}");
    }
    assert_eq!(report.of(Class::Put).failed, 0, "writes may wait, and no more");
    for mut watch in watches {
        let next = watch.next(Duration::from_millis(10)).await;
        assert!(matches!(next, Event::Silence), "a watch did not outlive it: {next:?}");
    }
}

/// With a database whose defragmentation takes seconds.
async fn large_cluster() -> Cluster {
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader();
    let channel = Channel::connect(&cluster.members[leader].endpoint()).await.expect("etcd accepts");
    let mut value = vec![0; VALUE_BYTES];
    fastrand::fill(&mut value);
    for round in 0..VALUES / 4 {
        let puts = (0..4).map(|number| {
            let key = format!("large/{round}/{number}").into();
            let request = pb::PutRequest { key, value: value.clone().into(), ..Default::default() };
            let channel = &channel;
            async move { channel.call::<_, pb::PutResponse>(PUT, &request).await }
        });
        for put in join_all(puts).await {
            put.expect("etcd takes values of this size");
        }
    }
    cluster.wait_healthy();
    cluster
}

/// For its first seconds.
async fn slowed_down(member: &mut Etcd, defragmentation: &JoinHandle<Duration>) {
    let began = Instant::now();
    while !defragmentation.is_finished() && began.elapsed() < SLOW {
        doze(member).await;
    }
}

/// Begins at once; ends with how long it took.
fn defragment(endpoint: &str) -> JoinHandle<Duration> {
    let endpoint = endpoint.to_owned();
    tokio::spawn(async move {
        let channel = Channel::connect(&endpoint).await.expect("etcd accepts");
        let began = Instant::now();
        let request = pb::DefragmentRequest::default();
        let path = "/etcdserverpb.Maintenance/Defragment";
        channel.call::<_, pb::DefragmentResponse>(path, &request).await.expect("it can be defragmented");
        began.elapsed()
    })
}

const SLOW: Duration = Duration::from_secs(2);
const VALUES: usize = 128;
/// etcd takes 1.5 MiB at most.
const VALUE_BYTES: usize = 1 << 20;
/// Nothing that is over sooner has to be noticed.
const TELLING: Duration = Duration::from_millis(1500);
