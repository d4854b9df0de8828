//! What clients share: the sections `watch` and `lease`.

use super::defaults;
use super::resolve::size;
use super::section::Section;
use crate::proxy;

/// How watches are shared.
/// `upstream` is missing only together with an error.
pub(super) fn watch(
    root: &mut Section,
    upstream: Option<&crate::upstream::Config>,
    errors: &mut Vec<String>,
) -> proxy::watch::Config {
    let defaults = proxy::watch::Config::default();
    let mut watch = root.section("watch", errors);
    let coalesce = watch.flag("coalesce", errors).unwrap_or(defaults.coalesce);
    let config = proxy::watch::Config {
        coalesce,
        account: super::share::read(&mut watch, upstream, errors),
        prefixes: super::prefixes::read(&mut watch, coalesce, errors),
        ring_bytes: size(&mut watch, "ring-bytes", defaults.ring_bytes as u64, errors),
        stream_bytes: size(&mut watch, "lag-bytes-max", defaults.stream_bytes as u64, errors),
        catch_ups: watch.count("catch-ups", MAX_WATCHERS, errors).unwrap_or(defaults.catch_ups),
        watchers: watch.count("watchers", MAX_WATCHERS, errors).unwrap_or(defaults.watchers),
        linger: watch.duration("linger", errors).unwrap_or(defaults.linger),
        ..defaults
    };
    watch.finish(errors);
    config
}

/// How keep-alives are sent.
pub(super) fn lease(root: &mut Section, errors: &mut Vec<String>) -> proxy::lease::Config {
    let mut lease = root.section("lease", errors);
    let config = proxy::lease::Config {
        coalesce: lease.flag("coalesce", errors).unwrap_or(true),
        streams: lease.count("streams", MAX_LEASE_STREAMS, errors).unwrap_or(defaults::LEASE_STREAMS),
        idle_timeout: lease.positive_duration("idle-timeout", errors).unwrap_or(defaults::LEASE_IDLE_TIMEOUT),
        waiting_per_stream: lease
            .count("waiting-per-stream", MAX_LEASE_WAITING, errors)
            .unwrap_or(defaults::LEASE_WAITING_PER_STREAM),
        waiting_total: lease
            .count("waiting-total", MAX_LEASE_WAITING, errors)
            .unwrap_or(defaults::LEASE_WAITING_TOTAL),
    };
    lease.finish(errors);
    config
}

/// As many permits as a semaphore counts.
const MAX_WATCHERS: usize = 1 << 30;

const MAX_LEASE_STREAMS: usize = 64;

const MAX_LEASE_WAITING: usize = 1 << 24;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::yaml;
    use crate::proxy::watch::config::{Prefix, StandingFeed};

    fn read(text: &str) -> Result<proxy::watch::Config, Vec<String>> {
        let mut errors = Vec::new();
        let root = yaml::parse(&format!("watch: {text}")).unwrap();
        let config = watch(&mut Section::root(root, &mut errors), None, &mut errors);
        if errors.is_empty() { Ok(config) } else { Err(errors) }
    }

    #[test]
    fn prefixes_are_read() {
        let text = "{coalesce: true, prefixes: [{prefix: ''}, {prefix: /a/, coalesce: false}, \
            {prefix: /b/, standing: true}, {prefix: /c/, standing: true, prev-kv: true, require-leader: true}]}";
        let standing = |prev_kv, require_leader| Some(StandingFeed { prev_kv, require_leader });
        assert_eq!(
            read(text).unwrap().prefixes,
            [
                Prefix::of(b""),
                Prefix { coalesce: false, ..Prefix::of(b"/a/") },
                Prefix { standing: standing(false, false), ..Prefix::of(b"/b/") },
                Prefix { standing: standing(true, true), ..Prefix::of(b"/c/") },
            ]
        );
    }

    #[test]
    fn prefixes_that_make_no_sense_are_refused_with_their_paths() {
        let text = "{coalesce: true, prefixes: [{}, {prefix: a, colour: red}, {prefix: a, coalesce: no}, \
            {prefix: b, prev-kv: true}, {prefix: c, standing: false, require-leader: false}, \
            {prefix: d, standing: true, coalesce: false}, {prefix: [e]}]}";
        assert_eq!(
            read(text).unwrap_err(),
            [
                "watch.prefixes[0].prefix: missing",
                "watch.prefixes[1].colour: unknown key",
                "watch.prefixes[2].coalesce: expected true or false, found \"no\"",
                "watch.prefixes[2].prefix: b\"a\" is there twice",
                "watch.prefixes[3].prev-kv: it goes with standing",
                "watch.prefixes[4].require-leader: it goes with standing",
                "watch.prefixes[5].standing: nobody shares it without coalesce",
                "watch.prefixes[6].prefix: expected a value, found a list",
                "watch.prefixes[6].prefix: missing",
            ]
        );
        let alone = "{coalesce: false, prefixes: [{prefix: a, standing: true}]}";
        assert_eq!(
            read(alone).unwrap_err(),
            ["watch.prefixes[0].standing: nobody shares it without coalesce"]
        );
        assert_eq!(read("{prefixes: a}").unwrap_err(), ["watch.prefixes: expected a list, found a text"]);
        let many = vec!["{prefix: x}"; 257].join(", ");
        let errors = read(&format!("{{prefixes: [{many}]}}")).unwrap_err();
        assert_eq!(errors[0], "watch.prefixes: 257 entries are more than 256");
    }
}
