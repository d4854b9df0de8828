//! What flags and the environment say, as a file would say it.

use std::path::PathBuf;
use std::time::Duration;

use super::section::{Node, Scalar};
use super::{ListenTls, Overrides};

/// To be put over the file.
pub(super) fn document(overrides: &Overrides) -> Node {
    let Overrides {
        listen_client_urls,
        cert_file,
        key_file,
        listen_tls,
        namespace,
        grpc_keepalive_min_time,
        grpc_keepalive_interval,
        grpc_keepalive_timeout,
        endpoints,
        http_endpoints,
        discovery_srv,
        discovery_srv_name,
        cacert,
        cert,
        key,
        admin_url,
        threads,
        log_level,
        log_format,
    } = overrides;
    let tls = server(cert_file.as_ref(), key_file.as_ref(), listen_tls);
    let listener = |url: &String| {
        let tls = tls.clone().filter(|_| url.starts_with("https:") || url.starts_with("unixs:"));
        map([("url", Some(text(url))), ("tls", tls)])
    };
    let listen = listen_client_urls.as_ref();
    let document = map([
        ("namespace", namespace.as_deref().map(text)),
        ("listen", listen.map(|urls| Node::List(urls.iter().filter_map(listener).collect()))),
        (
            "limits",
            map([
                ("grpc-keepalive-min-time", grpc_keepalive_min_time.map(time)),
                ("grpc-keepalive-interval", grpc_keepalive_interval.map(time)),
                ("grpc-keepalive-timeout", grpc_keepalive_timeout.map(time)),
            ]),
        ),
        (
            "upstream",
            map([
                ("endpoints", endpoints.as_deref().map(texts)),
                ("http-endpoints", http_endpoints.as_ref().map(|urls| texts(urls))),
                ("discovery-srv", discovery_srv.as_deref().map(text)),
                ("discovery-srv-name", discovery_srv_name.as_deref().map(text)),
                (
                    "tls",
                    map([
                        ("cacert", path(cacert.as_ref())),
                        ("cert", path(cert.as_ref())),
                        ("key", path(key.as_ref())),
                    ]),
                ),
            ]),
        ),
        ("admin", map([("url", admin_url.as_deref().map(text))])),
        ("threads", threads.map(|threads| other(&threads))),
        (
            "log",
            map([("level", log_level.as_deref().map(text)), ("format", log_format.as_deref().map(text))]),
        ),
    ]);
    document.unwrap_or(Node::Map(Vec::new()))
}

/// The section `tls` of a listener.
fn server(cert: Option<&PathBuf>, key: Option<&PathBuf>, listen_tls: &ListenTls) -> Option<Node> {
    let ListenTls {
        trusted_ca_file,
        client_cert_auth,
        client_crl_file,
        auto_tls,
        self_signed_cert_validity,
        cipher_suites,
        min_version,
        max_version,
    } = listen_tls;
    map([
        ("cert-file", path(cert)),
        ("key-file", path(key)),
        ("trusted-ca-file", path(trusted_ca_file.as_ref())),
        ("client-cert-auth", client_cert_auth.as_deref().map(text)),
        ("client-crl-file", path(client_crl_file.as_ref())),
        ("auto-tls", auto_tls.map(|flag| other(&flag))),
        ("self-signed-cert-validity", self_signed_cert_validity.map(|years| other(&years))),
        ("cipher-suites", cipher_suites.as_deref().map(texts)),
        ("min-version", min_version.as_deref().map(text)),
        ("max-version", max_version.as_deref().map(text)),
    ])
}

/// `None` when nothing is in it.
fn map<const N: usize>(entries: [(&str, Option<Node>); N]) -> Option<Node> {
    let entries: Vec<_> =
        entries.into_iter().filter_map(|(name, node)| Some((name.to_owned(), node?))).collect();
    (!entries.is_empty()).then_some(Node::Map(entries))
}

fn text(text: &str) -> Node {
    Node::Scalar(Scalar::Text(text.to_owned()))
}

fn time(time: Duration) -> Node {
    text(&humantime::format_duration(time).to_string())
}

fn texts(texts: &[String]) -> Node {
    Node::List(texts.iter().map(|item| text(item)).collect())
}

/// A number or a boolean.
fn other(value: &impl ToString) -> Node {
    Node::Scalar(Scalar::Other(value.to_string()))
}

fn path(path: Option<&PathBuf>) -> Option<Node> {
    path.map(|path| text(&path.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::yaml;

    #[test]
    fn flags_are_shown_as_keys() {
        let overrides = Overrides {
            listen_client_urls: Some(vec!["https://a:1".into(), "http://b:2".into()]),
            cert_file: Some("c".into()),
            key_file: Some("k".into()),
            cacert: Some("ca".into()),
            threads: Some(2),
            ..Overrides::default()
        };
        let expected = "{listen: [{url: 'https://a:1', tls: {cert-file: c, key-file: k}}, {url: 'http://b:2'}], \
            upstream: {tls: {cacert: ca}}, threads: 2}";
        assert_eq!(document(&overrides), yaml::parse(expected).unwrap());
        assert_eq!(document(&Overrides::default()), Node::Map(Vec::new()));
    }
}
