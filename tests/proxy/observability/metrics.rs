//! Metrics move with the calls, and by as much.

use std::time::Duration;

use etcdlet::proto::etcdserverpb as pb;
use http::HeaderMap;

use super::{becomes, value};
use crate::http1::client::Connection;
use crate::support::etcd::Etcd;
use crate::support::grpc::{Channel, Stream};
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn calls_count_by_method_and_code_and_have_a_histogram() {
    let etcd = Etcd::start();
    let sidecar = Sidecar::start(&etcd.endpoints());
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    for _ in 0..3 {
        put(&channel, "key", b"value").await;
    }
    for _ in 0..2 {
        // Without a key.
        channel.unary("/etcdserverpb.KV/Range", HeaderMap::new(), &[]).await;
    }
    channel.unary("/etcdserverpb.KV/Range", HeaderMap::new(), b"\n\x01a").await;
    channel.unary("/etcdserverpb.KV/Nonsense", HeaderMap::new(), &[]).await;
    Connection::open(&sidecar.url()).await.get("/version").await;
    becomes(&sidecar, "etcdlet_rpc_inflight", 0.0).await;
    let metrics = sidecar.metrics();
    for (method, code, count) in [
        ("/etcdserverpb.KV/Put", "OK", 3.0),
        ("/etcdserverpb.KV/Range", "InvalidArgument", 2.0),
        ("/etcdserverpb.KV/Range", "OK", 1.0),
        ("unknown", "Unimplemented", 1.0),
        ("http", "OK", 1.0),
    ] {
        let series = format!("etcdlet_rpc_total{{code=\"{code}\",method=\"{method}\"}}");
        assert_eq!(value(&metrics, &series), count, "{series} in\n{metrics}");
    }
    let of = |name: &str, method: &str| {
        value(&metrics, &format!("etcdlet_rpc_duration_seconds_{name}{{method=\"{method}\"}}"))
    };
    assert_eq!(of("count", "/etcdserverpb.KV/Put"), 3.0);
    assert_eq!(of("count", "/etcdserverpb.KV/Range"), 3.0);
    let sum = of("sum", "/etcdserverpb.KV/Put");
    assert!(sum > 0.0001 && sum < 5.0, "{sum} s");
    let all =
        value(&metrics, "etcdlet_rpc_duration_seconds_bucket{method=\"/etcdserverpb.KV/Put\",le=\"+Inf\"}");
    assert_eq!(all, 3.0);
}

#[tokio::test]
async fn connections_and_streams_are_counted_while_they_are_open() {
    let etcd = Etcd::start();
    let sidecar = Sidecar::passing(&etcd.endpoints());
    let endpoint = etcd.endpoint();
    // The fixture's own connection, by which it saw that the process accepts.
    becomes(&sidecar, "etcdlet_connections_total", 1.0).await;
    becomes(&sidecar, "etcdlet_connections", 0.0).await;
    let upstream = |name: &str| format!("etcdlet_upstream_{name}{{endpoint=\"{endpoint}\"}}");
    let first = Channel::connect(&sidecar.url()).await.unwrap();
    let second = Channel::connect(&sidecar.url()).await.unwrap();
    let mut watches = Vec::new();
    for channel in [&first, &first, &second] {
        watches.push(watch(channel).await);
    }
    let metrics = sidecar.metrics();
    assert_eq!(value(&metrics, "etcdlet_connections_total"), 3.0, "{metrics}");
    assert_eq!(value(&metrics, "etcdlet_connections"), 2.0);
    assert_eq!(value(&metrics, "etcdlet_streams"), 3.0);
    assert_eq!(value(&metrics, "etcdlet_rpc_inflight"), 3.0);
    assert_eq!(value(&metrics, &upstream("streams")), 3.0);
    assert_eq!(value(&metrics, &upstream("calls_total")), 3.0);
    assert!(value(&metrics, &upstream("connections")) >= 1.0);
    drop((watches, first, second));
    for name in ["etcdlet_connections", "etcdlet_streams", "etcdlet_rpc_inflight", &upstream("streams")] {
        becomes(&sidecar, name, 0.0).await;
    }
    let metrics = sidecar.metrics();
    let cancelled = "etcdlet_rpc_total{code=\"Canceled\",method=\"/etcdserverpb.Watch/Watch\"}";
    assert_eq!(value(&metrics, cancelled), 3.0, "{metrics}");
    // How long a client watches says nothing of anybody's speed.
    assert!(!metrics.contains("etcdlet_rpc_duration_seconds_count{method=\"/etcdserverpb.Watch/Watch\"}"));
}

