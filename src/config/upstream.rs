//! The section `upstream`: how the cluster is found, reached and watched.

use std::path::{Path, PathBuf};

use super::resolve::address;
use super::section::Section;
use super::tls::pair;
use super::{Overrides, defaults};
use crate::net::address::Address;
use crate::tls;
use crate::upstream::discovery::{Srv, Verify};
use crate::upstream::health::{Credentials, Weight};
use crate::upstream::{Config, discovery, health};

/// `None` only together with an error.
pub(super) fn read(root: &mut Section, overrides: &Overrides, errors: &mut Vec<String>) -> Option<Config> {
    let mut section = root.section("upstream", errors);
    let discovery = discovery(&mut section, overrides, errors);
    let connect_timeout =
        section.positive_duration("connect-timeout", errors).unwrap_or(defaults::CONNECT_TIMEOUT);
    let http_endpoints = http_endpoints(&mut section, overrides, errors);
    let credentials = credentials(&mut section, errors);
    let health = health(&mut section, errors);
    let tls = tls(&mut section, overrides, errors);
    section.finish(errors);
    if discovery.endpoints.is_empty() && discovery.dns.is_none() && discovery.srv.is_none() {
        return None;
    }
    Some(Config { discovery, health, credentials, tls, connect_timeout, http_endpoints })
}

fn discovery(section: &mut Section, overrides: &Overrides, errors: &mut Vec<String>) -> discovery::Config {
    let path = section.path_of("endpoints");
    let from_file = section.texts("endpoints", errors).unwrap_or_default();
    let (flag_or_path, texts) = match &overrides.endpoints {
        Some(endpoints) => ("--endpoints", endpoints.clone()),
        None => (path.as_str(), from_file),
    };
    let endpoints = texts.iter().filter_map(|text| address(flag_or_path, text, errors)).collect();
    let dns_path = section.path_of("dns");
    let dns_text = section.text("dns", errors);
    let dns = dns_text.as_ref().and_then(|text| address(&dns_path, text, errors));
    let domain = section.text("discovery-srv", errors);
    let domain = overrides.discovery_srv.clone().or(domain).filter(|domain| !domain.is_empty());
    // Who gave some that are wrong has heard of it.
    if texts.is_empty() && dns_text.is_none() && domain.is_none() {
        errors.push(format!("{path}: give the URLs of the etcd cluster (or --endpoints http://HOST:2379)"));
    }
    let name = section.text("discovery-srv-name", errors);
    let name = overrides.discovery_srv_name.clone().or(name).unwrap_or_default();
    if domain.is_none() && !name.is_empty() {
        errors.push(format!("{}: it goes with discovery-srv", section.path_of("discovery-srv-name")));
    }
    let insecure = section.flag("insecure-discovery", errors).unwrap_or(true);
    let verify = verify(section, errors);
    let servers_path = section.path_of("nameservers");
    let mut nameservers = Vec::new();
    for text in section.texts("nameservers", errors).unwrap_or_default() {
        let server = text.parse().or_else(|_| text.parse().map(|ip: std::net::IpAddr| (ip, 53).into()));
        match server {
            Ok(server) => nameservers.push(server),
            Err(_) => errors.push(format!("{servers_path}: expected IP or IP:PORT, found {text:?}")),
        }
    }
    discovery::Config {
        endpoints,
        dns,
        srv: domain.map(|domain| Srv { domain, name, insecure, verify }),
        nameservers,
    }
}

fn verify(section: &mut Section, errors: &mut Vec<String>) -> Verify {
    match section.text("discovery-srv-verify", errors).as_deref() {
        None | Some("domain") => Verify::Domain,
        Some("target") => Verify::Target,
        Some(other) => {
            let path = section.path_of("discovery-srv-verify");
            errors.push(format!("{path}: expected domain or target, found {other:?}"));
            Verify::Domain
        }
    }
}

fn http_endpoints(section: &mut Section, overrides: &Overrides, errors: &mut Vec<String>) -> Vec<Address> {
    let path = section.path_of("http-endpoints");
    let from_file = section.texts("http-endpoints", errors);
    let (path, texts) = match &overrides.http_endpoints {
        Some(endpoints) => ("--http-endpoints".to_owned(), Some(endpoints.clone())),
        None => (path, from_file),
    };
    texts.unwrap_or_default().iter().filter_map(|text| address(&path, text, errors)).collect()
}

