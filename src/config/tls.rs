//! Certificates: what listeners show, and whom they ask for.

use std::path::PathBuf;
use std::time::Duration;

use super::section::Section;
use super::{Overrides, defaults};
use crate::net::listen_url::ListenUrl;
use crate::tls::policy::{Policy, Version};
use crate::tls::server::{Certificate, Clients};
use crate::tls::{Identity, server};

/// What flags and the environment say of the TLS of `--listen-client-urls`, beside its certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenTls {
    pub trusted_ca_file: Option<PathBuf>,
    /// `true`, `false` or `optional`.
    pub client_cert_auth: Option<String>,
    pub client_crl_file: Option<PathBuf>,
    pub auto_tls: Option<bool>,
    /// In years.
    pub self_signed_cert_validity: Option<u32>,
    pub cipher_suites: Option<Vec<String>>,
    pub min_version: Option<String>,
    pub max_version: Option<String>,
}

/// The section `tls` of a listener.
pub(super) fn server(
    mut section: Section,
    url: Option<&ListenUrl>,
    errors: &mut Vec<String>,
) -> Option<server::Config> {
    let (cert, key) = (section.path("cert-file", errors), section.path("key-file", errors));
    let given = ListenTls {
        trusted_ca_file: section.path("trusted-ca-file", errors),
        client_cert_auth: section.text("client-cert-auth", errors),
        client_crl_file: section.path("client-crl-file", errors),
        auto_tls: section.flag("auto-tls", errors),
        self_signed_cert_validity: section.count("self-signed-cert-validity", VALIDITY_MAX, errors),
        cipher_suites: section.texts("cipher-suites", errors),
        min_version: section.text("min-version", errors),
        max_version: section.text("max-version", errors),
    };
    let at = section.path_name().to_owned();
    section.finish(errors);
    resolve(cert, key, &given, url.map(hosts).unwrap_or_default(), &|key| format!("{at}.{key}"), errors)
}

/// What the flags say of all listeners.
pub(super) fn server_of(
    overrides: &Overrides,
    urls: &[ListenUrl],
    errors: &mut Vec<String>,
) -> Option<server::Config> {
    let Overrides { cert_file, key_file, listen_tls, .. } = overrides;
    let flag = |key: &str| match key {
        "min-version" | "max-version" => format!("--tls-{key}"),
        key => format!("--{key}"),
    };
    let mut hosts: Vec<String> = urls.iter().filter(|url| url.tls()).flat_map(hosts).collect();
    hosts.sort_unstable();
    hosts.dedup();
    resolve(cert_file.clone(), key_file.clone(), listen_tls, hosts, &flag, errors)
}

/// `name` says how a key is called where it was given.
fn resolve(
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    given: &ListenTls,
    hosts: Vec<String>,
    name: &dyn Fn(&str) -> String,
    errors: &mut Vec<String>,
) -> Option<server::Config> {
    let found = errors.len();
    let policy = policy(given, name, errors);
    let clients = clients(given, name, errors);
    let is_automatic = given.auto_tls == Some(true);
    if is_automatic && (cert.is_some() || key.is_some()) {
        errors.push(format!("{}: there is a certificate already", name("auto-tls")));
    }
    let identity = pair(cert, key, &format!("{}, {}", name("cert-file"), name("key-file")), errors);
    let certificate = if is_automatic {
        let years = given.self_signed_cert_validity.unwrap_or(defaults::SELF_SIGNED_CERT_VALIDITY);
        if !(1..=VALIDITY_MAX).contains(&years) {
            let at = name("self-signed-cert-validity");
            errors.push(format!("{at}: expected years from 1 to {VALIDITY_MAX}, found {years}"));
        }
        let validity = YEAR.saturating_mul(years);
        Some(Certificate::SelfSigned { hosts, validity })
    } else {
        identity.map(Certificate::Files)
    };
    let is_needed = clients != Clients::Any || policy != Policy::default();
    if certificate.is_none() && is_needed && errors.len() == found {
        let (cert, automatic) = (name("cert-file"), name("auto-tls"));
        errors.push(format!("{cert}: missing, and without it or {automatic} there is no TLS"));
    }
    certificate.map(|certificate| server::Config { certificate, clients, policy })
}

