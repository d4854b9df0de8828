//! The section `limits`.

use super::resolve::{MAX_CONNECTIONS, size};
use super::section::Section;
use super::{Overrides, defaults};
use crate::{listen, proxy};

/// What clients may take, and what their requests may.
pub(super) struct Limits {
    pub listen: listen::config::Limits,
    pub retry_buffer: usize,
    pub retry_buffer_total: usize,
    pub namespace: proxy::namespace::Config,
}

pub(super) fn read(root: &mut Section, overrides: &Overrides, errors: &mut Vec<String>) -> Limits {
    let mut limits = root.section("limits", errors);
    let read = Limits {
        listen: of_listeners(&mut limits, overrides, errors),
        retry_buffer: size(&mut limits, "retry-buffer-bytes", defaults::RETRY_BUFFER, errors),
        retry_buffer_total: size(
            &mut limits,
            "retry-buffer-total-bytes",
            defaults::RETRY_BUFFER_TOTAL,
            errors,
        ),
        namespace: proxy::namespace::Config {
            request_bytes: size(&mut limits, "namespace-request-bytes", defaults::NAMESPACE_REQUEST, errors),
            total_bytes: size(&mut limits, "namespace-total-bytes", defaults::NAMESPACE_TOTAL, errors),
        },
    };
    limits.finish(errors);
    read
}

fn of_listeners(
    limits: &mut Section,
    overrides: &Overrides,
    errors: &mut Vec<String>,
) -> listen::config::Limits {
    let min_time = limits.duration("grpc-keepalive-min-time", errors);
    let interval = limits.positive_duration("grpc-keepalive-interval", errors);
    let timeout = limits.positive_duration("grpc-keepalive-timeout", errors);
    listen::config::Limits {
        connections: limits.count("connections", MAX_CONNECTIONS, errors).unwrap_or(defaults::CONNECTIONS),
        connections_per_peer: limits
            .number("connections-per-peer", MAX_CONNECTIONS, errors)
            .filter(|connections| *connections > 0),
        streams_per_connection: limits
            .count("streams-per-connection", u32::MAX, errors)
            .unwrap_or(defaults::STREAMS_PER_CONNECTION),
        header_list: size(limits, "header-list-bytes", defaults::HEADER_LIST, errors),
        handshake_timeout: limits
            .positive_duration("handshake-timeout", errors)
            .unwrap_or(defaults::HANDSHAKE_TIMEOUT),
        http1_idle_timeout: limits
            .positive_duration("http1-idle-timeout", errors)
            .unwrap_or(defaults::HTTP1_IDLE_TIMEOUT),
        header_timeout: limits
            .positive_duration("header-timeout", errors)
            .unwrap_or(defaults::HEADER_TIMEOUT),
        h2_idle_timeout: limits.duration("h2-idle-timeout", errors).filter(|timeout| !timeout.is_zero()),
        keepalive_min_time: overrides
            .grpc_keepalive_min_time
            .or(min_time)
            .unwrap_or(defaults::KEEPALIVE_MIN_TIME),
        keepalive_interval: overrides
            .grpc_keepalive_interval
            .or(interval)
            .unwrap_or(defaults::KEEPALIVE_INTERVAL),
        keepalive_timeout: overrides
            .grpc_keepalive_timeout
            .or(timeout)
            .unwrap_or(defaults::KEEPALIVE_TIMEOUT),
    }
}
