//! What etcd's own proxies have in common here: flags that become a configuration, and lines that scripts
//! wait for.

use std::env;
use std::net::UdpSocket;

use serde_json::{Value, json};

use super::pflag::{Exit, Fate, Flag, Given};
use crate::config::{ConfigErrors, Overrides, Source};

/// A proxy of etcd's, as etcdlet.
#[derive(Debug)]
pub struct DropIn {
    /// What the flags say, found right; a reload finds the same.
    pub source: Source,
    /// Flags that were given and that nothing depends on.
    idle: Vec<&'static Flag>,
    ready: Vec<Line>,
}

/// What etcd logs when it is ready.
#[derive(Debug)]
pub(super) struct Line {
    pub text: &'static str,
    pub name: &'static str,
    pub value: String,
}

impl DropIn {
    /// `document` is the configuration as a file would have it. `flags` are the paths of its keys, those
    /// below others first, with the flags that they come from.
    pub(super) fn new(
        given: &Given,
        document: &Value,
        flags: &[(&str, &str)],
        ready: Vec<Line>,
    ) -> Result<Self, Exit> {
        let source = Source::of_text(document.to_string(), overrides(given)?);
        if let Err(ConfigErrors(errors)) = source.read().and_then(|document| document.resolve()) {
            let mut told: Vec<String> = Vec::new();
            for error in errors.into_iter().map(|error| by_flags(error, flags)) {
                // A flag for two listeners is wrong twice.
                if !told.contains(&error) {
                    told.push(error);
                }
            }
            return Err(Exit::failed(told.join("\n")));
        }
        let idle = given.set().filter(|flag| matches!(flag.fate, Fate::Idle(_))).collect();
        Ok(Self { source, idle, ready })
    }

    /// When the logs are set up.
    pub fn tell_idle_flags(&self) {
        for flag in &self.idle {
            let Fate::Idle(why) = flag.fate else { continue };
            tracing::info!(flag = format!("--{}", flag.name), why, "the flag has no effect");
        }
    }

    /// When clients can connect.
    pub fn tell_ready(&self) {
        for Line { text, name, value } in &self.ready {
            match *name {
                "endpoints" => tracing::info!(endpoints = value, "{text}"),
                _ => tracing::info!(address = value, "{text}"),
            }
        }
    }
}

/// What no flag of etcd's says. A flag wins over it.
fn overrides(given: &Given) -> Result<Overrides, Exit> {
    let var = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let threads = var("ETCDLET_THREADS").map(|text| match text.parse() {
        Ok(threads @ 1..=256) => Ok(threads),
        _ => Err(Exit::failed(format!("ETCDLET_THREADS: expected a number from 1 to 256, found {text:?}"))),
    });
    Ok(Overrides {
        admin_url: var("ETCDLET_ADMIN_URL"),
        threads: threads.transpose()?,
        log_level: if given.is_set("debug") { Some("debug".to_owned()) } else { var("ETCDLET_LOG_LEVEL") },
        log_format: var("ETCDLET_LOG_FORMAT"),
        ..Overrides::default()
    })
}

/// The admin port, which etcd's proxies do not have: where it is in nobody's way, and of no use to other
/// users of the host who want the process to end. Whoever names its address wants all of it.
pub(super) fn admin() -> Value {
    let is_wanted = env::var_os("ETCDLET_ADMIN_URL").is_some_and(|url| !url.is_empty());
    json!({"url": "http://127.0.0.1:0", "changes": is_wanted})
}

/// `HOST:PORT`; without a host, and with the wildcard of either family, it is every address, as in Go
/// (`favoriteAddrFamily` of its package net).
pub(super) fn listen_url(scheme: &str, address: &str) -> String {
    match address.rsplit_once(':') {
        Some(("" | "0.0.0.0" | "[::]", port)) => {
            let any = if UdpSocket::bind("[::]:0").is_ok() { "[::]" } else { "0.0.0.0" };
            format!("{scheme}://{any}:{port}")
        }
        _ => format!("{scheme}://{address}"),
    }
}

/// Of an URL etcd listens at the host and the port; the path says nothing.
pub(super) fn listen_url_of(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme @ ("http" | "https"), rest)) => {
            listen_url(scheme, rest.split('/').next().unwrap_or_default())
        }
        _ => url.to_owned(),
    }
}

/// Where the cluster is: by its endpoints, or by its domain.
pub(super) fn discovery(given: &Given, endpoints: &[String]) -> Vec<(&'static str, Value)> {
    if !given.is_set("discovery-srv") {
        return vec![("endpoints", json!(endpoints))];
    }
    vec![
        ("discovery-srv", json!(given.text("discovery-srv"))),
        ("discovery-srv-name", json!(given.text("discovery-srv-name"))),
        // etcd's `newClientCfg` sets no ServerName: `endpoint.Interpret` takes the target of the record.
        ("discovery-srv-verify", json!("target")),
        ("insecure-discovery", json!(given.bool("insecure-discovery"))),
    ]
}

/// What is wrong, with flags in the place of keys.
fn by_flags(error: String, flags: &[(&str, &str)]) -> String {
    flags.iter().fold(error, |error, &(key, flag)| error.replace(key, flag))
}