fn policy(given: &ListenTls, name: &dyn Fn(&str) -> String, errors: &mut Vec<String>) -> Policy {
    let mut version = |key, text: &Option<String>, default| {
        // etcd's flags may be empty for the default.
        let text = text.as_deref().filter(|text| !text.is_empty());
        let parsed = text.map_or(Ok(default), str::parse);
        parsed.unwrap_or_else(|error| {
            errors.push(format!("{}: {error}", name(key)));
            default
        })
    };
    let min = version("min-version", &given.min_version, Version::Tls12);
    let max = version("max-version", &given.max_version, Version::Tls13);
    let suites: Vec<&String> =
        given.cipher_suites.iter().flatten().filter(|suite| !suite.is_empty()).collect();
    let policy = Policy::try_new(min, max).unwrap_or_else(|error| {
        errors.push(format!("{}: {error}", name("min-version")));
        Policy::default()
    });
    policy.with_suites(&suites).unwrap_or_else(|error| {
        errors.push(format!("{}: {error}", name("cipher-suites")));
        Policy::default()
    })
}

fn clients(given: &ListenTls, name: &dyn Fn(&str) -> String, errors: &mut Vec<String>) -> Clients {
    let path = name("client-cert-auth");
    let required = match given.client_cert_auth.as_deref() {
        None => None,
        Some("true") => Some(true),
        Some("optional") => Some(false),
        Some("false") if given.trusted_ca_file.is_none() => None,
        Some("false") => {
            // Where etcd is told so, it demands certificates all the same.
            let ca = name("trusted-ca-file");
            errors.push(format!("{path}: {ca} is for nothing then; leave that out, or say true or optional"));
            None
        }
        Some(other) => {
            errors.push(format!("{path}: expected true, false or optional, found {other:?}"));
            None
        }
    };
    match &given.trusted_ca_file {
        Some(ca) => Clients::Trusted {
            ca: ca.clone(),
            revoked: given.client_crl_file.clone(),
            required: required.unwrap_or(true),
        },
        None => {
            for (given, key) in [
                (required.is_some(), "client-cert-auth"),
                (given.client_crl_file.is_some(), "client-crl-file"),
            ] {
                if given {
                    errors.push(format!("{}: it goes with {}", name(key), name("trusted-ca-file")));
                }
            }
            Clients::Any
        }
    }
}

/// What clients of this machine may call a listener.
fn hosts(url: &ListenUrl) -> Vec<String> {
    let local = || ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    match url {
        ListenUrl::Http(address) | ListenUrl::Tcp(address) => match address.host.as_str() {
            "0.0.0.0" | "::" | "localhost" => local(),
            host => vec![host.to_owned()],
        },
        // etcd's clients take the last part of the path for its name.
        ListenUrl::Unix { path, .. } => {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            // In a certificate it is an IA5String (RFC 5280, 4.2.1.6).
            let name = name.filter(|name| name.is_ascii());
            local().into_iter().chain(name).collect()
        }
    }
}

pub(super) fn pair(
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    at: &str,
    errors: &mut Vec<String>,
) -> Option<Identity> {
    match (cert, key) {
        (Some(cert), Some(key)) => Some(Identity { cert, key }),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            errors.push(format!("{at}: a certificate and its key go together"));
            None
        }
    }
}

