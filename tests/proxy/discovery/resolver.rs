//! The resolver alone, against a scripted name server.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use etcdlet::net::address::Address;
use etcdlet::upstream::discovery::dns::{DnsError, Resolved, Resolver, Seed};

use super::PLAIN;
use crate::support::dns::{DnsServer, Manner};

const SSL: &str = "_etcd-client-ssl._tcp.test";

#[tokio::test]
async fn services_with_and_without_tls_are_merged_with_their_priorities_and_weights() {
    let (dns, resolver) = start();
    dns.set_srv(SSL, &[(1, 20, 2379, "B.etcd.test."), (2, 0, 2379, "a.etcd.test")], 5);
    dns.set_srv(PLAIN, &[(3, 7, 2380, "c.etcd.test")], 5);
    let found = resolver.services("test", "").await.unwrap();
    let expected = [
        seed("http://c.etcd.test:2380", Some("test"), 3, 7),
        seed("https://a.etcd.test:2379", Some("test"), 2, 1),
        seed("https://b.etcd.test:2379", Some("test"), 1, 20),
    ];
    assert_eq!(found.seeds, expected);
    assert_eq!(resolver.services("test.", "").await.unwrap().seeds, expected);
    assert_eq!((dns.queries_for(SSL), dns.queries_for(PLAIN), dns.queries()), (2, 2, 4));
}

#[tokio::test]
async fn one_kind_of_service_is_enough() {
    let (dns, resolver) = start();
    dns.set_srv(PLAIN, &[(0, 0, 2379, "a.test")], 5);
    assert_eq!(urls(&resolver.services("test", "").await), ["http://a.test:2379"]);
    dns.remove(PLAIN);
    dns.set_srv(SSL, &[(0, 0, 2379, "a.test")], 5);
    assert_eq!(urls(&resolver.services("test", "").await), ["https://a.test:2379"]);
}

#[tokio::test]
async fn a_suffix_stands_behind_the_name_of_the_service() {
    let (dns, resolver) = start();
    dns.set_srv(PLAIN, &[(0, 0, 1, "other.test")], 5);
    dns.set_srv("_etcd-client-ssl-blue._tcp.test", &[(0, 0, 2, "a.test")], 5);
    dns.set_srv("_etcd-client-blue._tcp.test", &[(0, 0, 3, "b.test")], 5);
    assert_eq!(urls(&resolver.services("test", "blue").await), ["http://b.test:3", "https://a.test:2"]);
}

#[tokio::test]
async fn services_behind_a_cname_are_found() {
    let (dns, resolver) = start();
    dns.set_cname(PLAIN, "_etcd-client._tcp.elsewhere", 5);
    dns.set_srv("_etcd-client._tcp.elsewhere", &[(0, 0, 2379, "a.test")], 5);
    assert_eq!(urls(&resolver.services("test", "").await), ["http://a.test:2379"]);
}

#[tokio::test]
async fn a_target_of_the_root_is_no_endpoint_and_the_better_of_two_equal_ones_counts() {
    let (dns, resolver) = start();
    dns.set_srv(PLAIN, &[(0, 0, 0, ".")], 5);
    let nothing = resolver.services("test", "").await.unwrap_err();
    assert_eq!(nothing.to_string(), "_etcd-client[-ssl]._tcp.test has no SRV records");
    dns.set_srv(PLAIN, &[(0, 0, 0, "."), (5, 1, 1, "a.test"), (4, 2, 1, "A.test")], 5);
    let found = resolver.services("test", "").await.unwrap();
    assert_eq!(found.seeds, [seed("http://a.test:1", Some("test"), 4, 2)]);
}

#[tokio::test]
async fn a_name_leads_to_its_addresses_of_both_families() {
    let (dns, resolver) = start();
    dns.set_a("etcd.test", &[[127, 0, 0, 3].into(), [127, 0, 0, 2].into(), [127, 0, 0, 3].into()], 5);
    let expected = [
        seed("https://127.0.0.2:2379", Some("etcd.test"), 0, 1),
        seed("https://127.0.0.3:2379", Some("etcd.test"), 0, 1),
    ];
    assert_eq!(addresses(&resolver, "https://etcd.test:2379").await.unwrap().seeds, expected);
    assert_eq!(addresses(&resolver, "https://etcd.test.:2379").await.unwrap().seeds, expected);
    dns.set_aaaa("etcd.test", &["fd00::1".parse().unwrap()], 5);
    let found = addresses(&resolver, "etcd.test:1").await;
    assert_eq!(urls(&found), ["http://127.0.0.2:1", "http://127.0.0.3:1", "http://[fd00::1]:1"]);
}

