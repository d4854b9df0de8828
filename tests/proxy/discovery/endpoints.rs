//! Endpoints follow their records.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::HeaderMap;
use tokio::time::sleep;

use super::{FOLLOWED, PLAIN, PUT, calls_succeed, endpoints_become, in_front, put, until};
use crate::support::dns::DnsServer;
use crate::support::etcd::{Cluster, Etcd};
use crate::support::grpc::Channel;
use crate::support::upstream::{Call, Upstream};

#[tokio::test]
async fn srv_records_lead_to_all_members() {
    let mut cluster = Cluster::start(3);
    let dns = DnsServer::start();
    dns.set_srv(PLAIN, &services(&cluster.members), 1);
    let sidecar = in_front(&dns, "discovery-srv: test");
    endpoints_become(&sidecar, "srv", &cluster.endpoints(), FOLLOWED).await;
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    calls_succeed(&channel).await;
    let leader = cluster.leader();
    cluster.members[(leader + 1) % 3].kill();
    // What was under way towards it may be lost.
    until(FOLLOWED, "calls go to the others", async || put(&channel).await.is_ok()).await;
    calls_succeed(&channel).await;
}

#[tokio::test]
async fn the_name_of_the_service_may_have_a_suffix() {
    let (etcd, other) = (Etcd::start(), Etcd::start());
    let dns = DnsServer::start();
    dns.set_srv(PLAIN, &services([&other]), 1);
    dns.set_srv("_etcd-client-blue._tcp.test", &services([&etcd]), 1);
    let sidecar = in_front(&dns, "discovery-srv: test\n  discovery-srv-name: blue");
    endpoints_become(&sidecar, "srv", &etcd.endpoints(), FOLLOWED).await;
    calls_succeed(&Channel::connect(&sidecar.url()).await.unwrap()).await;
    assert_eq!(etcd.run_etcdctl(&["get", "k", "--keys-only"]).trim(), "k");
    assert_eq!(other.run_etcdctl(&["get", "k", "--keys-only"]).trim(), "");
}

/// Names that only these name servers know: the system's own are not asked about targets either.
#[tokio::test]
async fn targets_are_resolved_by_the_same_name_servers() {
    let etcd = Etcd::start();
    let dns = DnsServer::start();
    dns.set_srv(PLAIN, &[(0, 1, etcd.addr().port(), "m0.etcd.test")], 1);
    dns.set_a("m0.etcd.test", &[Ipv4Addr::LOCALHOST], 1);
    let sidecar = in_front(&dns, "discovery-srv: test");
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    until(FOLLOWED, "the target is found", async || put(&channel).await.is_ok()).await;
}

#[tokio::test]
async fn srv_records_that_change_are_followed_while_calls_go_on() {
    let cluster = Cluster::start(3);
    let urls = cluster.endpoints();
    let dns = DnsServer::start();
    dns.set_srv(PLAIN, &services(&cluster.members[..2]), 1);
    let sidecar = in_front(&dns, "discovery-srv: test");
    endpoints_become(&sidecar, "srv", &urls[..2], FOLLOWED).await;
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    let calling = tokio::spawn({
        let channel = channel.clone();
        async move {
            loop {
                calls_succeed(&channel).await;
            }
        }
    });
    for expected in [&urls[..], &urls[1..], &urls[2..], &urls[..1]] {
        let members = cluster.members.iter().filter(|member| expected.contains(&member.endpoint()));
        dns.set_srv(PLAIN, &services(members), 1);
        endpoints_become(&sidecar, "srv", expected, FOLLOWED).await;
    }
    assert!(!calling.is_finished(), "a call failed: {:?}", calling.await);
    calling.abort();
}

