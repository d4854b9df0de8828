//! What operators switch, and what they see of it: at the member, which counts its watchers, and on the admin port.

use std::time::Duration;

use etcdlet::proto::etcdserverpb as pb;
use futures_util::future::join_all;
use http::HeaderMap;
use tokio::time::{Instant, sleep};

use super::client::{Client, Watch, prefix};
use crate::observability::{becomes, metric, value};
use crate::support::etcd::Etcd;
use crate::support::grpc::PATIENCE;
use crate::support::ports::free_port;
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn clients_of_a_listener_that_shares_nothing_have_streams_of_their_own() {
    let etcd = Etcd::start();
    let alone = format!("http://127.0.0.1:{}", free_port());
    let sidecar = Sidecar::with_config(&format!(
        "
listen: [{{url: 'http://{{listen}}'}}, {{url: '{alone}', coalesce: false}}]
upstream: {{endpoints: ['{}']}}
watch: {{coalesce: true}}
route: {{share-reads: true}}
admin: {{url: 'http://{{admin}}'}}
",
        etcd.endpoint()
    ));
    let mut watches = Vec::new();
    for (url, members_watchers) in [(&sidecar.url(), 1.0), (&alone, 4.0)] {
        let client = Client::connect(url, PATIENCE).await;
        for _ in 0..3 {
            watches.push(watching(&client, "a/").await);
        }
        has_watchers(&etcd, members_watchers).await;
        let put = client.put("a/1", "1").await.unwrap();
        for watch in &mut watches {
            watch.sees(put).await.unwrap();
        }
    }
    for (url, shared) in [(&alone, 0.0), (&sidecar.url(), 1.0)] {
        let client = Client::connect(url, PATIENCE).await;
        let mut stream = client.channel.stream(KEEP_ALIVE, HeaderMap::new()).await.unwrap();
        stream.send_message(&pb::LeaseKeepAliveRequest { id: 7 });
        let gone: pb::LeaseKeepAliveResponse = stream.next_message(PATIENCE).await;
        assert_eq!((gone.id, gone.ttl), (7, 0));
        becomes(&sidecar, "etcdlet_lease_requests_total", shared).await;
        let range = pb::RangeRequest { key: "a/1".into(), ..Default::default() };
        let reads: [_; 50] = std::array::from_fn(|_| client.call::<_, pb::RangeResponse>(RANGE, &range));
        for read in join_all(reads).await {
            assert_eq!(read.unwrap().count, 1);
        }
        assert_eq!(metric(&sidecar, "etcdlet_reads_shared_total") > 0.0, shared > 0.0);
    }
    assert!(metric(&sidecar, "etcdlet_watch_watchers") <= 3.0);
}

/// A watch on everything below a prefix.
async fn watching(client: &Client, below: &str) -> Watch {
    let mut watch = client.watch().await;
    watch.created(prefix(below)).await.unwrap();
    watch
}

/// The member comes to have so many watchers, and has them.
async fn has_watchers(etcd: &Etcd, expected: f64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let actual = value(&etcd.metrics(), "etcd_debugging_mvcc_watcher_total");
        if actual.to_bits() == expected.to_bits() {
            return;
        }
        assert!(Instant::now() < deadline, "the member has {actual} watchers, not {expected}");
        sleep(Duration::from_millis(20)).await;
    }
}

const RANGE: &str = "/etcdserverpb.KV/Range";
const KEEP_ALIVE: &str = "/etcdserverpb.Lease/LeaseKeepAlive";