#[tokio::test]
async fn an_address_behind_a_cname_is_found() {
    let (dns, resolver) = start();
    dns.set_cname("etcd.test", "etcd.elsewhere", 5);
    dns.set_a("etcd.elsewhere", &[Ipv4Addr::LOCALHOST], 5);
    let found = addresses(&resolver, "etcd.test:1").await.unwrap();
    assert_eq!(found.seeds, [seed("http://127.0.0.1:1", Some("etcd.test"), 0, 1)]);
}

#[tokio::test]
async fn an_ip_address_needs_no_name_server() {
    let (dns, resolver) = start();
    for url in ["http://10.0.0.1:2379", "https://[fd00::1]:2379"] {
        assert_eq!(addresses(&resolver, url).await.unwrap().seeds, [seed(url, None, 0, 1)]);
    }
    assert_eq!(dns.queries(), 0);
}

#[tokio::test]
async fn the_shortest_ttl_counts_within_its_limits() {
    let (dns, resolver) = start();
    for (ssl, plain, seconds) in [(7, 20, 7), (20, 7, 7), (0, 20, 1), (86400, 3600, 30)] {
        dns.set_srv(SSL, &[(0, 0, 1, "a.test")], ssl);
        dns.set_srv(PLAIN, &[(0, 0, 1, "b.test")], plain);
        let asked = Instant::now();
        let valid = resolver.services("test", "").await.unwrap().valid_until.duration_since(asked);
        let expected = Duration::from_secs(seconds);
        assert!(
            valid >= expected && valid < expected + Duration::from_millis(500),
            "{ssl} {plain}: {valid:?}"
        );
    }
    dns.set_cname("short.test", "long.test", 2);
    dns.set_a("long.test", &[Ipv4Addr::LOCALHOST], 20);
    let asked = Instant::now();
    let valid = addresses(&resolver, "short.test:1").await.unwrap().valid_until.duration_since(asked);
    assert!(valid >= Duration::from_secs(2) && valid < Duration::from_millis(2500), "{valid:?}");
}

#[tokio::test]
async fn what_is_not_there_is_absent() {
    let (dns, resolver) = start();
    let absent = |name: &str, kind| DnsError::Absent { name: name.to_owned(), kind };
    assert_eq!(addresses(&resolver, "etcd.test:1").await, Err(absent("etcd.test", "A or AAAA")));
    assert_eq!(
        resolver.services("test", "blue").await,
        Err(absent("_etcd-client[-ssl]-blue._tcp.test", "SRV"))
    );
    // The name is there, but not with such records.
    dns.set_srv("etcd.test", &[(0, 0, 1, "a.test")], 5);
    assert_eq!(addresses(&resolver, "etcd.test:1").await, Err(absent("etcd.test", "A or AAAA")));
}

#[tokio::test]
async fn a_name_server_that_fails_is_an_error_at_once() {
    let (dns, resolver) = start();
    dns.set_srv(PLAIN, &[(0, 0, 1, "a.test")], 5);
    dns.fail(true);
    let asked = Instant::now();
    let error = resolver.services("test", "").await.unwrap_err();
    assert!(matches!(error, DnsError::Refused { .. }), "{error:?}");
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    assert_eq!((dns.queries_for(SSL), dns.queries_for(PLAIN)), (2, 2), "two attempts each");
    dns.fail(false);
    assert_eq!(urls(&resolver.services("test", "").await), ["http://a.test:1"]);
}

#[tokio::test]
async fn silence_is_an_error_in_time() {
    let (dns, resolver) = start();
    dns.silent(true);
    let asked = Instant::now();
    let (services, name) =
        tokio::join!(resolver.services("test", ""), addresses(&resolver, "http://etcd.test:1"));
    assert!(matches!(services, Err(DnsError::Timeout { .. })), "{services:?}");
    assert_eq!(name, Err(DnsError::Timeout { name: "etcd.test".into() }));
    let took = asked.elapsed();
    assert!(took > Duration::from_millis(3900) && took < Duration::from_millis(4500), "{took:?}");
}

