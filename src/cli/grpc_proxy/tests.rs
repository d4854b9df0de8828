//! Command lines, and what they become.

use super::*;
use crate::config::Config;
use crate::proxy::MemberList;
use crate::types::client::Serves;
use crate::upstream::discovery::Verify;

fn given(line: &str) -> Given {
    parse(&GROUP, &words(line)).unwrap()
}

fn words(line: &str) -> Vec<String> {
    format!("start {line}").split_whitespace().map(str::to_owned).collect()
}

fn config(line: &str) -> Config {
    read(&words(line)).unwrap().source.read().unwrap().resolve().unwrap()
}

fn error(line: &str) -> String {
    read(&words(line)).unwrap_err().text
}

#[test]
fn without_flags_it_does_what_etcd_does() {
    let config = config("");
    let [listener] = &config.listen.listeners[..] else { panic!("one listener") };
    assert_eq!(listener.url.to_string(), "http://127.0.0.1:23790");
    assert_eq!(config.upstream.discovery.endpoints[0].to_string(), "http://127.0.0.1:2379");
    assert!(!config.upstream.health.sync_members);
    assert_eq!(config.proxy.member_list, MemberList::Registered);
    let register = config.proxy.register.unwrap();
    assert_eq!((register.advertise_client_url.as_str(), register.session), ("127.0.0.1:23790", None));
    assert_eq!(config.admin.url.port, 0);
}

#[test]
fn whoever_names_no_host_means_every_address() {
    let any = listen_url("http", ":1");
    for address in ["0.0.0.0:1", "[::]:1"] {
        assert_eq!(listen_url("http", address), any);
    }
    for url in ["http://:1", "http://:1/metrics", "http://0.0.0.0:1/"] {
        assert_eq!(listen_url_of(url), any);
    }
    let ends = [("https://10.0.0.1:1/metrics", "https://10.0.0.1:1"), ("unix:///a/b", "unix:///a/b")];
    for (url, expected) in ends {
        assert_eq!(listen_url_of(url), expected);
    }
    let config = config("--metrics-addr http://:9/metrics");
    assert_eq!(config.listen.listeners[1].terms.serves, Serves::Info);
    assert!(!config.admin.changes, "no user of the host ends it who could not end etcd's");
}

#[test]
fn flags_become_the_keys_of_the_file() {
    let line = "--listen-addr=127.0.0.2:2379 --endpoints a:1,https://b:2 --endpoints-auto-sync-interval 90s \
        --metrics-addr http://127.0.0.1:9 --advertise-client-url= --max-concurrent-streams 7 \
        --insecure-skip-tls-verify";
    let config = config(line);
    let [clients, info] = &config.listen.listeners[..] else { panic!("two listeners") };
    assert_eq!(
        (clients.url.to_string().as_str(), clients.terms.serves),
        ("http://127.0.0.2:2379", Serves::All)
    );
    assert_eq!((info.url.to_string().as_str(), info.terms.serves), ("http://127.0.0.1:9", Serves::Info));
    let endpoints = &config.upstream.discovery.endpoints;
    assert_eq!(endpoints[0].to_string(), "https://a:1", "as etcd's client does with certificates");
    assert!(config.upstream.tls.skip_verify && config.upstream.health.sync_members);
    assert_eq!(config.upstream.health.sync_interval.as_secs(), 90);
    assert_eq!((&config.proxy.member_list, &config.proxy.register), (&MemberList::Passthrough, &None));
    assert_eq!(config.listen.limits.streams_per_connection, 7);
    let domain = self::config("--discovery-srv etcd.test --discovery-srv-name blue");
    let srv = domain.upstream.discovery.srv.unwrap();
    assert_eq!((srv.domain.as_str(), srv.name.as_str(), srv.insecure), ("etcd.test", "blue", false));
    assert_eq!(srv.verify, Verify::Target);
    assert!(domain.upstream.discovery.endpoints.is_empty());
    let registered = self::config("--resolver-prefix p --resolver-ttl 60");
    let session = registered.proxy.register.unwrap().session.unwrap();
    assert_eq!((session.prefix.as_str(), session.ttl.as_secs()), ("p", 60));
}

