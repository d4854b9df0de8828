//! `etcdlet grpc-proxy start`: the job of `etcd grpc-proxy start` with its flags
//! (`server/etcdmain/grpc_proxy.go`), done by etcdlet.
//!
//! ```text
//!   arguments ─> flags: Given ─> the document that `run --config` would read ─> Config ─> App
//! ```
//!
//! Invariants: every flag of every release of etcd from 3.4 on is known; a default that is etcd's and not
//! ours stands in the document; checks and all other defaults are those of the configuration.

mod flags;

use serde_json::{Map, Value, json};

use super::drop_in::{DropIn, Line, admin, discovery, listen_url};
use super::pflag::{Exit, Given, parse};
pub use flags::GROUP;

/// `arguments` are those behind `grpc-proxy`.
pub fn read(arguments: &[String]) -> Result<DropIn, Exit> {
    let given = parse(&GROUP, arguments)?;
    check(&given).map_err(Exit::failed)?;
    DropIn::new(&given, &document(&given), &FLAGS_OF_KEYS, ready(&given))
}

/// What etcd refuses in its own words, and in this order.
fn check(given: &Given) -> Result<(), String> {
    let (prefix, ttl) = (given.text("resolver-prefix"), given.number("resolver-ttl"));
    let url = given.text("advertise-client-url");
    if !prefix.is_empty() && ttl < 1 {
        return Err(format!("invalid resolver-ttl {ttl}"));
    }
    if prefix.is_empty() && ttl > 0 {
        return Err(format!("invalid resolver-prefix {prefix:?}"));
    }
    if !prefix.is_empty() && url.is_empty() {
        return Err(format!("invalid advertise-client-url {url:?}"));
    }
    if given.bool("auto-tls") && given.number("self-signed-cert-validity") == 0 {
        return Err("selfSignedCertValidity is invalid,it should be greater than 0".to_owned());
    }
    let version = |name: &str| match given.text(name).as_str() {
        "" => Ok(0),
        "TLS1.2" => Ok(2),
        "TLS1.3" => Ok(3),
        other => Err(format!(
            "{name} is invalid: unexpected TLS version {other:?} (must be one of: TLS1.2, TLS1.3)"
        )),
    };
    let (min, max) = (version("tls-min-version")?, version("tls-max-version")?);
    if max != 0 && min > max {
        let (min, max) = (given.text("tls-min-version"), given.text("tls-max-version"));
        return Err(format!("min version ({min}) is greater than max version ({max})"));
    }
    if min == 3 && !given.list("listen-cipher-suites").is_empty() {
        return Err("cipher suites cannot be configured when only TLS1.3 is enabled".to_owned());
    }
    if given.list("endpoints").is_empty() && !given.is_set("discovery-srv") {
        return Err("etcdclient: no available endpoints".to_owned());
    }
    Ok(())
}

/// The configuration as a file would have it.
fn document(given: &Given) -> Value {
    let mut root = Map::new();
    root.insert("listen".to_owned(), listen(given));
    root.insert("upstream".to_owned(), upstream(given));
    root.insert("admin".to_owned(), admin());
    let url = given.text("advertise-client-url");
    if !url.is_empty() {
        root.insert("route".to_owned(), json!({"member-list": "registered"}));
        let mut register = json!({"advertise-client-url": url});
        if given.is_set("resolver-prefix") {
            register["prefix"] = json!(given.text("resolver-prefix"));
            register["ttl"] = json!(format!("{}s", given.number("resolver-ttl")));
        }
        root.insert("register".to_owned(), register);
    }
    let mut limits = keep_alive(given);
    // Zero is Go's word for its own default.
    if given.is_set("max-concurrent-streams") && given.number("max-concurrent-streams") > 0 {
        limits.insert("streams-per-connection".to_owned(), json!(given.number("max-concurrent-streams")));
    }
    if !limits.is_empty() {
        root.insert("limits".to_owned(), Value::Object(limits));
    }
    if given.is_set("namespace") {
        root.insert("namespace".to_owned(), json!(given.text("namespace")));
    }
    Value::Object(root)
}

