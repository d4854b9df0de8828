//! Where the watches that clients share are open.

use std::time::Duration;

use super::client::{Client, key};
use super::subject::watchers;
use crate::cluster::shown;
use crate::support::etcd::Cluster;
use crate::support::grpc::PATIENCE;
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn shared_watches_are_at_followers() {
    let mut cluster = Cluster::start(3);
    let sidecar = Sidecar::start(&cluster.endpoints());
    shown::until(&sidecar, Duration::from_secs(10), "the members are known", |shown| {
        shown.members.iter().filter(|it| it.healthy()).count() == 3 && shown.leader.is_some()
    })
    .await;
    let leader = cluster.leader();
    let mut watches = Vec::new();
    for number in 0..KEYS {
        // Of each key several clients.
        for _ in 0..3 {
            let client = Client::connect(&sidecar.url(), PATIENCE).await;
            let mut watch = client.watch().await;
            watch.created(key(format!("key/{number}"))).await.expect("it is created");
            watches.push((watch, client));
        }
    }
    let open: Vec<usize> = cluster.members.iter().map(watchers).collect();
    println!("member {leader} leads: {open:?}");
    assert_eq!(open.iter().sum::<usize>(), KEYS, "{open:?}");
    // It gets a few when the others are busy, as passed-through streams do.
    assert!(open[leader] * 4 <= KEYS, "member {leader} leads: {open:?}");
}

const KEYS: usize = 12;
