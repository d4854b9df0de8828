//! What the process does of itself: the sections `admin`, `drain`, `log` and `reload`.

use super::resolve::address;
use super::section::Section;
use super::{Drain, Overrides, Reload, defaults, tls};
use crate::admin;
use crate::net::address::Address;
use crate::net::listen_url::ListenUrl;
use crate::telemetry::log;
use crate::tls::server::{self, Clients};

pub(super) fn drain(root: &mut Section, errors: &mut Vec<String>) -> Drain {
    let mut drain = root.section("drain", errors);
    let config = Drain {
        delay: drain.duration("delay", errors).unwrap_or(defaults::DRAIN_DELAY),
        timeout: drain.duration("timeout", errors).unwrap_or(defaults::DRAIN_TIMEOUT),
        stream_jitter: drain.duration("stream-jitter", errors).unwrap_or(defaults::STREAM_JITTER),
    };
    drain.finish(errors);
    config
}

pub(super) fn reload(root: &mut Section, errors: &mut Vec<String>) -> Reload {
    let mut reload = root.section("reload", errors);
    let interval = reload.duration("interval", errors).unwrap_or(defaults::RELOAD_INTERVAL);
    reload.finish(errors);
    Reload { interval: Some(interval).filter(|interval| !interval.is_zero()) }
}

/// `None` only together with an error.
pub(super) fn admin(
    root: &mut Section,
    overrides: &Overrides,
    errors: &mut Vec<String>,
) -> Option<admin::Config> {
    let mut section = root.section("admin", errors);
    let (path, tls_path) = (section.path_of("url"), section.path_of("tls"));
    let url = section.text("url", errors);
    let changes = section.flag("changes", errors).unwrap_or(true);
    let allow_remote = section.flag("allow-remote", errors).unwrap_or(false);
    let url = overrides.admin_url.clone().or(url).unwrap_or_else(|| defaults::ADMIN.to_owned());
    let url: Option<Address> = address(&path, &url, errors);
    let own = url.clone().map(ListenUrl::Http);
    let tls = tls::server(section.section("tls", errors), own.as_ref(), errors);
    section.finish(errors);
    let url = url?;
    match (url.tls, &tls) {
        (true, None) => errors.push(format!("{path}: {url} needs a certificate and its key ({tls_path})")),
        (false, Some(_)) => errors.push(format!("{path}: {url} is not https, and {tls_path} is there")),
        (true, Some(_)) | (false, None) => {
            if !allow_remote && !is_loopback(&url) && !tls.as_ref().is_some_and(demands_certificates) {
                errors.push(format!(
                    "{path}: {url} is not on loopback, and whoever reaches it can end the process; \
                     admin.allow-remote: true permits it, and so does {tls_path}.trusted-ca-file"
                ));
            }
            // A page that lets its own name lead here has no certificate that fits.
            let any_host = allow_remote || url.tls;
            return Some(admin::Config { url, tls, any_host, changes });
        }
    }
    None
}

fn demands_certificates(tls: &server::Config) -> bool {
    matches!(tls.clients, Clients::Trusted { required: true, .. })
}

/// By its address alone: what a name means may change.
fn is_loopback(url: &Address) -> bool {
    let by_address = url.host.parse().is_ok_and(|ip: std::net::IpAddr| ip.to_canonical().is_loopback());
    url.host == "localhost" || by_address
}

/// `None` only together with an error.
pub(super) fn log(
    root: &mut Section,
    overrides: &Overrides,
    errors: &mut Vec<String>,
) -> Option<log::Config> {
    let mut section = root.section("log", errors);
    let level = section.text("level", errors);
    let format = section.text("format", errors);
    section.finish(errors);
    let level = overrides.log_level.clone().or(level);
    let format = overrides.log_format.clone().or(format);
    let level = match level.as_deref().map(log::level) {
        None => Some(tracing::Level::INFO),
        Some(Ok(level)) => Some(level),
        Some(Err(why)) => {
            errors.push(format!("log.level: {why}"));
            None
        }
    };
    let format = match format.as_deref() {
        None | Some("json") => Some(log::Format::Json),
        Some("text") => Some(log::Format::Text),
        Some(other) => {
            errors.push(format!("log.format: expected json or text, found {other:?}"));
            None
        }
    };
    Some(log::Config { level: level?, format: format? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::yaml;

    fn read(text: &str) -> Result<admin::Config, Vec<String>> {
        let mut errors = Vec::new();
        let root = yaml::parse(&format!("admin: {text}")).unwrap();
        let config = admin(&mut Section::root(root, &mut errors), &Overrides::default(), &mut errors);
        if errors.is_empty() { Ok(config.unwrap()) } else { Err(errors) }
    }

    #[test]
    fn the_admin_port_is_on_loopback_unless_told_otherwise() {
        for url in ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1", "http://127.8.7.6:1"] {
            assert!(!read(&format!("{{url: '{url}'}}")).unwrap().any_host, "{url}");
        }
        for url in ["http://0.0.0.0:1", "http://[::]:1", "http://10.0.0.1:1", "http://node.example:1"] {
            let errors = read(&format!("{{url: '{url}'}}")).unwrap_err();
            assert!(errors.len() == 1 && errors[0].contains("admin.allow-remote: true"), "{errors:?}");
            assert!(read(&format!("{{url: '{url}', allow-remote: true}}")).unwrap().any_host, "{url}");
        }
        let tls =
            |more: &str| format!("{{url: 'https://0.0.0.0:1', tls: {{cert-file: c, key-file: k{more}}}}}");
        // A certificate of its own keeps nobody out.
        for more in ["", ", trusted-ca-file: ca, client-cert-auth: optional"] {
            assert!(read(&tls(more)).unwrap_err()[0].contains("not on loopback"), "{more}");
        }
        assert!(read(&tls(", trusted-ca-file: ca")).is_ok());
    }

    #[test]
    fn tls_of_the_admin_port_goes_with_https() {
        assert!(
            read("{url: 'https://127.0.0.1:1', tls: {cert-file: c, key-file: k}}").unwrap().tls.is_some()
        );
        assert_eq!(
            read("{url: 'https://127.0.0.1:1'}").unwrap_err(),
            ["admin.url: https://127.0.0.1:1 needs a certificate and its key (admin.tls)"]
        );
        assert_eq!(
            read("{url: 'http://127.0.0.1:1', tls: {cert-file: c, key-file: k}}").unwrap_err(),
            ["admin.url: http://127.0.0.1:1 is not https, and admin.tls is there"]
        );
    }
}
