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

#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use super::drop_in::{DropIn, Line, admin, discovery, listen_url, listen_url_of};
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
        listeners.push(listener(listen_url_of(&given.text("metrics-addr")), Some("info")));
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
