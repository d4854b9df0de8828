//! A member that is too slow for what the others write.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use futures_util::future::join_all;

use super::{
    ALONE, Client, Read, SOON, config, doze, gets_reads, ids, settles, standing, view, view_becomes,
};
use crate::support::etcd::Cluster;
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn a_follower_that_applies_late_is_lagging_and_gets_no_read() {
    let _alone = ALONE.lock().await;
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader();
    let follower = (leader + 1) % 3;
    let (endpoint, id) = (cluster.members[follower].endpoint(), ids(&cluster).await[follower]);
    // Its slowness alone says nothing here.
    let upstream =
        "probe: {lag-entries-max: 200, idle-interval: 100ms, silent-after: 60s, suspicion-after: 60s}";
    let sidecar = Sidecar::with_config(&config(&cluster.endpoints(), upstream));
    settles(&sidecar, &cluster.endpoints()).await;
    let client = Client::connect(&sidecar.url()).await;
    let writer = Client::connect(&cluster.members[leader].endpoint()).await;
    let over = AtomicBool::new(false);
    let slow = async {
        while !over.load(Ordering::SeqCst) {
            doze(&mut cluster.members[follower]).await;
        }
    };
    let write = async {
        while !over.load(Ordering::SeqCst) {
            let puts = join_all((0..128).map(|_| writer.put())).await;
            assert!(puts.iter().all(Result::is_ok), "two are enough for a write");
        }
    };
    let observe = async {
        let began = Instant::now();
        view_becomes(&sidecar, SOON, "it is lagging", |view| standing(view, &endpoint) == "lagging").await;
        let noticed = began.elapsed();
        let mut reads = 0;
        while standing(&view(&sidecar), &endpoint) == "lagging" && reads < 200 {
            for read in [Read::Linearizable, Read::Serializable] {
                let answer = client.get(read).await;
                // It may have caught up meanwhile.
                let lags = standing(&view(&sidecar), &endpoint) == "lagging";
                assert!(answer.as_ref().is_ok_and(|by| *by != id || !lags), "{read:?}: {answer:x?}");
                reads += 1;
            }
        }
        println!("lagging after {noticed:.3?}, {reads} reads went elsewhere");
        over.store(true, Ordering::SeqCst);
    };
    tokio::join!(slow, write, observe);
    view_becomes(&sidecar, SOON, "it is in rotation again", |view| standing(view, &endpoint) == "healthy")
        .await;
    gets_reads(&client, id).await;
}
