//! What operators switch, and what they see of it: at the member, which counts its watchers, and on the admin port.

use std::time::Duration;

use etcdlet::proto::etcdserverpb as pb;
use futures_util::future::join_all;
use http::HeaderMap;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::client::{Client, Watch, key, prefix};
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
    let refused = || sidecar.log().matches("a standing watch is not permitted").count();
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

#[tokio::test]
async fn the_table_of_the_admin_port_shows_what_is_open_and_for_whom_but_no_token() {
    let etcd = guarded(Options::default());
    let sidecar = configured(&etcd, "prefixes: [{prefix: p/, coalesce: false}]");
    let (status, before) = sidecar.admin_get("/watches");
    assert_eq!((status, table(&before).len()), (200, 0), "{before}");
    let client = Client::connect(&sidecar.url(), PATIENCE).await.signed_in("wide").await;
    let mut watches = Vec::new();
    for below in ["a/", "a/", "a/b/", "p/", "\u{7f}\"/"] {
        watches.push(watching(&client, below).await);
    }
    let mut leader = client.watch_with(&[("hasleader", "true")]).await;
    leader.created(pb::WatchCreateRequest { prev_kv: true, ..key("one") }).await.unwrap();
    for written in ["a/1", "a/b/1"] {
        client.put(written, "1").await.unwrap();
    }
    becomes(&sidecar, "etcdlet_watch_events_delivered_total", 5.0).await;
    let (status, text) = sidecar.admin_get("/watches");
    assert_eq!(status, 200);
    let token = client.metadata["token"].to_str().unwrap();
    assert!(token.len() > 10 && !text.contains(token) && !text.contains(&token[..10]), "{text}");
    let overview: Value = serde_json::from_str(&text).unwrap();
    for (name, expected) in [("streams", 6.0), ("watchers", 6.0), ("feeds", 4.0), ("coalescing_ratio", 1.5)] {
        assert_eq!(overview[name].as_f64(), Some(expected), "{name} in {text}");
    }
    let rows = table(&text);
    let [most, others @ ..] = &rows[..] else { panic!("{text}") };
    for (name, expected) in [
        ("key", json!("a/")),
        ("range_end", json!("a0")),
        ("prefix", json!("a/")),
        ("endpoint", json!(etcd.endpoint())),
        ("watchers", json!(3)),
        ("events_received", json!(2)),
        ("events_delivered", json!(5)),
        ("state", json!("created")),
        ("private", json!(false)),
    ] {
        assert_eq!(most[name], expected, "{name} in {text}");
    }
    let of = |field: &str, value: Value| {
        others.iter().find(|row| row[field] == value).unwrap_or_else(|| panic!("{text}"))
    };
    assert_eq!(of("prefix", json!("p/"))["private"], json!(true));
    assert_eq!(of("prefix", json!("p/"))["class"], most["class"]);
    assert_eq!(of("prefix", json!("\\x7f\\\"/"))["watchers"], json!(1));
    let one = of("key", json!("one"));
    assert_eq!(
        [&one["prefix"], &one["require_leader"], &one["prev_kv"]],
        [&json!(null), &json!(true), &json!(true)]
    );
    assert_ne!(one["class"], most["class"]);
    let (_, short) = sidecar.admin_get("/watches?limit=1");
    assert_eq!((table(&short).len(), table(&short)[0]["key"].clone()), (1, json!("a/")));
    assert_eq!(serde_json::from_str::<Value>(&short).unwrap()["truncated"], json!(3));
    assert_eq!(sidecar.admin_get("/watches?limit=all").0, 400);
}

fn table(text: &str) -> Vec<Value> {
    let overview: Value = serde_json::from_str(text).expect("it is JSON");
    overview["table"].as_array().expect("there is a table").clone()
}

#[tokio::test]
async fn a_reader_that_stalls_is_seen_to_be_behind_until_it_reads_again() {
    let etcd = Etcd::start();
    let sidecar = configured(&etcd, "lag-bytes-max: 64KiB");
    let client = Client::connect(&sidecar.url(), PATIENCE).await;
    // Nothing happens to its keys, which does not mean that it is behind.
    let _idle = watching(&client, "idle/").await;
    let mut slow = watching(&client, "s/").await;
    slow.stream.hold_window = true;
    let mut fast = watching(&client, "s/").await;
    let written = client.fill("s/", 2_000, 1, 1024).await.unwrap();
    fast.sees_all(&written).await.unwrap();
    assert!(lag(&sidecar, |lag| lag > 1.0).await > 0.0, "revisions behind");
    let (_, text) = sidecar.admin_get("/watches");
    let row = table(&text).into_iter().find(|row| row["prefix"] == json!("s/")).unwrap();
    assert_eq!((&row["watchers"], &row["lagging"]), (&json!(1), &json!(1)), "{text}");
    slow.stream.hold_window = false;
    slow.sees_all(&written).await.unwrap();
    assert_eq!(lag(&sidecar, |lag| lag <= 0.0).await.to_bits(), 0.0_f64.to_bits());
    let saved = metric(&sidecar, "etcdlet_watch_bytes_saved_total");
    assert!(saved > 2_000.0 * 1024.0, "{saved}");
    becomes(&sidecar, "etcdlet_watch_coalescing_ratio", 1.5).await;
}

/// Waits for a lag in seconds, and tells that in revisions.
async fn lag(sidecar: &Sidecar, is_expected: impl Fn(f64) -> bool) -> f64 {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let metrics = sidecar.metrics();
        let seconds = value(&metrics, "etcdlet_watch_lag_seconds");
        if is_expected(seconds) {
            return value(&metrics, "etcdlet_watch_lag_revisions");
        }
        assert!(Instant::now() < deadline, "{seconds} s behind in\n{metrics}");
        sleep(Duration::from_millis(20)).await;
    }
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
