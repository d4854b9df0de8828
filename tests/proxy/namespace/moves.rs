//! A watch in a namespace goes on when members die.

use std::time::Duration;

use etcdlet::proto::etcdserverpb as pb;
use tokio::time::sleep;

use super::{PUT, SOON, connect, text, watch};
use crate::support::etcd::Cluster;
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn a_watch_in_a_namespace_outlives_each_member() {
    let mut cluster = Cluster::start(3);
    let endpoints = cluster.endpoints().join(",");
    let sidecar = Sidecar::with_args(&["--endpoints", &endpoints, "--namespace", "/team/"]);
    let channel = connect(&sidecar.url()).await;
    let mut watching = watch(&channel, b"\0", b"\0").await;
    for member in 0..3 {
        cluster.members[member].kill();
        let value = format!("without {member}");
        let request = pb::PutRequest { key: "k".into(), value: value.clone().into(), ..Default::default() };
        // The outcome of the one that was under way is not known.
        while channel.call::<_, pb::PutResponse>(PUT, &request).await.is_err() {
            sleep(Duration::from_millis(100)).await;
        }
        let mut seen = Vec::new();
        while !seen.contains(&value) {
            let response: pb::WatchResponse = watching.next_message(2 * SOON).await;
            for event in response.events {
                let kv = event.kv.expect("an event has a key");
                assert_eq!(text(&kv.key), "k");
                seen.push(text(&kv.value));
            }
        }
        assert!(seen.iter().all(|earlier| *earlier == value), "{seen:?}");
        cluster.members[member].restart();
        cluster.wait_healthy();
    }
}
