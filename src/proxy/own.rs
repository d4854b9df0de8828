//! What etcdlet says of itself on client listeners, at the paths of etcd's grpc-proxy
//! (`server/proxy/grpcproxy/health.go`, `metrics.go`).

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};

use crate::telemetry::metrics::Metrics;
use crate::types::call::{Body, Reply};
use crate::upstream::view::View;

/// The answer to a call of [`OWN`](crate::types::gateway::OWN) with this head.
pub(super) async fn answer(head: &Parts, metrics: &Metrics, view: &View) -> Reply {
    let is_head = head.method == Method::HEAD;
    let (status, kind, body) = if !is_head && head.method != Method::GET {
        (StatusCode::METHOD_NOT_ALLOWED, TEXT, Bytes::from_static(b"Method Not Allowed\n"))
    } else if head.uri.path() == "/proxy/metrics" {
        (StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", metrics.render_aside().await.into())
    } else {
        match unhealthy(view) {
            None => (StatusCode::OK, JSON, Bytes::from_static(br#"{"health":"true"}"#)),
            Some(why) => {
                let why = serde_json::Value::from(why);
                let json = format!(r#"{{"health":"false","reason":{why}}}"#);
                (StatusCode::SERVICE_UNAVAILABLE, JSON, Bytes::from(json))
            }
        }
    };
    let mut response = Response::new(());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    let body = if is_head { Body::Empty } else { Body::Full(body) };
    Reply { head: response.into_parts().0, body }
}

/// Why no call could be served now. A member in rotation is enough: while there is no leader, calls for
/// it are held, and a member that stays without one leaves rotation.
fn unhealthy(view: &View) -> Option<String> {
    if view.members.iter().any(|member| member.is_healthy()) {
        return None;
    }
    Some(match &view.discovery_error {
        Some(error) => error.clone(),
        None if view.members.is_empty() => "NO MEMBER KNOWN".to_owned(),
        None => "NO MEMBER IN ROTATION".to_owned(),
    })
}

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