#[tokio::test]
async fn addresses_that_change_are_followed_and_those_left_get_no_more_calls() {
    let dns = DnsServer::start();
    let first = Counted::start((Ipv4Addr::new(127, 0, 0, 2), 0).into());
    let port = first.upstream.addr().port();
    let second = Counted::start((Ipv4Addr::new(127, 0, 0, 3), port).into());
    dns.set_a("etcd.test", &[Ipv4Addr::new(127, 0, 0, 2)], 1);
    let sidecar = in_front(&dns, &format!("dns: http://etcd.test:{port}"));
    endpoints_become(&sidecar, "dns", &[first.upstream.url()], FOLLOWED).await;
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    calls_succeed(&channel).await;
    dns.set_a("etcd.test", &[Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 0, 0, 3)], 1);
    endpoints_become(&sidecar, "dns", &[first.upstream.url(), second.upstream.url()], FOLLOWED).await;
    until(FOLLOWED, "the new address gets calls", async || put(&channel).await.is_ok() && second.puts() > 0)
        .await;
    dns.set_a("etcd.test", &[Ipv4Addr::new(127, 0, 0, 3)], 1);
    endpoints_become(&sidecar, "dns", &[second.upstream.url()], FOLLOWED).await;
    let before = first.puts();
    calls_succeed(&channel).await;
    assert_eq!(first.puts(), before);
}

/// Nobody looks after it any longer, so that its streams would not notice its end.
#[tokio::test]
async fn streams_of_an_address_that_is_gone_end_and_calls_finish() {
    let dns = DnsServer::start();
    let slow = |mut call: Call| async move {
        if call.path() == PUT {
            sleep(Duration::from_secs(5)).await;
            return call.answer(b"").await;
        }
        let _answering = call.begin();
        std::future::pending::<()>().await;
    };
    let first = Upstream::start_on((Ipv4Addr::new(127, 0, 0, 2), 0).into(), slow);
    let port = first.addr().port();
    let second = Counted::start((Ipv4Addr::new(127, 0, 0, 3), port).into());
    dns.set_a("etcd.test", &[Ipv4Addr::new(127, 0, 0, 2)], 1);
    let sidecar = in_front(&dns, &format!("dns: http://etcd.test:{port}\nwatch: {{coalesce: false}}"));
    endpoints_become(&sidecar, "dns", &[first.url()], FOLLOWED).await;
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    let watch = channel.stream("/etcdserverpb.Watch/Watch", HeaderMap::new()).await.unwrap();
    let putting = tokio::spawn(async move { put(&channel).await });
    until(FOLLOWED, "both are under way", async || first.calls() == 2).await;
    dns.set_a("etcd.test", &[Ipv4Addr::new(127, 0, 0, 3)], 1);
    let status = watch.answer(FOLLOWED).await.status();
    assert_eq!((status.code, status.message.as_str()), (Some(14), "etcdlet: upstream connection lost"));
    assert!(!putting.is_finished());
    putting.await.unwrap().expect("it was under way, and the member still lives");
    assert_eq!(second.puts(), 0);
}

/// What is known of a half that can't be asked for is better than nothing.
#[tokio::test]
async fn a_half_of_the_records_that_cannot_be_had_keeps_its_endpoints() {
    let dns = DnsServer::start();
    dns.set_srv("_etcd-client-ssl._tcp.test", &[(0, 1, 1, "127.0.0.1")], 1);
    dns.set_srv(PLAIN, &[(0, 1, 2, "127.0.0.1")], 1);
    let sidecar = in_front(&dns, "discovery-srv: test");
    let (tls, plain) = ("https://127.0.0.1:1".to_owned(), "http://127.0.0.1:2".to_owned());
    endpoints_become(&sidecar, "srv", &[tls.clone(), plain], FOLLOWED).await;
    dns.fail_about("_etcd-client-ssl._tcp.test");
    dns.set_srv(PLAIN, &[(0, 1, 3, "127.0.0.1")], 1);
    endpoints_become(&sidecar, "srv", &[tls, "http://127.0.0.1:3".to_owned()], FOLLOWED).await;
}

