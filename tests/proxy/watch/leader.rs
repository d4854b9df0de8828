//! W7: who asks for a leader is told when there is none; who does not, waits.

use std::time::Duration;

use super::client::{Client, Watch, key};
use crate::support::etcd::{Cluster, GrpcProxy};
use crate::support::grpc::{PATIENCE, Status};
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn who_asks_for_a_leader_is_told_that_there_is_none_and_others_wait() {
    let mut cluster = Cluster::start(3);
    // Only one member is known, so that the watches do not end with those that die.
    let sidecar = Sidecar::with_config(&format!(
        "
listen: [{{url: 'http://{{listen}}'}}]
upstream: {{endpoints: ['{}'], sync-members: false}}
admin: {{url: 'http://{{admin}}'}}
",
        cluster.members[0].endpoint()
    ));
    let client = Client::connect(&sidecar.url(), PATIENCE).await;
    let mut plain = client.watch().await;
    plain.created(key("a")).await.expect("it is created");
    let mut demanding = client.watch_with(&[("hasleader", "true")]).await;
    demanding.created(key("a")).await.expect("it is created");
    // etcd's own proxy looks for the wish where its clients cannot state it.
    let proxy = GrpcProxy::start(&cluster.members[0]);
    let unlike = Client::connect(&proxy.url(), PATIENCE).await;
    let mut unheard = unlike.watch_with(&[("hasleader", "true")]).await;
    unheard.created(key("a")).await.expect("it is created");
    for other in [1, 2] {
        cluster.members[other].kill();
    }
    let no_leader = Status { code: Some(14), message: "etcdserver: no leader".into() };
    let began = std::time::Instant::now();
    assert_eq!(status(demanding).await, no_leader);
    println!("told after {:.1?}", began.elapsed());
    let mut refused = client.watch_with(&[("hasleader", "true")]).await;
    refused.create(key("a"));
    assert_eq!(status(refused).await.code, Some(14));
    assert_eq!(plain.next_within(Duration::from_millis(500)).await, Ok(None), "others wait");
    assert_eq!(unheard.next_within(Duration::from_millis(500)).await, Ok(None), "the defect shows");
    for other in [1, 2] {
        cluster.members[other].respawn();
    }
    cluster.wait_healthy();
    let put = client.put("a", "1").await.expect("a put succeeds");
    plain.sees(put).await.expect("it goes on");
    let mut again = client.watch_with(&[("hasleader", "true")]).await;
    again.created(key("a")).await.expect("it is created");
}

/// How it ends, without having shown anything: the member cuts it after three election timeouts; then others are
/// asked, as long as reads are.
async fn status(watch: Watch) -> Status {
    let answer = watch.stream.answer(Duration::from_secs(40)).await;
    assert!(answer.messages.is_empty(), "{answer:?}");
    answer.status()
}
