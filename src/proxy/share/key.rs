//! What makes two reads the same.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::super::peek::Kind;
use super::super::route::Plan;
use crate::types::call::{Body, Call, Wire};
use crate::types::hop::HOP;
use crate::upstream::LaneKind;

/// The request, and everything that etcd looks at in its metadata.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    request: Bytes,
    metadata: [Option<HeaderValue>; 6],
}

impl Key {
    /// `None` for a call that shares nothing: no short read, or one with something special about it.
    pub fn of(call: &Call, plan: &Plan) -> Option<Self> {
        let Body::Full(request) = &call.body else { return None };
        let shares = call.client.terms.coalesces
            && matches!(plan.kind, Some(Kind::LinearizableRead | Kind::SerializableRead))
            && call.rpc.path == "/etcdserverpb.KV/Range"
            && call.wire == Wire::H2
            && call.is_grpc()
            && plan.route.lane == LaneKind::Unary
            && !plan.named
            && request.len() <= REQUEST_MAX;
        if !shares {
            return None;
        }
        Some(Self { request: request.clone(), metadata: metadata(&call.head.headers)? })
    }
}

fn metadata(headers: &HeaderMap) -> Option<[Option<HeaderValue>; 6]> {
    // Of another etcdlet before this one.
    if headers.contains_key(&ENCODING) || headers.get_all(&HOP).iter().nth(1).is_some() {
        return None;
    }
    let mut found = [const { None }; 6];
    for (name, found) in NAMES.into_iter().zip(&mut found) {
        let mut values = headers.get_all(name).iter();
        *found = values.next().cloned();
        if values.next().is_some() {
            return None;
        }
    }
    Some(found)
}

static API_VERSION: HeaderName = HeaderName::from_static("client-api-version");
static ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
static GATEWAY: HeaderName = HeaderName::from_static("grpcgateway-accept");
static HAS_LEADER: HeaderName = HeaderName::from_static("hasleader");
static TOKEN: HeaderName = HeaderName::from_static("token");

static NAMES: [&HeaderName; 6] = [&TOKEN, &AUTHORIZATION, &HAS_LEADER, &API_VERSION, &GATEWAY, &CONTENT_TYPE];

/// Few requests are longer, and those are hardly the same.
const REQUEST_MAX: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn whoever_differs_in_what_etcd_looks_at_is_somebody_else() {
        let nobody = metadata(&headers(&[])).unwrap();
        let names = [
            "token",
            "authorization",
            "hasleader",
            "client-api-version",
            "grpcgateway-accept",
            "content-type",
        ];
        for name in names {
            let one = metadata(&headers(&[(name, "1")])).unwrap();
            assert_ne!(one, nobody, "{name}");
            assert_ne!(Some(one), metadata(&headers(&[(name, "2")])), "{name}");
            assert_eq!(metadata(&headers(&[(name, "1"), (name, "1")])), None, "{name}");
        }
        assert_ne!(metadata(&headers(&[("token", "1")])), metadata(&headers(&[("authorization", "1")])));
        let others = [("user-agent", "a"), ("grpc-timeout", "1S"), ("etcdlet-hop", "b")];
        assert_eq!(metadata(&headers(&others)), Some(nobody));
        assert_eq!(metadata(&headers(&[("grpc-encoding", "gzip")])), None);
        assert_eq!(metadata(&headers(&[("etcdlet-hop", "a"), ("etcdlet-hop", "b")])), None);
    }
}
