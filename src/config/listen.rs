//! The section `listen`: where clients connect, and what they find there.

use bytes::Bytes;

use super::resolve::address;
use super::section::Section;
use super::{Overrides, defaults, tls};
use crate::listen::config::Listener;
use crate::net::listen_url::ListenUrl;
use crate::net::unix_socket::Access;
use crate::tls::server;
use crate::types::client::{Serves, Terms};

pub(super) fn listeners(
    root: &mut Section,
    overrides: &Overrides,
    errors: &mut Vec<String>,
) -> Vec<Listener> {
    let mut listeners = Vec::new();
    let namespace = root.text("namespace", errors);
    let namespace = Bytes::from(overrides.namespace.clone().or(namespace).unwrap_or_default());
    for mut section in root.sections("listen", errors).unwrap_or_default() {
        let url = url(&mut section, errors);
        let tls_path = section.path_of("tls");
        let server = tls::server(section.section("tls", errors), url.as_ref(), errors);
        let coalesce = coalesce(&mut section, url.as_ref(), errors);
        let access = access(&mut section, url.as_ref(), errors);
        let connections = section.count("connections", super::resolve::MAX_CONNECTIONS, errors);
        let own = own_namespace(&mut section, url.as_ref(), errors);
        let serves = serves(&mut section, url.as_ref(), errors);
        section.finish(errors);
        let namespace = match serves {
            Serves::All => own.unwrap_or_else(|| namespace.clone()),
            // There are no keys.
            Serves::Info => Bytes::new(),
        };
        let terms = Terms { coalesces: coalesce, namespace, serves };
        let listener = url.and_then(|url| listener(url, server, &tls_path, errors));
        listeners.extend(listener.map(|listener| Listener { terms, access, connections, ..listener }));
    }
    if overrides.listen_client_urls.is_none()
        && (overrides.cert_file.is_some()
            || overrides.key_file.is_some()
            || overrides.listen_tls != <_>::default())
    {
        let flags = "--cert-file, --key-file and the other flags of TLS towards clients";
        errors.push(format!("{flags}: they go with --listen-client-urls"));
    }
    if let Some(urls) = &overrides.listen_client_urls {
        const FLAG: &str = "--listen-client-urls";
        let urls: Vec<ListenUrl> = urls.iter().filter_map(|url| address(FLAG, url, errors)).collect();
        let server = tls::server_of(overrides, &urls, errors);
        listeners = urls
            .into_iter()
            .filter_map(|url| {
                let server = server.clone().filter(|_| url.tls());
                let listener = listener(url, server, "--cert-file, --key-file", errors)?;
                let terms = Terms { namespace: namespace.clone(), ..listener.terms };
                Some(Listener { terms, ..listener })
            })
            .collect();
    }
    if listeners.is_empty() && errors.is_empty() {
        let url = address("listen", defaults::LISTEN, errors);
        let terms = Terms { namespace, ..Terms::default() };
        let listener = url.and_then(|url| listener(url, None, "listen", errors));
        listeners.extend(listener.map(|listener| Listener { terms, ..listener }));
    }
    listeners
}

/// The URL, and with `protocol: tcp` the other name of `tcp://`.
fn url(section: &mut Section, errors: &mut Vec<String>) -> Option<ListenUrl> {
    let path = section.path_of("url");
    let url = match section.text("url", errors) {
        Some(text) => address(&path, &text, errors),
        None => {
            errors.push(format!("{path}: missing"));
            None
        }
    };
    let path = section.path_of("protocol");
    let protocol = section.text("protocol", errors);
    match (protocol.as_deref(), url?) {
        (Some("tcp"), ListenUrl::Http(address)) if !address.tls => Some(ListenUrl::Tcp(address)),
        (None | Some("tcp"), url @ ListenUrl::Tcp(_))
        | (None | Some("http"), url @ (ListenUrl::Http(_) | ListenUrl::Unix { .. })) => Some(url),
        (Some(protocol @ ("http" | "tcp")), url) => {
            errors.push(format!("{path}: {protocol} does not go with {url}"));
            None
        }
        (Some(other), _) => {
            errors.push(format!("{path}: expected http or tcp, found {other:?}"));
            None
        }
    }
}

fn coalesce(section: &mut Section, url: Option<&ListenUrl>, errors: &mut Vec<String>) -> bool {
    let coalesce = section.flag("coalesce", errors);
    if coalesce.is_some() && matches!(url, Some(ListenUrl::Tcp(_))) {
        errors.push(format!("{}: what passes as it is cannot be shared", section.path_of("coalesce")));
    }
    coalesce.unwrap_or(true)
}