#[tokio::test]
async fn bytes_are_counted_both_ways_on_both_sides() {
    let etcd = Etcd::start();
    let sidecar = Sidecar::start(&etcd.endpoints());
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    put(&channel, "warm", b"").await;
    becomes(&sidecar, "etcdlet_rpc_inflight", 0.0).await;
    let label = format!("{{endpoint=\"{}\"}}", etcd.endpoint());
    let names = |side: &str| {
        let label = if side.is_empty() { "" } else { &label };
        [
            format!("etcdlet_{side}received_bytes_total{label}"),
            format!("etcdlet_{side}sent_bytes_total{label}"),
        ]
    };
    let read = || {
        let metrics = sidecar.metrics();
        [names(""), names("upstream_")].map(|pair| pair.map(|name| value(&metrics, &name)))
    };
    let [client, upstream] = read();
    put(&channel, "large", &vec![7; LARGE]).await;
    tokio::time::sleep(MOMENT).await;
    let [client_put, upstream_put] = read();
    assert_near(client_put[0] - client[0], LARGE, "received from the client");
    assert_near(upstream_put[1] - upstream[1], LARGE, "sent to the member");
    assert_near(client_put[1] - client[1], 0, "sent to the client");
    channel.unary("/etcdserverpb.KV/Range", HeaderMap::new(), b"\n\x05large").await;
    tokio::time::sleep(MOMENT).await;
    let [client_got, upstream_got] = read();
    assert_near(client_got[1] - client_put[1], LARGE, "sent to the client");
    assert_near(upstream_got[0] - upstream_put[0], LARGE, "received from the member");
}

#[tokio::test]
async fn failures_are_counted_by_endpoint_and_reason() {
    let sidecar = Sidecar::start(&["http://127.0.0.1:1"]);
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    channel.unary("/etcdserverpb.KV/Put", HeaderMap::new(), b"\n\x01a").await;
    becomes(&sidecar, "etcdlet_rpc_inflight", 0.0).await;
    let metrics = sidecar.metrics();
    assert_eq!(value(&metrics, "etcdlet_upstream_failures_total{reason=\"unreachable\"}"), 1.0, "{metrics}");
    assert!(
        value(&metrics, "etcdlet_upstream_connect_failures_total{endpoint=\"http://127.0.0.1:1\"}") >= 1.0
    );
    let unavailable = "etcdlet_rpc_total{code=\"Unavailable\",method=\"/etcdserverpb.KV/Put\"}";
    assert_eq!(value(&metrics, unavailable), 1.0);
}

#[test]
fn the_process_and_its_build_are_described() {
    let sidecar = Sidecar::start(&["http://127.0.0.1:1"]);
    let metrics = sidecar.metrics();
    let build = format!("etcdlet_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(value(&metrics, &build), 1.0, "{metrics}");
    for name in [
        "process_cpu_seconds_total",
        "process_open_fds",
        "process_max_fds",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "process_threads",
    ] {
        assert!(metrics.contains(&format!("\n{name} ")), "no {name} in\n{metrics}");
    }
    assert!(value(&metrics, "process_resident_memory_bytes") > 1e6);
}

#[tokio::test]
async fn every_family_has_help_and_a_type() {
    let etcd = Etcd::start();
    let sidecar = Sidecar::start(&etcd.endpoints());
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    put(&channel, "key", b"").await;
    let metrics = sidecar.metrics();
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let family =
            ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        for kind in ["HELP", "TYPE"] {
            let exists = |name| metrics.contains(&format!("# {kind} {name} "));
            assert!(exists(name) || exists(family), "{name} has no {kind}");
        }
    }
}

async fn put(channel: &Channel, key: &'static str, value: &[u8]) {
    let request = pb::PutRequest { key: key.into(), value: value.to_vec().into(), ..Default::default() };
    channel.call::<_, pb::PutResponse>("/etcdserverpb.KV/Put", &request).await.expect("etcd puts");
}

async fn watch(channel: &Channel) -> Stream {
    let mut stream =
        channel.stream("/etcdserverpb.Watch/Watch", HeaderMap::new()).await.expect("a stream opens");
    let create = pb::WatchCreateRequest { key: "key".into(), ..Default::default() };
    let union = pb::watch_request::RequestUnion::CreateRequest(create);
    stream.send_message(&pb::WatchRequest { request_union: Some(union) });
    assert!(stream.next_message::<pb::WatchResponse>(Duration::from_secs(5)).await.created);
    stream
}

/// Headers and frames come on top.
fn assert_near(bytes: f64, expected: usize, what: &str) {
    let expected = expected as f64;
    assert!(bytes >= expected && bytes < expected * 1.01 + 2000.0, "{bytes} bytes {what}, not {expected}");
}

const LARGE: usize = 1 << 20;

/// A write is counted when it has returned, which may be after its bytes were read.
const MOMENT: Duration = Duration::from_millis(100);