fn health(section: &mut Section, errors: &mut Vec<String>) -> health::Config {
    let cluster_path = section.path_of("cluster-id");
    let cluster_id = section.text("cluster-id", errors).filter(|text| !text.is_empty());
    let cluster_id = cluster_id.and_then(|text| {
        let parsed = text.parse().ok();
        if parsed.is_none() {
            errors.push(format!("{cluster_path}: expected a hexadecimal number, found {text:?}"));
        }
        parsed
    });
    let sync_members = section.flag("sync-members", errors).unwrap_or(true);
    let sync_interval = section.positive_duration("sync-interval", errors).unwrap_or(defaults::SYNC_INTERVAL);
    let weights = weights(section, errors);
    let mut probe = section.section("probe", errors);
    let mut duration = |key, default| probe.positive_duration(key, errors).unwrap_or(default);
    let idle_interval = duration("idle-interval", defaults::IDLE_INTERVAL);
    let suspicion_after = duration("suspicion-after", defaults::SUSPICION_AFTER);
    let suspicion_interval = duration("suspicion-interval", defaults::SUSPICION_INTERVAL);
    let silent_after = duration("silent-after", defaults::SILENT_AFTER);
    let lag_entries_max =
        probe.count("lag-entries-max", u64::MAX, errors).unwrap_or(defaults::LAG_ENTRIES_MAX);
    probe.finish(errors);
    health::Config {
        idle_interval,
        suspicion_after,
        suspicion_interval,
        silent_after,
        lag_entries_max,
        sync_members,
        sync_interval,
        weights,
        cluster_id,
    }
}

/// `host: 4` or `host:port: 4`.
fn weights(section: &mut Section, errors: &mut Vec<String>) -> Vec<Weight> {
    let mut weights = Vec::new();
    let mut entries = section.section("weights", errors);
    for key in entries.keys() {
        let Some(weight) = entries.count(&key, WEIGHT_MAX, errors) else { continue };
        let (host, port) = match key.parse::<Address>() {
            Ok(address) => (address.host, Some(address.port)),
            Err(_) => (key, None),
        };
        weights.push(Weight { host, port, weight });
    }
    weights
}

fn credentials(section: &mut Section, errors: &mut Vec<String>) -> Option<Credentials> {
    let mut auth = section.section("auth", errors);
    let path = auth.path_of("password-file");
    let (username, file) = (auth.text("username", errors), auth.path("password-file", errors));
    auth.finish(errors);
    match (username, file) {
        (Some(username), Some(file)) => {
            let password = password(&path, &file, errors)?;
            Some(Credentials { username, password })
        }
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            errors.push(format!("{path}: username and password-file go together"));
            None
        }
    }
}

fn password(path: &str, file: &Path, errors: &mut Vec<String>) -> Option<String> {
    match std::fs::read_to_string(file) {
        Ok(text) => Some(text.trim_end_matches(['\r', '\n']).to_owned()),
        Err(error) => {
            errors.push(format!("{path}: {}: {error}", file.display()));
            None
        }
    }
}

fn tls(section: &mut Section, overrides: &Overrides, errors: &mut Vec<String>) -> tls::client::Config {
    let mut tls = section.section("tls", errors);
    let cacert = tls.path("cacert", errors);
    let (cert, key) = (tls.path("cert", errors), tls.path("key", errors));
    let server_name = tls.text("server-name", errors);
    let skip_verify = tls.flag("insecure-skip-tls-verify", errors).unwrap_or(false);
    tls.finish(errors);
    let or = |flag: &Option<PathBuf>, key: Option<PathBuf>| flag.clone().or(key);
    let identity =
        pair(or(&overrides.cert, cert), or(&overrides.key, key), "upstream.tls (--cert, --key)", errors);
    tls::client::Config { cacert: or(&overrides.cacert, cacert), identity, server_name, skip_verify }
}

/// A member with more would get nearly everything.
const WEIGHT_MAX: u16 = 1000;
