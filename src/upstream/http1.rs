//! HTTP/1.1 towards an endpoint: hyper's pooled client over our dialer.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::header::{CONNECTION, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, Uri};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use super::dial::{Dialer, Protocol};
use super::view::Endpoint;
use crate::net::socket::Traffic;
use crate::net::transport::Transport;
use crate::types::call::Body;

pub(super) type Http1 = Client<Connector, Body>;

pub(super) fn client(endpoint: &Endpoint, dialer: Dialer, traffic: Traffic) -> Http1 {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(IDLE_MAX)
        .http1_preserve_header_case(true)
        .set_host(false)
        .build(Connector { endpoint: endpoint.clone(), dialer, traffic })
}

/// Always connects to its endpoint, whatever host the request names.
#[derive(Clone)]
pub(super) struct Connector {
    endpoint: Endpoint,
    dialer: Dialer,
    traffic: Traffic,
}

impl tower_service::Service<Uri> for Connector {
    type Response = Connected1;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Connected1>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { endpoint, dialer, traffic } = self.clone();
        Box::pin(async move {
            let parked = dialer.dial(&endpoint, Protocol::H1).await?;
            Ok(Connected1(TokioIo::new(parked.attach(traffic)?)))
        })
    }
}

/// A transport in the form that hyper's client wants.
pub(super) struct Connected1(TokioIo<Transport>);

impl Connection for Connected1 {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Connected1 {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl Write for Connected1 {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Idle connections kept to an endpoint: as many as a busy node's HTTP clients reuse.
const IDLE_MAX: usize = 32;

/// Removes what concerns one connection only (RFC 9110, section 7.6.1).
pub(super) fn strip(headers: &mut HeaderMap) {
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