#[tokio::test]
async fn answers_without_sense_are_errors_and_do_no_harm() {
    let (dns, resolver) = start();
    dns.set_a("etcd.test", &[Ipv4Addr::LOCALHOST], 5);
    for manner in [Manner::Garbage, Manner::Cut, Manner::TooLong] {
        dns.behave(manner);
        let asked = Instant::now();
        let error = addresses(&resolver, "http://etcd.test:1").await.unwrap_err();
        assert!(matches!(error, DnsError::Failed { .. } | DnsError::Timeout { .. }), "{manner:?}: {error:?}");
        assert!(asked.elapsed() < Duration::from_millis(4500), "{manner:?}: {:?}", asked.elapsed());
    }
    dns.behave(Manner::Answer);
    assert_eq!(urls(&addresses(&resolver, "http://etcd.test:1").await), ["http://127.0.0.1:1"]);
}

#[tokio::test]
async fn the_next_name_server_is_asked_when_one_fails_but_not_when_one_denies() {
    let (first, second) = (DnsServer::start(), DnsServer::start());
    let resolver = Resolver::try_new(&[first.addr(), second.addr()]).unwrap();
    second.set_srv(PLAIN, &[(0, 0, 1, "a.test")], 5);
    let denied = resolver.services("test", "").await;
    assert!(matches!(denied, Err(DnsError::Absent { .. })), "{denied:?}");
    assert_eq!(second.queries(), 0);
    first.set_srv(PLAIN, &[(0, 0, 9, "a.test")], 5);
    for manner in [Manner::Fail, Manner::Garbage, Manner::Silent] {
        first.behave(manner);
        let asked = Instant::now();
        assert_eq!(urls(&resolver.services("test", "").await), ["http://a.test:1"], "{manner:?}");
        assert!(asked.elapsed() < Duration::from_millis(2500), "{manner:?}: {:?}", asked.elapsed());
    }
}

#[tokio::test]
async fn a_change_is_seen_by_the_next_question() {
    let (dns, resolver) = start();
    for port in [1, 2, 3] {
        dns.set_srv(PLAIN, &[(0, 0, port, "a.test")], 3600);
        assert_eq!(urls(&resolver.services("test", "").await), [format!("http://a.test:{port}")]);
        let octet = u8::try_from(port).unwrap();
        dns.set_a("etcd.test", &[[127, 0, 0, octet].into()], 3600);
        assert_eq!(urls(&addresses(&resolver, "etcd.test:1").await), [format!("http://127.0.0.{port}:1")]);
    }
    dns.remove(PLAIN);
    assert!(resolver.services("test", "").await.is_err());
}

#[tokio::test]
async fn what_is_no_name_is_said_without_asking() {
    let (dns, resolver) = start();
    let long = "a".repeat(64);
    for name in ["", ".", "a..b", &long] {
        let answer = resolver.addresses(&Address { tls: false, host: name.into(), port: 1 }).await;
        assert_eq!(answer, Err(DnsError::Name(name.into())));
        assert!(matches!(resolver.services(name, "").await, Err(DnsError::Name(_))), "{name:?}");
    }
    assert_eq!(dns.queries(), 0);
    let no_port = "127.0.0.1:0".parse().unwrap();
    assert_eq!(Resolver::try_new(&[no_port]).err(), Some(DnsError::NameServer(no_port)));
}

fn start() -> (DnsServer, Resolver) {
    let dns = DnsServer::start();
    let resolver = Resolver::try_new(&[dns.addr()]).unwrap();
    (dns, resolver)
}

async fn addresses(resolver: &Resolver, url: &str) -> Result<Resolved, DnsError> {
    resolver.addresses(&url.parse().unwrap()).await
}

fn urls(answer: &Result<Resolved, DnsError>) -> Vec<String> {
    let seeds = &answer.as_ref().expect("it is resolved").seeds;
    seeds.iter().map(|seed| seed.address.to_string()).collect()
}

fn seed(url: &str, server_name: Option<&str>, priority: u16, weight: u16) -> Seed {
    Seed { address: url.parse().unwrap(), server_name: server_name.map(str::to_owned), priority, weight }
}
