//! The section `listen`: where clients connect, and what they find there.

use super::resolve::address;
use super::section::Section;
use super::{Overrides, defaults, tls};
use crate::listen::config::Listener;
use crate::net::address::Address;
use crate::tls::server;
use crate::types::client::{Serves, Terms};

pub(super) fn listeners(
    root: &mut Section,
    overrides: &Overrides,
    errors: &mut Vec<String>,
) -> Vec<Listener> {
    let mut listeners = Vec::new();
    for mut section in root.sections("listen", errors).unwrap_or_default() {
        let path = section.path_of("url");
        let url = match section.text("url", errors) {
            Some(text) => address(&path, &text, errors),
            None => {
                errors.push(format!("{path}: missing"));
                None
            }
        };
        let tls_path = section.path_of("tls");
        let server = tls::server(section.section("tls", errors), errors);
        let coalesce = section.flag("coalesce", errors).unwrap_or(true);
        let serves = serves(&mut section, errors);
        section.finish(errors);
        let terms = Terms { coalesces: coalesce, serves, ..Terms::default() };
        let listener = url.and_then(|url| listener(url, server, &tls_path, errors));
        listeners.extend(listener.map(|listener| Listener { terms, ..listener }));
    }
    if overrides.listen_client_urls.is_none()
        && (overrides.cert_file.is_some() || overrides.key_file.is_some())
    {
        errors.push("--cert-file, --key-file: they go with --listen-client-urls".to_owned());
    }
    if let Some(urls) = &overrides.listen_client_urls {
        const FLAG: &str = "--listen-client-urls";
        let server = tls::server_of(overrides, errors);
        listeners = urls
            .iter()
            .filter_map(|url| {
                let url = address(FLAG, url, errors)?;
                let server = server.clone().filter(|_| url.tls);
                listener(url, server, "--cert-file, --key-file", errors)
            })
            .collect();
    }
    if listeners.is_empty() && errors.is_empty() {
        let url = address("listen", defaults::LISTEN, errors);
        listeners.extend(url.map(|url| Listener { url, tls: None, terms: Terms::default() }));
    }
    listeners
}

fn serves(section: &mut Section, errors: &mut Vec<String>) -> Serves {
    match section.text("serve", errors).as_deref() {
        None | Some("all") => Serves::All,
        Some("info") => Serves::Info,
        Some(other) => {
            errors.push(format!("{}: expected all or info, found {other:?}", section.path_of("serve")));
            Serves::All
        }
    }
}

fn listener(
    url: Address,
    tls: Option<server::Config>,
    at: &str,
    errors: &mut Vec<String>,
) -> Option<Listener> {
    match (url.tls, &tls) {
        (true, None) => errors.push(format!("{at}: {url} needs a certificate and its key")),
        (false, Some(_)) => errors.push(format!("{at}: {url} is not https")),
        (true, Some(_)) | (false, None) => {
            return Some(Listener { url, tls, terms: Terms::default() });
        }
    }
    None
}

/// Where clients of this node connect: the first listener, which on all addresses is on loopback
/// too.
pub(super) fn local_url(listeners: &[Listener]) -> Option<String> {
    let mut url = listeners.first()?.url.clone();
    if url.host == "0.0.0.0" {
        "127.0.0.1".clone_into(&mut url.host);
    } else if url.host == "::" {
        "::1".clone_into(&mut url.host);
    }
    Some(url.to_string())
}