fn own_namespace(section: &mut Section, url: Option<&ListenUrl>, errors: &mut Vec<String>) -> Option<Bytes> {
    let namespace = section.text("namespace", errors)?;
    if matches!(url, Some(ListenUrl::Tcp(_))) {
        errors.push(format!("{}: what passes as it is cannot have one", section.path_of("namespace")));
    }
    Some(Bytes::from(namespace))
}

fn serves(section: &mut Section, url: Option<&ListenUrl>, errors: &mut Vec<String>) -> Serves {
    let path = section.path_of("serve");
    match section.text("serve", errors).as_deref() {
        None | Some("all") => return Serves::All,
        Some("info") if matches!(url, Some(ListenUrl::Tcp(_))) => {
            errors.push(format!("{path}: of what passes as it is nothing can be left out"));
        }
        Some("info") => return Serves::Info,
        Some(other) => errors.push(format!("{path}: expected all or info, found {other:?}")),
    }
    Serves::All
}

/// Who may connect to a Unix socket.
fn access(section: &mut Section, url: Option<&ListenUrl>, errors: &mut Vec<String>) -> Access {
    let is_unix = matches!(url, None | Some(ListenUrl::Unix { .. }));
    let mut text = |key| {
        let text = section.text(key, errors)?;
        if !is_unix {
            errors.push(format!("{}: it goes with unix:///PATH", section.path_of(key)));
        }
        Some(text)
    };
    let (mode, owner, group) = (text("mode"), text("owner"), text("group"));
    let mode = mode.and_then(|text| {
        let mode = octal(&text);
        if mode.is_none() {
            let path = section.path_of("mode");
            errors.push(format!("{path}: expected four octal digits such as 0660, found {text:?}"));
        }
        mode
    });
    Access { mode: mode.unwrap_or(defaults::SOCKET_MODE), owner, group }
}

/// Four digits, the first of which is a zero: other ways to write it are decimal numbers to YAML.
fn octal(text: &str) -> Option<u32> {
    (text.len() == 4 && text.starts_with('0')).then(|| u32::from_str_radix(text, 8).ok())?
}

fn listener(
    url: ListenUrl,
    tls: Option<server::Config>,
    at: &str,
    errors: &mut Vec<String>,
) -> Option<Listener> {
    match (url.tls(), &tls) {
        (true, None) => errors.push(format!("{at}: {url} needs a certificate and its key")),
        (false, Some(_)) => errors.push(format!("{at}: {url} is not https")),
        (true, Some(_)) | (false, None) => {
            let access = Access { mode: defaults::SOCKET_MODE, owner: None, group: None };
            return Some(Listener { url, tls, terms: Terms::default(), access, connections: None });
        }
    }
    None
}

/// Where clients of this node connect: the first listener that understands them.
pub(super) fn first(listeners: &[Listener]) -> Option<&Listener> {
    let mut all = listeners.iter().filter(|listener| listener.terms.serves == Serves::All);
    all.find(|listener| !matches!(listener.url, ListenUrl::Tcp(_)))
}

