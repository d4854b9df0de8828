//! Requests in HTTP/1.1, which pass as they are: JSON, health, version, metrics.

use http::header::{CONNECTION, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::proxy::Proxy;
use crate::types::call::{Body, Broken, Call, Reply, Wire};
use crate::types::method::HTTP;

pub async fn serve(request: Request<Incoming>, proxy: &Proxy) -> Response<Body> {
    let (mut head, body) = request.into_parts();
    strip(&mut head.headers);
    let call = Call {
        rpc: &HTTP,
        wire: Wire::H1,
        head: Box::new(head),
        deadline: None,
        body: Body::stream(body.map_err(|error| Broken::Connection(error.to_string()))),
    };
    let Reply { mut head, body } = proxy.call(call).await;
    strip(&mut head.headers);
    Response::from_parts(head, body)
}

/// Removes what concerns one connection only (RFC 9110, section 7.6.1).
fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&PER_CONNECTION) {
        headers.remove(name);
    }
}

static PER_CONNECTION: [HeaderName; 6] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn what_concerns_one_connection_is_removed() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, x-own"),
            ("x-own", "1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("accept", "*/*"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        strip(&mut headers);
        assert_eq!(headers.len(), 1);
        assert_eq!(headers["accept"], "*/*");
    }
}
