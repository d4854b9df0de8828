//! HTTP/1.1 towards an endpoint: hyper's pooled client over our dialer.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use super::dial::{Dialer, Protocol};
use crate::net::address::Address;
use crate::net::socket::Traffic;
use crate::net::transport::Transport;
use crate::types::call::Body;

pub(super) type Http1 = Client<Connector, Body>;

pub(super) fn client(address: Address, dialer: Dialer, traffic: Traffic) -> Http1 {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(IDLE_MAX)
        .http1_preserve_header_case(true)
        .set_host(false)
        .build(Connector { address, dialer, traffic })
}

/// Always connects to its endpoint, whatever host the request names.
#[derive(Clone)]
pub(super) struct Connector {
    address: Address,
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
        let Self { address, dialer, traffic } = self.clone();
        Box::pin(async move {
            let parked = dialer.dial(&address, Protocol::H1).await?;
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