/// Its URL; on all addresses it is on loopback too.
pub(super) fn local_url(listeners: &[Listener]) -> Option<String> {
    let mut url = first(listeners)?.url.clone();
    if let ListenUrl::Http(address) = &mut url {
        if address.host == "0.0.0.0" {
            "127.0.0.1".clone_into(&mut address.host);
        } else if address.host == "::" {
            "::1".clone_into(&mut address.host);
        }
    }
    Some(url.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::yaml;

    fn namespaces_of(text: &str, overrides: &Overrides) -> Vec<String> {
        let mut errors = Vec::new();
        let mut root = Section::root(yaml::parse(text).unwrap(), &mut errors);
        let listeners = listeners(&mut root, overrides, &mut errors);
        root.finish(&mut errors);
        assert_eq!(errors, [""; 0], "{text}");
        listeners.iter().map(|one| String::from_utf8_lossy(&one.terms.namespace).into_owned()).collect()
    }

    #[test]
    fn a_listener_has_its_own_namespace_or_that_of_all() {
        let nothing = Overrides::default();
        assert_eq!(namespaces_of("", &nothing), [""]);
        assert_eq!(namespaces_of("namespace: /all/", &nothing), ["/all/"]);
        let text = "
namespace: /all/
listen:
  - {url: 'http://a:1'}
  - {url: 'http://a:2', namespace: /own/}
  - {url: 'http://a:3', namespace: ''}
";
        assert_eq!(namespaces_of(text, &nothing), ["/all/", "/own/", ""]);
        let flag = Overrides { namespace: Some("/flag/".into()), ..Overrides::default() };
        assert_eq!(namespaces_of(text, &flag), ["/flag/", "/own/", ""]);
        let listen_client_urls = Some(vec!["http://b:1".to_owned()]);
        assert_eq!(namespaces_of(text, &Overrides { listen_client_urls, ..flag }), ["/flag/"]);
    }

    #[test]
    fn clients_are_sent_to_a_listener_that_serves_them() {
        let text = "{url: 'http://a:1', serve: info, namespace: /n/}, {url: 'tcp://a:2', serve: all}, \
            {url: 'http://a:3', namespace: /n/}";
        let listeners = read(text).unwrap();
        let terms: Vec<_> =
            listeners.iter().map(|one| (one.terms.serves, &one.terms.namespace[..])).collect();
        assert_eq!(terms, [(Serves::Info, &b""[..]), (Serves::All, &b""[..]), (Serves::All, &b"/n/"[..])]);
        assert_eq!(local_url(&listeners).as_deref(), Some("http://a:3"));
        assert_eq!(local_url(&listeners[..2]), None);
    }

    fn read(text: &str) -> Result<Vec<Listener>, Vec<String>> {
        let mut errors = Vec::new();
        let root = yaml::parse(&format!("listen: [{text}]")).unwrap();
        let mut root = Section::root(root, &mut errors);
        let listeners = listeners(&mut root, &Overrides::default(), &mut errors);
        if errors.is_empty() { Ok(listeners) } else { Err(errors) }
    }

    #[test]
    fn sockets_and_passages_are_read() {
        let text = "{url: 'unix:///a', mode: 0600, owner: etcd, group: 7, connections: 3}, {url: 'tcp://a:1'}, \
            {url: 'http://a:2', protocol: tcp}, {url: 'unix:///b'}, {url: 'http://0.0.0.0:3', protocol: http}";
        let listeners = read(text).unwrap();
        let urls: Vec<String> = listeners.iter().map(|listener| listener.url.to_string()).collect();
        assert_eq!(urls, ["unix:///a", "tcp://a:1", "tcp://a:2", "unix:///b", "http://0.0.0.0:3"]);
        let access = &listeners[0].access;
        assert_eq!(
            (access.mode, access.owner.as_deref(), access.group.as_deref()),
            (0o600, Some("etcd"), Some("7"))
        );
        assert_eq!((listeners[0].connections, listeners[3].access.mode), (Some(3), 0o660));
        assert_eq!(local_url(&listeners[1..]).as_deref(), Some("unix:///b"));
        assert_eq!(local_url(&listeners[4..]).as_deref(), Some("http://127.0.0.1:3"));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_path() {
        let text = "{url: 'unix:///a', mode: 660}, {url: 'unix:///a', mode: 0o660}, {url: 'http://a:1', group: x}, \
            {url: 'unix:///a', protocol: tcp}, {url: 'tcp://a:1', protocol: http}, {url: 'tcp://a:1', coalesce: false}, \
            {url: 'https://a:1', protocol: tcp}, {url: 'http://a:1', protocol: udp}, {url: 'unix://a'}, \
            {url: 'tcp://a:1', tls: {cert-file: c, key-file: k}}, {url: 'tcp://a:1', serve: info}, \
            {url: 'http://a:1', serve: some}";
        assert_eq!(
            read(text).unwrap_err(),
            [
                "listen[0].mode: expected four octal digits such as 0660, found \"660\"",
                "listen[1].mode: expected four octal digits such as 0660, found \"432\"",
                "listen[2].group: it goes with unix:///PATH",
                "listen[3].protocol: tcp does not go with unix:///a",
                "listen[4].protocol: http does not go with tcp://a:1",
                "listen[5].coalesce: what passes as it is cannot be shared",
                "listen[6].protocol: tcp does not go with https://a:1",
                "listen[7].protocol: expected http or tcp, found \"udp\"",
                "listen[8].url: \"unix://a\": the path of a socket begins with a slash, as in unix:///run/etcdlet.sock",
                "listen[9].tls: tcp://a:1 is not https",
                "listen[10].serve: of what passes as it is nothing can be left out",
                "listen[11].serve: expected all or info, found \"some\"",
            ]
        );
    }
}
