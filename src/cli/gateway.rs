//! `etcdlet gateway start`: the job of `etcd gateway start` with its flags (`server/etcdmain/gateway.go`),
//! done by etcdlet: TCP connections are passed on as they are.

use std::net::{IpAddr, ToSocketAddrs};

use serde_json::{Map, Value, json};

use super::drop_in::{DropIn, Line, admin, discovery, listen_url};
use super::pflag::Fate::{Done, Idle};
use super::pflag::Kind::{Bool, Duration, Strings, Text};
use super::pflag::{Exit, Flag, Given, Group, parse};
use crate::net::address::Address;

/// `arguments` are those behind `gateway`.
pub fn read(arguments: &[String]) -> Result<DropIn, Exit> {
    let given = parse(&GROUP, arguments)?;
    check(&given).map_err(Exit::failed)?;
    DropIn::new(&given, &document(&given), &FLAGS_OF_KEYS, ready(&given))
}

pub static GROUP: Group = Group {
    name: "gateway",
    about: "What etcd gateway does, done by etcdlet",
    start: "start the gateway, with the flags of etcd gateway start",
    flags: &FLAGS,
};

#[rustfmt::skip]
static FLAGS: [Flag; 7] = [
    Flag::new("discovery-srv", Text, "", Done, "domain whose SRV records name the cluster; --endpoints does not count then"),
    Flag::new("discovery-srv-name", Text, "", Done, "suffix of the SRV service names"),
    Flag::new("endpoints", Strings, "127.0.0.1:2379", Done, "the cluster, with commas between"),
    Flag::new("insecure-discovery", Bool, "false", Done, "use SRV records without TLS too"),
    Flag::new("listen-addr", Text, "127.0.0.1:23790", Done, "where clients connect"),
    Flag::new("retry-delay", Duration, "1m0s", Idle("a member that comes back is used as soon as it answers a probe"), ""),
    Flag::new("trusted-ca-file", Text, "", Done, "CA that signed the cluster's certificates, which probes verify"),
];

/// What etcd refuses in its own words: above all, to pass connections on to itself.
fn check(given: &Given) -> Result<(), String> {
    let listen = given.text("listen-addr");
    let Some((host, port)) = listen.rsplit_once(':') else {
        return Err(format!("failed to validate listen address: {listen}"));
    };
    if given.is_set("discovery-srv") {
        return Ok(());
    }
    let endpoints = given.list("endpoints");
    if endpoints.is_empty() {
        return Err("no endpoints found".to_owned());
    }
    let own = resolve(host.trim_matches(['[', ']']));
    for endpoint in endpoints {
        let Ok(address) = endpoint.parse::<Address>() else {
            return Err(format!("error parsing endpoint {endpoint:?}"));
        };
        let Address { host, port: there, .. } = &address;
        if there.to_string() != port {
            continue;
        }
        // One that has no address now may have one later.
        if let Some(ip) = resolve(host).into_iter().find(|ip| own.contains(ip)) {
            return Err(format!(
                "SRV or endpoint ({host}:{there}->{ip}:{there}) should not resolve to the gateway listen addr ({listen})"
            ));
        }
    }
    Ok(())
}

fn resolve(host: &str) -> Vec<IpAddr> {
    (host, 0).to_socket_addrs().map(|all| all.map(|address| address.ip()).collect()).unwrap_or_default()
}

/// The configuration as a file would have it.
fn document(given: &Given) -> Value {
    let found = discovery(given, &given.list("endpoints"));
    let mut upstream: Map<String, Value> =
        found.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    upstream.insert("sync-members".to_owned(), json!(false));
    if given.is_set("trusted-ca-file") {
        upstream.insert("tls".to_owned(), json!({"cacert": given.text("trusted-ca-file")}));
    } else if !given.is_set("discovery-srv") && given.text("endpoints").contains("https://") {
        // Only probes end here; it is the clients who verify what their connections lead to.
        upstream.insert("tls".to_owned(), json!({"insecure-skip-tls-verify": true}));
    }
    json!({
        "listen": [{"url": listen_url("tcp", &given.text("listen-addr"))}],
        "upstream": upstream,
        "admin": admin(),
    })
}

fn ready(given: &Given) -> Vec<Line> {
    let value = match given.is_set("discovery-srv") {
        true => given.text("discovery-srv"),
        false => given.list("endpoints").join(","),
    };
    vec![Line { text: "ready to proxy client requests", name: "endpoints", value }]
}

static FLAGS_OF_KEYS: [(&str, &str); 4] = [
    ("listen[0].url", "--listen-addr"),
    ("upstream.discovery-srv-name", "--discovery-srv-name"),
    ("upstream.endpoints", "--endpoints"),
    ("upstream.tls.cacert", "--trusted-ca-file"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        format!("start {line}").split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn flags_become_the_keys_of_the_file() {
        let given = |line| parse(&GROUP, &words(line)).unwrap();
        assert_eq!(
            document(&given("")),
            json!({
                "listen": [{"url": "tcp://127.0.0.1:23790"}],
                "upstream": {"endpoints": ["127.0.0.1:2379"], "sync-members": false},
                "admin": {"url": "http://127.0.0.1:0", "changes": false},
            })
        );
        let document = document(&given("--discovery-srv etcd.test --trusted-ca-file ca --retry-delay 5s"));
        let tls = super::document(&given("--endpoints https://a:1,b:2"))["upstream"]["tls"].clone();
        assert_eq!(tls, json!({"insecure-skip-tls-verify": true}));
        assert_eq!(
            document["upstream"],
            json!({"discovery-srv": "etcd.test", "discovery-srv-name": "", "discovery-srv-verify": "target",
                "insecure-discovery": false, "sync-members": false, "tls": {"cacert": "ca"}})
        );
    }

    #[test]
    fn what_is_wrong_is_told_in_etcds_words() {
        for (line, expected) in [
            (
                "--listen-addr 127.0.0.1:2379",
                "SRV or endpoint (127.0.0.1:2379->127.0.0.1:2379) should not resolve to the gateway listen addr (127.0.0.1:2379)",
            ),
            ("--endpoints foo", "error parsing endpoint \"foo\""),
            ("--endpoints=", "no endpoints found"),
            ("--listen-addr foo", "failed to validate listen address: foo"),
        ] {
            assert_eq!(read(&words(line)).unwrap_err().text, expected, "{line}");
        }
    }
}
