//! Where the watches that clients share are open.

use super::client::{Client, key};
use super::subject::watchers;
use crate::support::etcd::Cluster;
use crate::support::grpc::PATIENCE;
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn shared_watches_are_spread_over_the_followers() {
    let mut cluster = Cluster::start(3);
    let sidecar = Sidecar::start(&cluster.endpoints());
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
    assert_eq!(open[leader], 0, "member {leader} leads: {open:?}");
    assert!(open.iter().enumerate().all(|(place, open)| place == leader || *open >= KEYS / 4), "{open:?}");
}

const KEYS: usize = 12;