/// As etcd counts them.
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Longer than anything that it would protect.
const VALIDITY_MAX: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::yaml;

    fn read(tls: &str) -> Result<Option<server::Config>, Vec<String>> {
        let mut errors = Vec::new();
        let node = yaml::parse(&format!("tls: {{{tls}}}")).unwrap();
        let mut root = Section::root(node, &mut errors);
        let url: ListenUrl = "https://0.0.0.0:2379".parse().unwrap();
        let config = server(root.section("tls", &mut errors), Some(&url), &mut errors);
        if errors.is_empty() { Ok(config) } else { Err(errors) }
    }

    #[test]
    fn certificates_of_clients_are_demanded_where_a_ca_is_given() {
        let clients = |more: &str| {
            let text = format!("cert-file: c, key-file: k, {more}");
            read(&text).map(|config| config.unwrap().clients)
        };
        let trusted = |required| Clients::Trusted { ca: "ca".into(), revoked: None, required };
        assert_eq!(clients(""), Ok(Clients::Any));
        assert_eq!(clients("client-cert-auth: false"), Ok(Clients::Any));
        assert_eq!(clients("trusted-ca-file: ca"), Ok(trusted(true)));
        assert_eq!(clients("trusted-ca-file: ca, client-cert-auth: true"), Ok(trusted(true)));
        assert_eq!(clients("trusted-ca-file: ca, client-cert-auth: optional"), Ok(trusted(false)));
        let revoked = Clients::Trusted { ca: "ca".into(), revoked: Some("crl".into()), required: true };
        assert_eq!(clients("trusted-ca-file: ca, client-crl-file: crl"), Ok(revoked));
        for (wrong, key) in [
            ("client-cert-auth: true", "tls.client-cert-auth: "),
            ("client-cert-auth: optional", "tls.client-cert-auth: "),
            ("client-crl-file: crl", "tls.client-crl-file: "),
            ("trusted-ca-file: ca, client-cert-auth: false", "tls.client-cert-auth: "),
            ("trusted-ca-file: ca, client-cert-auth: maybe", "tls.client-cert-auth: "),
        ] {
            let errors = clients(wrong).unwrap_err();
            assert!(errors.len() == 1 && errors[0].starts_with(key), "{wrong}: {errors:?}");
        }
    }

    #[test]
    fn a_certificate_is_made_only_where_none_is_given() {
        let made = read("auto-tls: true, self-signed-cert-validity: 2").unwrap().unwrap().certificate;
        let hosts = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
        assert_eq!(made, Certificate::SelfSigned { hosts, validity: YEAR * 2 });
        assert_eq!(read("auto-tls: false"), Ok(None));
        for wrong in [
            "auto-tls: true, cert-file: c, key-file: k",
            "auto-tls: true, self-signed-cert-validity: 0",
            "cert-file: c",
            // Or a listener would be open that looks as if it were not.
            "trusted-ca-file: ca",
            "min-version: TLS1.3",
        ] {
            assert_eq!(read(wrong).unwrap_err().len(), 1, "{wrong}");
        }
    }

    #[test]
    fn versions_and_suites_that_do_not_go_together_are_refused_by_their_key() {
        for (wrong, key) in [
            ("min-version: TLS1.1", "tls.min-version: "),
            ("max-version: '1.3'", "tls.max-version: "),
            ("min-version: TLS1.3, max-version: TLS1.2", "tls.min-version: "),
            ("cipher-suites: [TLS_RSA_WITH_AES_128_CBC_SHA]", "tls.cipher-suites: "),
            (
                "min-version: TLS1.3, cipher-suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]",
                "tls.cipher-suites: ",
            ),
        ] {
            let errors = read(&format!("cert-file: c, key-file: k, {wrong}")).unwrap_err();
            assert!(errors.len() == 1 && errors[0].starts_with(key), "{wrong}: {errors:?}");
        }
        let empty = "cert-file: c, key-file: k, min-version: '', max-version: '', cipher-suites: []";
        assert_eq!(read(empty).unwrap().unwrap().policy, Policy::default());
    }

    #[test]
    fn flags_are_named_as_flags_and_make_one_certificate_for_all_urls() {
        let urls =
            ["https://10.0.0.1:1", "http://10.0.0.2:1", "https://node:1"].map(|url| url.parse().unwrap());
        let given = |listen_tls| {
            let mut errors = Vec::new();
            let overrides = Overrides { listen_tls, ..Overrides::default() };
            let config = server_of(&overrides, &urls, &mut errors);
            if errors.is_empty() { Ok(config.map(|config| config.certificate)) } else { Err(errors) }
        };
        let automatic = ListenTls { auto_tls: Some(true), ..ListenTls::default() };
        let hosts = ["10.0.0.1", "node"].map(str::to_owned).to_vec();
        assert_eq!(given(automatic.clone()), Ok(Some(Certificate::SelfSigned { hosts, validity: YEAR })));
        let wrong = ListenTls {
            min_version: Some("TLS1.0".into()),
            client_crl_file: Some("crl".into()),
            ..automatic
        };
        let errors = given(wrong).unwrap_err();
        assert!(errors[0].starts_with("--tls-min-version: unexpected TLS version"), "{errors:?}");
        assert_eq!(errors[1], "--client-crl-file: it goes with --trusted-ca-file");
    }

    #[test]
    fn the_name_of_a_socket_is_in_its_certificate_unless_it_cannot_be() {
        let of = |url: &str| hosts(&url.parse().unwrap()).len();
        assert_eq!(of("unixs:///run/etcdlet.sock"), 4);
        assert_eq!(of("unixs:///run/\u{e9}tcdlet.sock"), 3);
    }
}
