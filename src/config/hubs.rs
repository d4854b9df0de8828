//! What clients share: the sections `watch` and `lease`.

use super::defaults;
use super::resolve::size;
use super::section::Section;
use crate::proxy;

/// How watches are shared.
pub(super) fn watch(root: &mut Section, errors: &mut Vec<String>) -> proxy::watch::Config {
    let defaults = proxy::watch::Config::default();
    let mut watch = root.section("watch", errors);
    let config = proxy::watch::Config {
        coalesce: watch.flag("coalesce", errors).unwrap_or(defaults.coalesce),
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