/// Zero is etcd's word for what Go's gRPC does when nothing is said (`newGRPCProxyServer`, and grpc-go's
/// `internal/transport/defaults.go`), which is the default of the two others but not of the first.
fn keep_alive(given: &Given) -> Map<String, Value> {
    let mut limits = Map::new();
    for name in ["grpc-keepalive-min-time", "grpc-keepalive-interval", "grpc-keepalive-timeout"] {
        let time = match (name, given.duration(name).is_zero()) {
            ("grpc-keepalive-min-time", true) => "5m".to_owned(),
            (_, true) => continue,
            (_, false) if !given.is_set(name) => continue,
            (_, false) => time(given, name),
        };
        limits.insert(name.to_owned(), json!(time));
    }
    limits
}

fn listen(given: &Given) -> Value {
    let tls = listen_tls(given);
    let listener = |url: String, serve: Option<&str>| {
        let mut listener = json!({"url": url});
        if let Some(tls) = tls.as_ref().filter(|_| url.starts_with("https:") || url.starts_with("unixs:")) {
            listener["tls"] = tls.clone();
        }
        if let Some(serve) = serve {
            listener["serve"] = json!(serve);
        }
        listener
    };
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut listeners = vec![listener(listen_url(scheme, &given.text("listen-addr")), None)];
    if given.is_set("metrics-addr") {
        listeners.push(listener(given.text("metrics-addr"), Some("info")));
    }
    Value::Array(listeners)
}

/// What clients find, if it is TLS. Its files win over `--auto-tls`, as in etcd.
fn listen_tls(given: &Given) -> Option<Value> {
    let mut tls = texts(given, &["cert-file", "key-file", "trusted-ca-file"]);
    if tls.is_empty() {
        if !given.bool("auto-tls") {
            return None;
        }
        tls.insert("auto-tls".to_owned(), json!(true));
        if given.is_set("self-signed-cert-validity") {
            let years = given.number("self-signed-cert-validity");
            tls.insert("self-signed-cert-validity".to_owned(), json!(years));
        }
    }
    tls.extend(texts(given, &["client-crl-file"]));
    let versions = [("tls-min-version", "min-version"), ("tls-max-version", "max-version")];
    for (flag, key) in versions.into_iter().filter(|(flag, _)| given.is_set(flag)) {
        tls.insert(key.to_owned(), json!(given.text(flag)));
    }
    let suites = given.list("listen-cipher-suites");
    if !suites.is_empty() {
        tls.insert("cipher-suites".to_owned(), json!(suites));
    }
    Some(Value::Object(tls))
}

fn upstream(given: &Given) -> Value {
    let mut tls = texts(given, &["cacert", "cert", "key"]);
    if given.bool("insecure-skip-tls-verify") {
        tls.insert("insecure-skip-tls-verify".to_owned(), json!(true));
    }
    // Where etcd's client has certificates, it uses them for endpoints that do not say how.
    let has_tls = !tls.is_empty();
    let endpoint = |text: String| match text.contains("://") {
        false if has_tls => format!("https://{text}"),
        _ => text,
    };
    let endpoints: Vec<String> = given.list("endpoints").into_iter().map(endpoint).collect();
    let found = discovery(given, &endpoints).into_iter().map(|(key, value)| (key.to_owned(), value));
    let mut upstream: Map<String, Value> = found.collect();
    let syncs = !given.duration("endpoints-auto-sync-interval").is_zero();
    upstream.insert("sync-members".to_owned(), json!(syncs));
    if syncs {
        upstream.insert("sync-interval".to_owned(), json!(time(given, "endpoints-auto-sync-interval")));
    }
    if !tls.is_empty() {
        upstream.insert("tls".to_owned(), Value::Object(tls));
    }
    Value::Object(upstream)
}

