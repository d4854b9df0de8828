//! From the file and the overrides to a checked configuration.

use std::fmt::Display;
use std::str::FromStr;

use super::limits::Limits;
use super::listen::listeners;
use super::section::Section;
use super::{Config, Overrides, defaults, hubs, process, register};
use crate::listen::config::Listener;
use crate::net::listen_url::ListenUrl;
use crate::{listen, proxy};

/// `None` only together with an error.
pub(super) fn resolve(mut root: Section, overrides: &Overrides, errors: &mut Vec<String>) -> Option<Config> {
    let limits = super::limits::read(&mut root, overrides, errors);
    let drain = process::drain(&mut root, errors);
    let listeners = listeners(&mut root, overrides, errors);
    let upstream = super::upstream::read(&mut root, overrides, errors);
    let watch = hubs::watch(&mut root, upstream.as_ref(), errors);
    let proxy = proxy(&mut root, &limits, &listeners, watch, errors);
    let threads = root.count("threads", MAX_THREADS, errors);
    let reload = process::reload(&mut root, errors);
    let admin = process::admin(&mut root, overrides, errors);
    let log = process::log(&mut root, overrides, errors);
    root.finish(errors);
    let config = Config {
        listen: listen::Config { listeners, limits: limits.listen },
        upstream: upstream?,
        proxy,
        drain,
        reload,
        threads: overrides.threads.or(threads).unwrap_or(defaults::THREADS).max(1),
        admin: admin?,
        log: log?,
    };
    refuse_loops(&config, errors);
    refuse_doubles(&config, errors);
    Some(config)
}

/// How calls are routed, retried and held.
fn proxy(
    root: &mut Section,
    limits: &Limits,
    listeners: &[Listener],
    watch: proxy::watch::Config,
    errors: &mut Vec<String>,
) -> proxy::Config {
    let mut route = root.section("route", errors);
    let leader_aware = route.flag("leader-aware", errors).unwrap_or(true);
    let member_list = register::member_list(&mut route, listeners, errors);
    let watermark_wait = route.duration("watermark-wait", errors).unwrap_or(defaults::WATERMARK_WAIT);
    let share_reads = route.flag("share-reads", errors).unwrap_or(false);
    route.finish(errors);
    let register = register::read(root, &member_list, listeners, errors);
    let mut retry = root.section("retry", errors);
    let retry_config = proxy::config::Retry {
        read_limit: retry.duration("read-limit", errors).unwrap_or(defaults::READ_LIMIT),
        budget_rate: retry.count("budget-rate", u32::MAX, errors).unwrap_or(defaults::BUDGET_RATE),
        budget_burst: retry.count("budget-burst", u32::MAX, errors).unwrap_or(defaults::BUDGET_BURST),
        hedge_after: retry.duration("hedge-after", errors).filter(|after| !after.is_zero()),
    };
    retry.finish(errors);
    let mut hold = root.section("hold", errors);
    let hold_config = proxy::config::Hold {
        limit: hold.duration("timeout", errors).unwrap_or(defaults::HOLD_TIMEOUT),
        calls: hold.count("calls", MAX_HELD, errors).unwrap_or(defaults::HOLD_CALLS),
    };
    hold.finish(errors);
    let lease = hubs::lease(root, errors);
    proxy::Config {
        audit: super::audit::read(root, errors),
        retry_buffer: limits.retry_buffer,
        retry_buffer_total: limits.retry_buffer_total,
        json_lines_total: limits.json_lines_total,
        leader_aware,
        member_list,
        register,
        share_reads,
        watermark_wait,
        retry: retry_config,
        hold: hold_config,
        lease,
        namespace: limits.namespace.clone(),
        watch,
    }
}

/// A size that must fit the number type of its use.
pub(super) fn size<T: TryFrom<u64>>(
    section: &mut Section,
    key: &str,
    default: u64,
    errors: &mut Vec<String>,
) -> T {
    let bytes = section.bytes(key, errors).unwrap_or(default);
    T::try_from(bytes).unwrap_or_else(|_| {
        errors.push(format!("{}: {bytes} bytes are too many", section.path_of(key)));
        T::try_from(default).ok().expect("defaults fit")
    })
}

pub(super) fn address<T: FromStr<Err: Display>>(
    path: &str,
    text: &str,
    errors: &mut Vec<String>,
) -> Option<T> {
    match text.trim().parse() {
        Ok(address) => Some(address),
        Err(error) => {
            errors.push(format!("{path}: {text:?}: {error}"));
            None
        }
    }
}

