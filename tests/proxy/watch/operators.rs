//! What operators switch, and what they see of it: at the member, which counts its watchers, and on the admin port.

use std::time::Duration;

use etcdlet::proto::etcdserverpb as pb;
use futures_util::future::join_all;
use http::HeaderMap;
use tokio::time::{Instant, sleep};

use super::client::{Client, Watch, prefix};
use super::subject::guarded;
use crate::observability::{becomes, metric, value};
use crate::support::etcd::{Etcd, Options};
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

#[tokio::test]
async fn watches_below_a_prefix_that_shares_nothing_are_as_many_at_the_member() {
    let etcd = Etcd::start();
    let sidecar = configured(
        &etcd,
        "coalesce: true, prefixes: [{prefix: p/, coalesce: false}, {prefix: p/q/, coalesce: true}]",
    );
    let client = Client::connect(&sidecar.url(), PATIENCE).await;
    let mut watches = Vec::new();
    for (below, members_watchers) in [("p/", 3.0), ("p/q/", 4.0), ("q/", 5.0)] {
        for _ in 0..3 {
            watches.push((below, watching(&client, below).await));
        }
        has_watchers(&etcd, members_watchers).await;
    }
    let put = client.put("p/q/1", "1").await.unwrap();
    for (below, watch) in &mut watches {
        if *below != "q/" {
            watch.sees(put).await.unwrap();
        }
    }
    watches.clear();
    // Only those that somebody could come back to linger.
    has_watchers(&etcd, 2.0).await;
}

#[tokio::test]
async fn a_standing_feed_is_there_before_the_first_client_and_remembers_for_those_who_come_late() {
    let mut etcd = Etcd::start();
    let sidecar = configured(&etcd, "coalesce: true, prefixes: [{prefix: s/, standing: true}]");
    has_watchers(&etcd, 1.0).await;
    let client = Client::connect(&sidecar.url(), PATIENCE).await;
    let written = client.fill("s/", 20, 2, 10).await.unwrap();
    becomes(&sidecar, "etcdlet_watch_events_received_total", 40.0).await;
    // As the library of etcd does, which tells its version.
    let mut late = client.watch_with(&[("client-api-version", "3.5")]).await;
    let begin = pb::WatchCreateRequest { start_revision: written[0].0, ..prefix("s/") };
    late.created(begin).await.unwrap();
    late.sees_all(&written).await.unwrap();
    has_watchers(&etcd, 1.0).await;
    assert_eq!(metric(&sidecar, "etcdlet_watch_catch_ups_opened_total").to_bits(), 0.0_f64.to_bits());
    drop(late);
    etcd.kill();
    etcd.restart();
    has_watchers(&etcd, 1.0).await;
}

/// It says so once, and does not ask again and again.
#[tokio::test]
async fn a_standing_feed_that_is_not_permitted_is_told_once() {
    let etcd = guarded(Options::default());
    let sidecar = configured(&etcd, "coalesce: true, prefixes: [{prefix: s/, standing: true}]");
    let refused = || sidecar.log().matches("a standing watch is not permitted without a token").count();
    let deadline = Instant::now() + PATIENCE;
    while refused() == 0 {
        assert!(Instant::now() < deadline, "{}", sidecar.log());
        sleep(Duration::from_millis(20)).await;
    }
    // Whatever would be asked again and again is asked meanwhile.
    let client = Client::connect(&sidecar.url(), PATIENCE).await.signed_in("wide").await;
    let mut watch = watching(&client, "s/").await;
    let before = ranges(&etcd);
    for _ in 0..100 {
        let put = client.put("s/1", "1").await.unwrap();
        watch.sees(put).await.unwrap();
    }
    sleep(Duration::from_secs(2)).await;
    assert_eq!(refused(), 1, "{}", sidecar.log());
    // Of the probes of health.
    assert!(ranges(&etcd) - before < 5.0, "{} reads", ranges(&etcd) - before);
}

/// Reads that the member was asked for.
fn ranges(etcd: &Etcd) -> f64 {
    let series = "grpc_server_started_total{grpc_method=\"Range\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"}";
    value(&etcd.metrics(), series)
}

/// A sidecar that shares watches in this way.
fn configured(etcd: &Etcd, watch: &str) -> Sidecar {
    Sidecar::with_config(&format!(
        "
listen: [{{url: 'http://{{listen}}'}}]
upstream: {{endpoints: ['{}']}}
watch: {{{watch}}}
admin: {{url: 'http://{{admin}}'}}
",
        etcd.endpoint()
    ))
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