/// Flags whose keys have the same names.
fn texts(given: &Given, names: &[&str]) -> Map<String, Value> {
    let set = names.iter().filter(|name| given.is_set(name));
    set.map(|name| ((*name).to_owned(), json!(given.text(name)))).collect()
}

fn time(given: &Given, name: &str) -> String {
    humantime::format_duration(given.duration(name)).to_string()
}

/// In etcd's order.
fn ready(given: &Given) -> Vec<Line> {
    let line = |text, flag: &str| Line { text, name: "address", value: given.text(flag) };
    let mut lines = vec![line("listening for gRPC proxy client requests", "listen-addr")];
    if given.is_set("metrics-addr") {
        lines.push(line("gRPC proxy listening for metrics", "metrics-addr"));
    }
    lines.push(line("started gRPC proxy", "listen-addr"));
    if given.is_set("metrics-addr") {
        lines.push(line("gRPC proxy server metrics URL serving", "metrics-addr"));
    }
    lines
}

/// The second listener has the certificate of the first.
static FLAGS_OF_KEYS: [(&str, &str); 22] = [
    ("limits.grpc-keepalive-", "--grpc-keepalive-"),
    ("limits.streams-per-connection", "--max-concurrent-streams"),
    ("listen[1].tls.", "listen[0].tls."),
    ("listen[0].tls.auto-tls", "--auto-tls"),
    ("listen[0].tls.cert-file", "--cert-file"),
    ("listen[0].tls.cipher-suites", "--listen-cipher-suites"),
    ("listen[0].tls.client-crl-file", "--client-crl-file"),
    ("listen[0].tls.key-file", "--key-file"),
    ("listen[0].tls.max-version", "--tls-max-version"),
    ("listen[0].tls.min-version", "--tls-min-version"),
    ("listen[0].tls.self-signed-cert-validity", "--self-signed-cert-validity"),
    ("listen[0].tls.trusted-ca-file", "--trusted-ca-file"),
    ("listen[0].tls", "--cert-file, --key-file"),
    ("listen[0].url", "--listen-addr"),
    ("listen[1].tls", "--metrics-addr"),
    ("listen[1].url", "--metrics-addr"),
    ("register.advertise-client-url", "--advertise-client-url"),
    ("register.ttl", "--resolver-ttl"),
    ("upstream.discovery-srv-name", "--discovery-srv-name"),
    ("upstream.endpoints", "--endpoints"),
    ("upstream.sync-interval", "--endpoints-auto-sync-interval"),
    ("upstream.tls (--cert, --key)", "--cert, --key"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::proxy::MemberList;
    use crate::types::client::Serves;

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
    fn flags_become_the_keys_of_the_file() {
        let line = "--listen-addr=0.0.0.0:2379 --endpoints a:1,https://b:2 --endpoints-auto-sync-interval 90s \
            --metrics-addr http://127.0.0.1:9 --advertise-client-url= --max-concurrent-streams 7 \
            --insecure-skip-tls-verify";
        let config = config(line);
        let [clients, info] = &config.listen.listeners[..] else { panic!("two listeners") };
        assert_eq!(
            (clients.url.to_string().as_str(), clients.terms.serves),
            ("http://0.0.0.0:2379", Serves::All)
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
            (
                "--resolver-prefix x --resolver-ttl 5 --advertise-client-url=",
                "invalid advertise-client-url \"\"",
            ),
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
            (
                "--listen-addr 127.0.0.1:2379",
                "--endpoints: http://127.0.0.1:2379 is this etcdlet's own listener",
            ),
        ] {
            assert_eq!(error(line).lines().next(), Some(expected), "{line}");
        }
        assert!(error("--experimental-leasing-prefix p").contains("leave it out"));
        assert!(error("--enable-pprof").contains("leave it out"));
    }
}
