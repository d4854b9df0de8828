//! The process is to end: whoever asks /readyz is told first.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{configured, until};
use crate::observability::becomes;
use crate::support::etcd::Etcd;
use crate::support::grpc::Channel;
use crate::support::load::{PUT, RANGE};
use crate::support::sidecar::Sidecar;
use etcdlet::proto::etcdserverpb as pb;

#[tokio::test]
async fn sigterm_makes_readyz_say_no_while_calls_are_still_taken() {
    drains(|sidecar| sidecar.signal(Signal::TERM)).await;
}

#[tokio::test]
async fn a_post_to_drain_is_like_sigterm() {
    drains(|sidecar| {
        for _ in 0..2 {
            assert_eq!(sidecar.admin_request("POST", "/drain", "").0, 202);
        }
        // What comes next when a pod is deleted or a container stopped: it joins, and cuts nothing.
        sidecar.signal(Signal::TERM);
    })
    .await;
}

async fn drains(begin: impl FnOnce(&mut Sidecar)) {
    let etcd = Etcd::start();
    let config = configured(&etcd.endpoints(), "drain: {delay: 1500ms, stream-jitter: 100ms}");
    let mut sidecar = Sidecar::with_config(&config);
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    let mut watch = crate::lifecycle::watch(&channel, "key").await;
    until(&sidecar, "ready", || sidecar.admin_get("/readyz").0 == 200);
    let begun = Instant::now();
    begin(&mut sidecar);
    until(&sidecar, "not ready", || sidecar.admin_get("/readyz").0 == 503);
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
    let (_, told) = sidecar.admin_get("/readyz");
    assert!(told.contains("[-]not_draining failed: "), "{told}");
    assert!(told.contains("[+]listeners ok"), "{told}");
    assert_eq!(sidecar.admin_get("/livez").0, 200);
    // Load balancers have not looked yet: new connections and calls are as good as before.
    let late = Channel::connect(&sidecar.url()).await.unwrap();
    let put = pb::PutRequest { key: "key".into(), ..Default::default() };
    late.call::<_, pb::PutResponse>(PUT, &put).await.unwrap();
    let event = watch.next_message::<pb::WatchResponse>(Duration::from_secs(1)).await;
    assert_eq!(event.events.len(), 1);
    assert!(begun.elapsed() < Duration::from_millis(1400), "this machine is too slow: {:?}", begun.elapsed());
    // Then all of it ends.
    let limit = Duration::from_secs(5);
    let status = tokio::task::spawn_blocking(move || (sidecar.wait(limit), sidecar)).await.unwrap();
    assert!(status.0.is_some_and(|status| status.success()), "{}", status.1.log());
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(1500) && took < Duration::from_secs(4), "{took:?}");
    let range = pb::RangeRequest { key: "key".into(), ..Default::default() };
    assert!(late.call::<_, pb::RangeResponse>(RANGE, &range).await.is_err());
}

#[tokio::test]
async fn a_second_signal_does_not_wait_for_the_delay() {
    let etcd = Etcd::start();
    let mut sidecar = Sidecar::with_config(&configured(&etcd.endpoints(), "drain: {delay: 30s}"));
    sidecar.terminate();
    until(&sidecar, "not ready", || sidecar.admin_get("/readyz").0 == 503);
    becomes(&sidecar, "etcdlet_connections", 0.0).await;
    let signalled = Instant::now();
    sidecar.terminate();
    assert!(sidecar.wait(Duration::from_secs(2)).is_some(), "{}", sidecar.log());
    assert!(signalled.elapsed() < Duration::from_millis(500), "{:?}", signalled.elapsed());
}