fn refuse_loops(config: &Config, errors: &mut Vec<String>) {
    let upstream = &config.upstream;
    let endpoints = upstream.discovery.endpoints.iter().map(|endpoint| ("endpoints", endpoint));
    let of_http = upstream.http_endpoints.iter().map(|endpoint| ("http-endpoints", endpoint));
    for (key, endpoint) in endpoints.chain(of_http) {
        for listener in &config.listen.listeners {
            if listener.url.address().is_some_and(|own| endpoint.is_served_by(own)) {
                errors.push(format!("upstream.{key}: {endpoint} is this etcdlet's own listener"));
            }
        }
    }
}

/// Two listeners in one place, of which a start could bind one.
fn refuse_doubles(config: &Config, errors: &mut Vec<String>) {
    let mut listeners = config.listen.listeners.iter();
    while let Some(Listener { url, .. }) = listeners.next() {
        let others = listeners.clone().filter(|other| other.url.excludes(url));
        errors.extend(others.map(|other| format!("listen: {url} and {} exclude each other", other.url)));
        if url.excludes(&ListenUrl::Http(config.admin.url.clone())) {
            errors.push(format!("admin.url: {} and the listener {url} exclude each other", config.admin.url));
        }
    }
}

/// More than any process can open files.
pub(super) const MAX_CONNECTIONS: usize = 100_000_000;

/// More than fit in memory.
const MAX_HELD: usize = 1 << 30;

