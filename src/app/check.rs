//! `check-config`: what a start would say, without starting.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::config::{Config, Document};
use crate::tls::server::Server;
use crate::upstream::{Cluster, discovery};

/// What a configuration would do, for people; or everything that is wrong with it. Reads certificates
/// and keys as a start does, and binds nothing.
pub fn check(document: &Document) -> Result<Vec<String>, Vec<String>> {
    let config = document.resolve().map_err(|errors| errors.0)?;
    let mut errors = Vec::new();
    for listener in &config.listen.listeners {
        errors.extend(listener.access.check().err().map(|error| format!("{}: {error}", listener.url)));
    }
    let servers = config.listen.listeners.iter().filter_map(|listener| listener.tls.as_ref());
    for server in servers.chain(&config.admin.tls) {
        errors.extend(Server::try_new(server).err().map(|error| error.to_string()));
    }
    errors.extend(Cluster::check(&config.upstream).err().map(|error| error.to_string()));
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(describe(&config).into_iter().chain(warnings(document)).collect())
}

fn describe(config: &Config) -> Vec<String> {
    let listeners: Vec<String> =
        config.listen.listeners.iter().map(|listener| listener.url.to_string()).collect();
    let discovery::Config { endpoints, dns, srv, .. } = &config.upstream.discovery;
    let endpoints = endpoints.iter().map(ToString::to_string);
    let dns = dns.iter().map(|name| format!("the addresses of {name}"));
    let srv = srv.iter().map(|srv| format!("the SRV records of {}", srv.domain));
    let upstream: Vec<String> = endpoints.chain(dns).chain(srv).collect();
    vec![
        format!("listens on {}; admin port {}", listeners.join(", "), config.admin.url),
        format!("forwards to {}", upstream.join(", ")),
    ]
}

/// Of files that are secrets, and that everybody on the machine may read.
fn warnings(document: &Document) -> Vec<String> {
    let is_open = |path: &Path| fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 0o004 != 0);
    let secrets = document.secret_files().into_iter().filter(|path| is_open(path));
    secrets.map(|path| format!("warning: {}: everybody may read this secret", path.display())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, Source};

    #[test]
    fn an_owner_whom_the_machine_does_not_know_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "{upstream: {endpoints: ['a:1']}, listen: [{url: 'unix:///a', group: nobody-at-all}]}";
        fs::write(file.path(), text).unwrap();
        let source = Source::new(Some(file.path().to_owned()), Overrides::default());
        let errors = check(&source.read().unwrap()).unwrap_err();
        assert_eq!(errors, ["unix:///a: no group \"nobody-at-all\" in /etc/group; a number does as well"]);
    }
}