#[tokio::test]
async fn a_target_without_an_address_does_not_hide_the_others() {
    let (first, second) = (Etcd::start(), Etcd::start());
    let dns = DnsServer::start();
    dns.set_a("m0.test", &[Ipv4Addr::LOCALHOST], 1);
    let services =
        [(0, 1, first.addr().port(), "m0.test"), (0, 1, 1, "gone.test"), (0, 1, 1, "failing.test")];
    dns.set_srv(PLAIN, &services, 1);
    dns.fail_about("failing.test");
    let sidecar = in_front(&dns, "discovery-srv: test");
    endpoints_become(&sidecar, "srv", &first.endpoints(), FOLLOWED).await;
    calls_succeed(&Channel::connect(&sidecar.url()).await.unwrap()).await;
    // One that was known stays while it can't be asked about.
    dns.set_a("m1.test", &[Ipv4Addr::LOCALHOST], 1);
    dns.set_srv(PLAIN, &[services[0], (0, 1, second.addr().port(), "m1.test")], 1);
    let both = [first.endpoint(), second.endpoint()];
    endpoints_become(&sidecar, "srv", &both, FOLLOWED).await;
    dns.fail_about("m1.test");
    let asked = dns.queries_for("m1.test");
    until(FOLLOWED, "it is asked again", async || dns.queries_for("m1.test") > asked + 8).await;
    endpoints_become(&sidecar, "srv", &both, FOLLOWED).await;
}

#[tokio::test]
async fn a_name_leads_to_a_real_etcd() {
    let etcd = Etcd::start();
    let dns = DnsServer::start();
    dns.set_a("etcd.test", &[Ipv4Addr::LOCALHOST], 1);
    let sidecar = in_front(&dns, &format!("dns: http://etcd.test:{}", etcd.addr().port()));
    endpoints_become(&sidecar, "dns", &etcd.endpoints(), FOLLOWED).await;
    calls_succeed(&Channel::connect(&sidecar.url()).await.unwrap()).await;
}

#[tokio::test]
async fn the_endpoint_of_lower_preference_serves_only_while_the_other_cannot() {
    let dns = DnsServer::start();
    let (preferred, spare) = (Counted::start(ANY), Counted::start(ANY));
    let address = preferred.upstream.addr();
    let record = |priority, upstream: &Upstream| (priority, 1, upstream.addr().port(), "127.0.0.1");
    dns.set_srv(PLAIN, &[record(10, &preferred.upstream), record(20, &spare.upstream)], 1);
    let sidecar = in_front(&dns, "discovery-srv: test");
    endpoints_become(&sidecar, "srv", &[preferred.upstream.url(), spare.upstream.url()], FOLLOWED).await;
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    until(FOLLOWED, "the preferred one is used", async || put(&channel).await.is_ok()).await;
    let before = spare.puts();
    calls_succeed(&channel).await;
    assert_eq!(spare.puts(), before, "the spare one got calls");
    drop(preferred);
    until(FOLLOWED, "the spare one is used", async || put(&channel).await.is_ok()).await;
    calls_succeed(&channel).await;
    assert!(spare.puts() > before);
    let back = Counted::start(address);
    until(Duration::from_secs(5), "the preferred one is used again", async || {
        put(&channel).await.is_ok() && back.puts() > 0
    })
    .await;
    let before = spare.puts();
    calls_succeed(&channel).await;
    assert_eq!(spare.puts(), before, "the spare one still gets calls");
}

/// A scripted member that counts the calls of the test: what etcdlet itself asks is none of them.
struct Counted {
    upstream: Upstream,
    puts: Arc<AtomicUsize>,
}

impl Counted {
    fn start(address: SocketAddr) -> Self {
        let puts = Arc::new(AtomicUsize::new(0));
        let counter = puts.clone();
        let upstream = Upstream::start_on(address, move |call| {
            if call.path() == PUT {
                counter.fetch_add(1, Ordering::SeqCst);
            }
            call.answer(b"")
        });
        Self { upstream, puts }
    }

    fn puts(&self) -> usize {
        self.puts.load(Ordering::SeqCst)
    }
}

/// A record each, all alike.
fn services<'a>(members: impl IntoIterator<Item = &'a Etcd>) -> Vec<(u16, u16, u16, &'static str)> {
    members.into_iter().map(|member| (0, 1, member.addr().port(), "127.0.0.1")).collect()
}

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
