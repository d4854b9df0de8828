//! Calls without an end, when the process ends.

use std::time::{Duration, Instant};

use etcdlet::proto::{etcdserverpb as pb, v3lockpb as lock};
use http::HeaderMap;
use prost::Message;
use tokio::time::sleep;

use super::{configured, watch};
use crate::http1::client::{Connection, post};
use crate::support::etcd::Etcd;
use crate::support::grpc::{Channel, End, Event, Status};

#[tokio::test]
async fn watches_end_unavailable_one_after_the_other_within_the_jitter() {
    let etcd = Etcd::start();
    let mut sidecar = configured(&etcd.endpoint(), "drain: {stream-jitter: 800ms}");
    let mut watches = Vec::new();
    for number in 0..40 {
        let channel = Channel::connect(&sidecar.url()).await.unwrap();
        let stream = watch(&channel, if number % 2 == 0 { "even" } else { "odd" }).await;
        watches.push((channel, stream));
    }
    let signalled = Instant::now();
    sidecar.terminate();
    let ends: Vec<_> = watches
        .into_iter()
        .map(|(channel, mut stream)| {
            tokio::spawn(async move {
                let event = stream.next(Duration::from_secs(5)).await;
                drop(channel);
                (event, signalled.elapsed())
            })
        })
        .collect();
    let mut times = Vec::new();
    for end in ends {
        let (event, time) = end.await.unwrap();
        let Event::End(End::Trailers(trailers)) = event else { panic!("no trailers but {event:?}") };
        assert_eq!(trailers["grpc-status"], "14");
        assert_eq!(trailers["grpc-message"], "etcdlet: shutting down");
        times.push(time);
    }
    times.sort();
    let (first, last) = (times[0], times[times.len() - 1]);
    assert!(last < Duration::from_millis(1000), "the last watch ended after {last:?}");
    assert!(last - first > Duration::from_millis(300), "all ended within {:?}", last - first);
    let status = sidecar.wait(Duration::from_secs(2));
    assert!(status.is_some_and(|status| status.success()), "{status:?}");
    assert!(signalled.elapsed() < Duration::from_millis(1500), "{:?}", signalled.elapsed());
}

#[tokio::test]
async fn a_watch_delivers_until_its_end() {
    let etcd = Etcd::start();
    let mut sidecar = configured(&etcd.endpoint(), "drain: {stream-jitter: 2s}");
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    let direct = Channel::connect(&etcd.endpoint()).await.unwrap();
    // Of several, one lasts long enough with all the likelihood that a test can have.
    let mut watches = Vec::new();
    for _ in 0..20 {
        watches.push(watch(&channel, "key").await);
    }
    sidecar.terminate();
    sleep(Duration::from_millis(100)).await;
    let put = pb::PutRequest { key: "key".into(), ..Default::default() };
    direct.call::<_, pb::PutResponse>("/etcdserverpb.KV/Put", &put).await.unwrap();
    let mut delivered = 0;
    for mut watch in watches {
        if let Event::Message(message) = watch.next(Duration::from_secs(3)).await {
            assert_eq!(message.decode::<pb::WatchResponse>().events.len(), 1);
            delivered += 1;
        }
    }
    assert!(delivered > 0, "no watch delivered anything after the signal");
}

#[tokio::test]
async fn a_watch_of_the_json_gateway_ends_within_the_jitter_too() {
    let etcd = Etcd::start();
    let mut sidecar = configured(&etcd.endpoint(), "drain: {stream-jitter: 500ms}");
    let mut watch = Connection::open(&sidecar.url()).await;
    watch.send(&post("/v3/watch", r#"{"create_request": {"key": "YQ=="}}"#)).await;
    assert_eq!(watch.head().await.status, 200);
    watch.chunk().await.expect("the watch is created");
    sidecar.terminate();
    let status = sidecar.wait(Duration::from_secs(2));
    assert!(status.is_some_and(|status| status.success()), "{status:?}");
}

#[tokio::test]
async fn a_keep_alive_and_a_lock_that_waits_end_too() {
    let etcd = Etcd::start();
    let mut sidecar = configured(&etcd.endpoint(), "drain: {stream-jitter: 300ms}");
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    for id in [7, 8] {
        let grant = pb::LeaseGrantRequest { ttl: 60, id };
        channel.call::<_, pb::LeaseGrantResponse>("/etcdserverpb.Lease/LeaseGrant", &grant).await.unwrap();
    }
    let mut keep_alive =
        channel.stream("/etcdserverpb.Lease/LeaseKeepAlive", HeaderMap::new()).await.unwrap();
    keep_alive.send_message(&pb::LeaseKeepAliveRequest { id: 7 });
    keep_alive.next_message::<pb::LeaseKeepAliveResponse>(Duration::from_secs(5)).await;
    let request = |lease| lock::LockRequest { name: "lock".into(), lease };
    channel.call::<_, lock::LockResponse>("/v3lockpb.Lock/Lock", &request(7)).await.unwrap();
    let mut waiting = channel.stream("/v3lockpb.Lock/Lock", HeaderMap::new()).await.unwrap();
    waiting.send(&request(8).encode_to_vec());
    waiting.half_close();
    let silence = waiting.next(Duration::from_millis(200)).await;
    assert!(matches!(silence, Event::Silence), "{silence:?}");
    sidecar.terminate();
    let unavailable = |message: &str| Status { code: Some(14), message: message.into() };
    let limit = Duration::from_secs(2);
    assert_eq!(keep_alive.answer(limit).await.status(), unavailable("etcdlet: shutting down"));
    // Whether it has the lock by now, nobody can tell.
    assert_eq!(waiting.answer(limit).await.status(), unavailable("etcdlet: shutting down, outcome unknown"));
    drop(channel);
    assert!(sidecar.wait(limit).is_some_and(|status| status.success()));
}
