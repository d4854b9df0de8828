//! Name servers that fail: the process lives on with what it knows.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::{FOLLOWED, PLAIN, calls_succeed, endpoints, endpoints_become, in_front, put, until};
use crate::support::dns::{DnsServer, Manner};
use crate::support::etcd::{Cluster, Etcd};
use crate::support::grpc::Channel;

#[tokio::test]
async fn the_last_known_endpoints_outlive_name_servers_that_fail() {
    known_endpoints_survive(Manner::Fail).await;
}

#[tokio::test]
async fn the_last_known_endpoints_outlive_name_servers_that_are_silent() {
    known_endpoints_survive(Manner::Silent).await;
}

async fn known_endpoints_survive(manner: Manner) {
    let cluster = Cluster::start(3);
    let (etcd, other) = (&cluster.members[0], &cluster.members[1]);
    let dns = DnsServer::start();
    dns.set_srv(PLAIN, &[(0, 1, etcd.addr().port(), "127.0.0.1")], 1);
    let sidecar = in_front(&dns, "discovery-srv: test");
    endpoints_become(&sidecar, "srv", &etcd.endpoints(), FOLLOWED).await;
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    dns.behave(manner);
    let (broken, before) = (Instant::now(), dns.queries());
    // Longer than the records and one whole question last.
    while broken.elapsed() < Duration::from_secs(7) {
        calls_succeed(&channel).await;
        assert_eq!(endpoints(&sidecar, "srv"), etcd.endpoints(), "{manner:?}");
        sleep(Duration::from_millis(100)).await;
    }
    let asked = dns.queries() - before;
    assert!(asked > 0, "it no longer asks");
    assert!(asked < 100, "{asked} queries in seven seconds");
    // It finds back to the DNS by itself.
    dns.set_srv(PLAIN, &[(0, 1, other.addr().port(), "127.0.0.1")], 1);
    dns.behave(Manner::Answer);
    endpoints_become(&sidecar, "srv", &other.endpoints(), HEALED).await;
}

#[tokio::test]
async fn it_starts_while_the_name_servers_are_down_and_serves_when_they_answer() {
    let etcd = Etcd::start();
    let dns = DnsServer::start();
    dns.set_srv(PLAIN, &[(0, 1, etcd.addr().port(), "127.0.0.1")], 1);
    dns.silent(true);
    let sidecar = in_front(&dns, "discovery-srv: test");
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    let started = Instant::now();
    let status = put(&channel).await.expect_err("there is no endpoint yet");
    assert_eq!(status.code, Some(14), "{status:?}");
    assert!(status.message.contains("not sent"), "{status:?}");
    assert!(started.elapsed() < Duration::from_millis(5500), "{:?}", started.elapsed());
    // Once the first question has failed, the client is told what was asked for in vain.
    until(Duration::from_secs(6), "the reason is told", async || {
        let status = put(&channel).await.expect_err("there is no endpoint yet");
        assert_eq!(status.code, Some(14), "{status:?}");
        status.message.contains("._tcp.test: no answer from the name server")
    })
    .await;
    dns.silent(false);
    until(HEALED, "the endpoint is found", async || put(&channel).await.is_ok()).await;
    endpoints_become(&sidecar, "srv", &etcd.endpoints(), FOLLOWED).await;
}

/// A question that is under way, the pause before the next, and that one.
const HEALED: Duration = Duration::from_secs(10);
