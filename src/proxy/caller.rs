//! Whose streams and reads may share one at a member, and which may share at all.

use bytes::{BufMut, Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version};

use crate::types::call::Call;
use crate::types::hop::HOP;

/// Everything that etcd looks at in the metadata of a call, and the way that it came. Whoever
/// differs in any of it shares nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Caller(Vec<(&'static HeaderName, HeaderValue)>);

impl Caller {
    /// `None` where something special about the call would be lost on a shared one, or where its
    /// listener shares nothing.
    pub fn of(call: &Call) -> Option<Self> {
        let headers = &call.head.headers;
        let has = |name: &str, values: &[&str]| {
            headers.get(name).is_none_or(|value| values.iter().any(|expected| value == expected))
        };
        let is_plain = call.client.terms.coalesces
            && call.is_grpc()
            && has("content-type", &["application/grpc", "application/grpc+proto"])
            && has("grpc-encoding", &["identity"])
            && !headers.contains_key("etcdlet-member");
        is_plain.then(|| Self::by(headers))
    }

    pub fn by(metadata: &HeaderMap) -> Self {
        let values =
            |name: &'static HeaderName| metadata.get_all(name).iter().map(move |value| (name, value.clone()));
        Self(NAMES.into_iter().flat_map(values).collect())
    }

    pub fn requires_leader(&self) -> bool {
        let value = self.0.iter().find(|(name, _)| **name == HAS_LEADER);
        // `streamServerInterceptor` of etcd's `server/etcdserver/api/v3rpc/interceptor.go`.
        value.is_some_and(|(_, value)| value == "true")
    }

    /// Everything but who it is.
    pub fn without_token(&self) -> Self {
        let is_token = |name: &HeaderName| *name == TOKEN || name == http::header::AUTHORIZATION;
        Self(self.0.iter().filter(|(name, _)| !is_token(name)).cloned().collect())
    }

    /// The same as the one whose token this is.
    pub fn with_token(&self, token: &HeaderValue) -> Self {
        let mut caller = self.without_token();
        caller.0.push((&TOKEN, token.clone()));
        caller
    }

    /// The same for the same caller, and for no other. etcd only counts calls by the version of their
    /// client, if it can be read (`server/etcdserver/api/v3rpc/interceptor.go`).
    pub fn bytes(&self) -> Bytes {
        let mut bytes = BytesMut::new();
        let counts = |value: &HeaderValue| std::str::from_utf8(value.as_bytes()).is_ok();
        let matters = self.0.iter().filter(|(name, value)| **name != CLIENT_API_VERSION || !counts(value));
        for (name, value) in matters {
            for part in [name.as_str().as_bytes(), value.as_bytes()] {
                bytes.put_u64(part.len() as u64);
                bytes.put_slice(part);
            }
        }
        bytes.freeze()
    }

    /// The head of a call of its own, without a deadline.
    pub fn head(&self, path: &'static str) -> Box<http::request::Parts> {
        let (mut head, ()) = Request::new(()).into_parts();
        (head.method, head.version) = (Method::POST, Version::HTTP_2);
        head.uri = http::Uri::from_static(path);
        head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        head.headers.insert(http::header::TE, HeaderValue::from_static("trailers"));
        for (name, value) in &self.0 {
            head.headers.append(*name, value.clone());
        }
        Box::new(head)
    }
}

static HAS_LEADER: HeaderName = HeaderName::from_static("hasleader");
static TOKEN: HeaderName = HeaderName::from_static("token");
static CLIENT_API_VERSION: HeaderName = HeaderName::from_static("client-api-version");
/// By which etcd knows that a certificate's name is not the caller's.
static GATEWAY: HeaderName = HeaderName::from_static("grpcgateway-accept");

static NAMES: [&HeaderName; 6] =
    [&TOKEN, &http::header::AUTHORIZATION, &HAS_LEADER, &CLIENT_API_VERSION, &GATEWAY, &HOP];

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn only_what_etcd_looks_at_tells_callers_apart() {
        let plain = Caller::by(&HeaderMap::new());
        let names = ["token", "authorization", "hasleader", "client-api-version", "grpcgateway-accept"];
        for name in names.into_iter().chain(["etcdlet-hop"]) {
            let one = Caller::by(&metadata(&[(name, "1")]));
            assert_ne!(one, plain, "{name}");
            assert_ne!(one, Caller::by(&metadata(&[(name, "2")])), "{name}");
            assert_ne!(one, Caller::by(&metadata(&[(name, "1"), (name, "1")])), "{name}");
            assert_eq!(one.bytes() == plain.bytes(), name == "client-api-version", "{name}");
            assert_eq!(one.head("/a/B").headers[name], "1");
        }
        let with_agent = metadata(&[("user-agent", "a"), ("grpc-timeout", "1S"), ("traceparent", "b")]);
        assert_eq!(Caller::by(&with_agent), plain);
        assert!(!plain.requires_leader());
    }

    #[test]
    fn a_version_that_etcd_refuses_is_another_caller_s() {
        let version = HeaderValue::from_bytes(b"\xff").unwrap();
        let odd = Caller::by(&[(CLIENT_API_VERSION.clone(), version)].into_iter().collect());
        assert_ne!(odd.bytes(), Caller::by(&HeaderMap::new()).bytes());
    }

    #[test]
    fn a_value_under_another_name_is_another_caller() {
        let token = Caller::by(&metadata(&[("token", "1")]));
        let authorization = Caller::by(&metadata(&[("authorization", "1")]));
        assert_ne!(token, authorization);
        assert_ne!(token.bytes(), authorization.bytes());
    }
}