/// The flag has the same limit.
const MAX_THREADS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::yaml;
    use crate::telemetry::log;
    use std::time::Duration;

    fn read(text: &str, overrides: &Overrides) -> Result<Config, Vec<String>> {
        let mut errors = Vec::new();
        let config = resolve(Section::root(yaml::parse(text).unwrap(), &mut errors), overrides, &mut errors);
        if errors.is_empty() { Ok(config.unwrap()) } else { Err(errors) }
    }

    fn errors(text: &str) -> Vec<String> {
        read(text, &Overrides::default()).unwrap_err()
    }

    #[test]
    fn a_file_with_every_key_is_read() {
        let text = "
listen:
  - url: http://127.0.0.1:2379
  - {url: 'https://0.0.0.0:2380', tls: {cert-file: c, key-file: k}, coalesce: false}
upstream:
  endpoints: [10.0.0.1:2379, 'https://b:2379']
  connect-timeout: 1s
  tls: {cacert: ca, cert: c, key: k, server-name: etcd}
  dns: https://etcd.test:2379
  discovery-srv: test
  discovery-srv-name: blue
  nameservers: [127.0.0.1, '[::1]:5353']
  http-endpoints: [10.0.0.1:2383]
  sync-members: false
  sync-interval: 9s
  cluster-id: cdf818194e3a8c32
  weights: {10.0.0.1: 4, 'b:2379': 2}
  probe:
    idle-interval: 7s
    suspicion-after: 300ms
    suspicion-interval: 200ms
    silent-after: 500ms
    lag-entries-max: 100
route: {leader-aware: false, member-list: local, watermark-wait: 0s}
retry: {read-limit: 2s, budget-rate: 10, budget-burst: 20, hedge-after: 5ms}
hold: {timeout: 1s, calls: 7}
limits:
  connections: 5
  connections-per-peer: 4
  streams-per-connection: 6
  retry-buffer-bytes: 1MiB
  retry-buffer-total-bytes: 8MiB
  header-list-bytes: 64KiB
  handshake-timeout: 2s
  http1-idle-timeout: 1m
  header-timeout: 4s
  h2-idle-timeout: 1h
  grpc-keepalive-min-time: 1s
  grpc-keepalive-interval: 1m
  grpc-keepalive-timeout: 3s
drain: {delay: 1s, timeout: 3s, stream-jitter: 100ms}
reload: {interval: 0s}
threads: 2
admin: {url: 'http://127.0.0.1:1'}
log: {level: warn, format: text}
";
        let config = read(text, &Overrides::default()).unwrap();
        let [plain, tls] = &config.listen.listeners[..] else { panic!("two listeners") };
        assert!(plain.terms.coalesces && !tls.terms.coalesces);
        assert!(plain.tls.is_none() && tls.tls.is_some());
        assert_eq!(config.upstream.discovery.endpoints[0].to_string(), "http://10.0.0.1:2379");
        assert_eq!(config.upstream.connect_timeout, Duration::from_secs(1));
        assert_eq!(config.upstream.tls.server_name.as_deref(), Some("etcd"));
        assert_eq!(config.listen.limits.streams_per_connection, 6);
        assert_eq!(config.listen.limits.connections_per_peer, Some(4));
        assert_eq!(config.listen.limits.h2_idle_timeout, Some(Duration::from_secs(3600)));
        assert_eq!(config.listen.limits.keepalive_interval, Duration::from_secs(60));
        assert_eq!(config.proxy.retry_buffer, 1 << 20);
        let discovery = &config.upstream.discovery;
        assert_eq!(discovery.dns.as_ref().unwrap().to_string(), "https://etcd.test:2379");
        assert_eq!(discovery.srv.as_ref().unwrap().name, "blue");
        assert_eq!(config.upstream.http_endpoints, ["http://10.0.0.1:2383".parse().unwrap()]);
        assert_eq!(discovery.nameservers, ["127.0.0.1:53".parse().unwrap(), "[::1]:5353".parse().unwrap()]);
        let health = &config.upstream.health;
        assert!(!health.sync_members && !config.proxy.leader_aware);
        assert_eq!(health.cluster_id.unwrap().to_string(), "cdf818194e3a8c32");
        assert_eq!((health.weights[0].port, health.weights[1].weight), (None, 2));
        assert_eq!((health.idle_interval.as_secs(), health.lag_entries_max), (7, 100));
        assert_eq!(config.proxy.retry.hedge_after, Some(Duration::from_millis(5)));
        assert_eq!(config.proxy.hold.calls, 7);
        let local = proxy::MemberList::Local("http://127.0.0.1:2379".to_owned());
        assert_eq!(config.proxy.member_list, local);
        assert_eq!(config.drain.stream_jitter, Duration::from_millis(100));
        assert_eq!((config.drain.delay.as_secs(), config.reload.interval), (1, None));
        assert_eq!((config.threads, config.admin.url.port), (2, 1));
        assert_eq!(config.log.format, log::Format::Text);
    }

    #[test]
    fn the_example_shows_the_defaults() {
        let example = read(include_str!("../../config/etcdlet.yaml"), &Overrides::default()).unwrap();
        let urls = example.upstream.discovery.endpoints.iter().map(ToString::to_string).collect();
        let overrides = Overrides { endpoints: Some(urls), ..Overrides::default() };
        assert_eq!(read("", &overrides).unwrap(), example);
    }

    #[test]
    fn all_errors_are_reported_together_with_their_paths() {
        let text = "
listen:
  - {url: 'https://0.0.0.0:2380'}
  - {url: 'http://a:1', colour: red, coalesce: no}
upstream: {endpoints: ['a:b'], connect-timeout: soon, discovery-srv-name: blue,
  cluster-id: x, sync-members: maybe, weights: {a: 0}, auth: {username: u}, nameservers: [dns], flavour: 1}
limits: {connections: -1, handshake-timeout: 0s}
drain: {delay: 10000000000000000000s}
member: {name: m}
log: {level: loud}
";
        assert_eq!(
            errors(text),
            [
                "limits.connections: expected a whole number from 1 to 100000000, found \"-1\"",
                "limits.handshake-timeout: expected a time above zero such as 5s, at most 100years, found \"0s\"",
                "drain.delay: expected a time such as 5s, at most 100years, found \"10000000000000000000s\"",
                "listen[0].tls: https://0.0.0.0:2380 needs a certificate and its key",
                "listen[1].coalesce: expected true or false, found \"no\"",
                "listen[1].colour: unknown key",
                "upstream.endpoints: \"a:b\": \"b\" is not a port",
                "upstream.discovery-srv-name: it goes with discovery-srv",
                "upstream.nameservers: expected IP or IP:PORT, found \"dns\"",
                "upstream.connect-timeout: expected a time above zero such as 5s, at most 100years, found \"soon\"",
                "upstream.auth.password-file: username and password-file go together",
                "upstream.cluster-id: expected a hexadecimal number, found \"x\"",
                "upstream.sync-members: expected true or false, found \"maybe\"",
                "upstream.weights.a: expected a whole number from 1 to 1000, found \"0\"",
                "upstream.flavour: unknown key",
                "log.level: expected error, warn, info or debug, found \"loud\"",
                "member: unknown key",
            ]
        );
    }

    #[test]
    fn who_names_no_cluster_is_told_what_to_do() {
        let expected =
            "upstream.endpoints: give the URLs of the etcd cluster (or --endpoints http://HOST:2379)";
        for text in ["{}", "upstream: {endpoints: []}", "upstream: {discovery-srv: ''}"] {
            assert_eq!(errors(text), [expected], "{text}");
        }
        assert_eq!(errors("upstream: {dns: 'a:b'}"), ["upstream.dns: \"a:b\": \"b\" is not a port"]);
    }

    #[test]
    fn users_share_watches_only_with_a_user_that_opens_them() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "secret\n").unwrap();
        let auth = format!("auth: {{username: etcdlet, password-file: '{}'}}", file.path().display());
        let with = |share: &str, auth: &str| {
            let text = format!("{{upstream: {{endpoints: ['a:1'], {auth}}}, watch: {{{share}}}}}");
            read(&text, &Overrides::default()).map(|config| config.proxy.watch.account)
        };
        let account = with("share: users", &auth).unwrap().unwrap();
        assert_eq!((account.username.as_str(), account.password.as_str()), ("etcdlet", "secret"));
        assert!(!format!("{account:?}").contains("secret"));
        assert_eq!(with("share: token", &auth), Ok(None));
        assert_eq!(with("", &auth), Ok(None));
        let missing = "watch.share: users needs upstream.auth (username and password-file)";
        assert_eq!(with("share: users", ""), Err(vec![missing.to_owned()]));
        let unknown = "watch.share: expected token or users, found \"all\"";
        assert_eq!(with("share: all", &auth), Err(vec![unknown.to_owned()]));
    }

    #[test]
    fn flags_win_over_the_file() {
        let overrides = Overrides {
            endpoints: Some(vec!["http://flag:1".into()]),
            listen_client_urls: Some(vec!["http://127.0.0.1:7".into()]),
            threads: Some(4),
            ..Overrides::default()
        };
        let text = "{listen: [{url: 'http://127.0.0.1:8'}], upstream: {endpoints: ['file:1']}, threads: 2}";
        let config = read(text, &overrides).unwrap();
        assert_eq!(config.upstream.discovery.endpoints[0].host, "flag");
        assert_eq!(config.listen.listeners[0].url.to_string(), "http://127.0.0.1:7");
        assert_eq!(config.threads, 4);
    }

    #[test]
    fn without_endpoints_the_error_says_what_to_give() {
        let errors = errors("");
        assert_eq!(errors.len(), 1);
        assert!(errors[0].contains("--endpoints http://HOST:2379"), "{errors:?}");
    }

    #[test]
    fn an_endpoint_that_is_the_listener_is_refused() {
        let errors = errors("upstream: {endpoints: ['localhost:2379']}");
        assert_eq!(errors, ["upstream.endpoints: http://localhost:2379 is this etcdlet's own listener"]);
    }

    #[test]
    fn listeners_in_one_place_are_refused() {
        let errors = errors(
            "{upstream: {endpoints: ['a:1']}, admin: {url: 'http://127.0.0.1:7'}, listen: [
              {url: 'http://127.0.0.1:5'}, {url: 'tcp://0.0.0.0:5'}, {url: 'tcp://0.0.0.0:7'}]}",
        );
        assert_eq!(
            errors,
            [
                "listen: http://127.0.0.1:5 and tcp://0.0.0.0:5 exclude each other",
                "admin.url: http://127.0.0.1:7 and the listener tcp://0.0.0.0:7 exclude each other",
            ]
        );
    }

    #[test]
    fn a_time_that_never_comes_is_refused() {
        let text = |time: &str| format!("{{upstream: {{endpoints: ['a:1']}}, hold: {{timeout: {time}}}}}");
        let read = |time| read(&text(time), &Overrides::default());
        assert_eq!(read("100years").unwrap().proxy.hold.limit.as_secs() / 86400, 36525);
        assert_eq!(
            read("400000000000years").unwrap_err(),
            ["hold.timeout: expected a time such as 5s, at most 100years, found \"400000000000years\""]
        );
    }

    #[test]
    fn a_wrong_shape_is_an_error_with_its_path() {
        assert_eq!(errors("- a")[0], "the file: expected a mapping, found a list");
        assert_eq!(errors("upstream: 5")[0], "upstream: expected a mapping, found a number or boolean");
        assert_eq!(errors("listen: {url: a}")[0], "listen: expected a list, found a mapping");
    }
}