#[test]
fn the_flags_of_tls_and_of_pings_become_keys_too() {
    let line = "--cert-file c --key-file k --trusted-ca-file ca --client-crl-file crl \
        --listen-cipher-suites A,B --tls-min-version=TLS1.2 --tls-max-version TLS1.2 --auto-tls \
        --namespace /n/ --grpc-keepalive-min-time 2s --grpc-keepalive-timeout 0s \
        --grpc-keepalive-interval 120m --cacert a";
    let document = document(&given(line));
    assert_eq!(document["listen"][0]["url"], "https://127.0.0.1:23790");
    assert_eq!(
        document["listen"][0]["tls"],
        json!({"cert-file": "c", "key-file": "k", "trusted-ca-file": "ca", "client-crl-file": "crl",
            "cipher-suites": ["A", "B"], "max-version": "TLS1.2"})
    );
    assert_eq!(document["namespace"], "/n/");
    assert_eq!(document["limits"], json!({"grpc-keepalive-min-time": "2s"}), "the others are defaults");
    assert_eq!(document["upstream"]["tls"], json!({"cacert": "a"}));
    let own = super::document(&given("--auto-tls --self-signed-cert-validity 3"));
    assert_eq!(own["listen"][0]["tls"], json!({"auto-tls": true, "self-signed-cert-validity": 3}));
    let nothing = super::document(&given("--grpc-keepalive-min-time 0s --grpc-keepalive-interval 0s"));
    assert_eq!(nothing["limits"], json!({"grpc-keepalive-min-time": "5m"}), "as Go's gRPC");
    let limits = config("--grpc-keepalive-interval 1m --grpc-keepalive-timeout 3s").listen.limits;
    assert_eq!((limits.keepalive_interval.as_secs(), limits.keepalive_timeout.as_secs()), (60, 3));
}

#[test]
fn what_is_wrong_is_told_by_flags() {
    for (line, expected) in [
        ("--resolver-prefix x", "invalid resolver-ttl 0"),
        ("--resolver-ttl 5", "invalid resolver-prefix \"\""),
        ("--resolver-prefix x --resolver-ttl 5 --advertise-client-url=", "invalid advertise-client-url \"\""),
        (
            "--auto-tls --self-signed-cert-validity 0",
            "selfSignedCertValidity is invalid,it should be greater than 0",
        ),
        (
            "--tls-min-version TLS1.3 --tls-max-version TLS1.2",
            "min version (TLS1.3) is greater than max version (TLS1.2)",
        ),
        ("--endpoints=", "etcdclient: no available endpoints"),
        ("--endpoints a:b", "--endpoints: \"a:b\": \"b\" is not a port"),
        (
            "--listen-addr 127.0.0.1:99999",
            "--listen-addr: \"http://127.0.0.1:99999\": \"99999\" is not a port",
        ),
        ("--cert c", "--cert, --key: a certificate and its key go together"),
        ("--cert-file c", "--cert-file, --key-file: a certificate and its key go together"),
        (
            "--cert-file c --key-file k --client-crl-file l --metrics-addr https://127.0.0.1:9",
            "--client-crl-file: it goes with --trusted-ca-file",
        ),
        (
            "--metrics-addr https://127.0.0.1:9",
            "--metrics-addr: https://127.0.0.1:9 needs a certificate and its key",
        ),
        ("--listen-addr 127.0.0.1:2379", "--endpoints: http://127.0.0.1:2379 is this etcdlet's own listener"),
    ] {
        assert_eq!(error(line).lines().next(), Some(expected), "{line}");
    }
    assert!(error("--experimental-leasing-prefix p").contains("leave it out"));
    assert!(error("--enable-pprof").contains("leave it out"));
}
