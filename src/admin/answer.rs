//! What there is on the admin port.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HOST, HeaderValue, ORIGIN, X_CONTENT_TYPE_OPTIONS};
use http::uri::Authority;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;

use super::{State, cluster, health, watches};
use crate::telemetry::log;

/// Status, type and body.
type Answer = (StatusCode, &'static str, Bytes);

pub(super) async fn answer(request: Request<Incoming>, state: &State) -> Response<Full<Bytes>> {
    let allowed = allowed(request.uri().path());
    let (status, kind, body) = if !state.any_host && has_foreign_host(request.headers()) {
        (StatusCode::FORBIDDEN, TEXT, FOREIGN_HOST.into())
    } else if allowed.is_empty() {
        (StatusCode::NOT_FOUND, TEXT, format!("not found; there are {PATHS}\n").into())
    } else if !allowed.contains(request.method()) {
        (StatusCode::METHOD_NOT_ALLOWED, TEXT, "this method is not for this path\n".into())
    } else if request.method() == Method::GET {
        look(&request, state)
    } else if !state.changes {
        (StatusCode::FORBIDDEN, TEXT, "nothing is changed here (admin.changes is false)\n".into())
    } else if request.headers().contains_key(ORIGIN) {
        // A page that somebody on the node looks at must not end its etcdlet.
        (StatusCode::FORBIDDEN, TEXT, "not for web pages\n".into())
    } else {
        change(request, state).await
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        let methods: Vec<&str> = allowed.iter().map(Method::as_str).collect();
        let methods = HeaderValue::from_str(&methods.join(", ")).expect("methods are tokens");
        headers.insert(ALLOW, methods);
    }
    response
}

/// None where there is nothing.
fn allowed(path: &str) -> &'static [Method] {
    match path {
        "/cluster" | "/config" | "/livez" | "/metrics" | "/readyz" | "/watches" => &[Method::GET],
        "/drain" => &[Method::POST],
        "/log/level" => &[Method::GET, Method::PUT],
        _ if path.starts_with("/livez/") || path.starts_with("/readyz/") => &[Method::GET],
        _ => &[],
    }
}

/// A page that somebody on the node looks at can let its own name lead here, and read what is answered
/// (DNS rebinding). It cannot do so with `localhost`, nor with an address.
fn has_foreign_host(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST).filter(|host| !host.is_empty()) else { return false };
    let Ok(authority) = Authority::try_from(host.as_bytes()) else { return true };
    let host = authority.host();
    let ip = host.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(host);
    !host.eq_ignore_ascii_case("localhost") && ip.parse::<IpAddr>().is_err()
}

fn look(request: &Request<Incoming>, state: &State) -> Answer {
    let query = request.uri().query();
    let now = Instant::now();
    match request.uri().path() {
        "/cluster" => {
            let view = state.views.borrow().clone();
            (StatusCode::OK, JSON, cluster::render(&view, &state.watermark).into())
        }
        "/config" => match query {
            None | Some("format=yaml") => (StatusCode::OK, YAML, state.config.borrow().yaml.clone()),
            Some("format=json") => (StatusCode::OK, JSON, state.config.borrow().json.clone()),
            Some(_) => (StatusCode::BAD_REQUEST, TEXT, "there are format=yaml and format=json\n".into()),
        },
        "/log/level" => (StatusCode::OK, TEXT, format!("{}\n", log::name(state.levels.current())).into()),
        "/metrics" => (StatusCode::OK, METRICS, state.metrics.render().into()),
        "/watches" => match watches::render(&state.watches, query) {
            Ok(text) => (StatusCode::OK, JSON, text.into()),
            Err(why) => (StatusCode::BAD_REQUEST, TEXT, why.into()),
        },
        path => {
            let (checks, only) = match path.strip_prefix("/livez") {
                Some(rest) => (state.health.live(now), rest),
                None => (state.health.ready(now), path.trim_start_matches("/readyz")),
            };
            match health::render(checks, only.strip_prefix('/'), query) {
                Some((true, text)) => (StatusCode::OK, TEXT, text.into()),
                Some((false, text)) => (StatusCode::SERVICE_UNAVAILABLE, TEXT, text.into()),
                None => (StatusCode::NOT_FOUND, TEXT, "there is no such check\n".into()),
            }
        }
    }
}

async fn change(request: Request<Incoming>, state: &State) -> Answer {
    if request.uri().path() == "/drain" {
        state.drain.notify_one();
        return (StatusCode::ACCEPTED, TEXT, "draining\n".into());
    }
    let body = Limited::new(request.into_body(), BODY_MAX).collect();
    let level = match tokio::time::timeout(BODY_LIMIT, body).await {
        Ok(Ok(body)) => String::from_utf8_lossy(&body.to_bytes()).trim().to_owned(),
        Ok(Err(error)) => return (StatusCode::BAD_REQUEST, TEXT, format!("{error}\n").into()),
        Err(_elapsed) => return (StatusCode::REQUEST_TIMEOUT, TEXT, "the body did not come\n".into()),
    };
    match log::level(&level) {
        Ok(level) => {
            state.levels.set(level);
            (StatusCode::OK, TEXT, format!("{}\n", log::name(level)).into())
        }
        Err(why) => (StatusCode::BAD_REQUEST, TEXT, format!("{why}\n").into()),
    }
}

/// For people who guess.
const PATHS: &str =
    "/livez, /readyz, /cluster, /watches, /metrics, /config, /log/level (GET, PUT) and /drain (POST)";

const FOREIGN_HOST: &str =
    "the header Host has a name other than localhost; admin.allow-remote: true permits any\n";

const JSON: &str = "application/json";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
/// RFC 9512.
const YAML: &str = "application/yaml";

/// A word.
const BODY_MAX: usize = 64;
const BODY_LIMIT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_anybody_may_own_are_foreign() {
        let is_foreign =
            |host| has_foreign_host(&HeaderMap::from_iter([(HOST, HeaderValue::from_static(host))]));
        assert!(!has_foreign_host(&HeaderMap::new()));
        for host in ["", "localhost", "LOCALHOST:9379", "127.0.0.1:9379", "[::1]:9379", "[::1]", "10.0.0.1"] {
            assert!(!is_foreign(host), "{host}");
        }
        for host in ["evil.example", "evil.example:9379", "localhost.evil.example", "127.0.0.1.nip.io", "a b"]
        {
            assert!(is_foreign(host), "{host}");
        }
    }
}
