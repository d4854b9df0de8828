//! One client connection from its first byte to its last.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use bytes::Bytes;
use futures_util::future::Either;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::IntGauge;

use super::config::Limits;
use super::metrics::ListenMetrics;
use super::sniff::{Protocol, sniff};
use crate::api;
use crate::net::transport::Transport;
use crate::proxy::{Drain, Proxy};
use crate::types::client::Client;

/// What every connection of a thread shares.
pub(super) struct Context {
    pub proxy: Arc<Proxy>,
    pub limits: Limits,
    pub drain: Drain,
    pub metrics: ListenMetrics,
}

/// Serves a connection until its client leaves, or until a drain has let its calls finish.
pub(super) async fn serve(mut transport: Transport, context: Arc<Context>, client: Arc<Client>) {
    let sniffed = tokio::select! {
        sniffed = tokio::time::timeout(context.limits.handshake_timeout, sniff(&mut transport)) => sniffed,
        () = context.drain.begun() => return,
    };
    match sniffed {
        Ok(Ok(Some(Protocol::H1))) => serve_h1(transport, context, client).await,
        Ok(Ok(Some(Protocol::H2))) => serve_h2(transport, context, client).await,
        Ok(Ok(None) | Err(_)) => {}
        Err(_elapsed) => context.metrics.on_refused("timeout"),
    }
}

async fn serve_h2(transport: Transport, context: Arc<Context>, client: Arc<Client>) {
    let limits = &context.limits;
    let handshake = h2::server::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(limits.streams_per_connection)
        .max_header_list_size(limits.header_list)
        .max_send_buffer_size(SEND_BUFFER)
        // What our own answers reset is not the client's doing.
        .max_local_error_reset_streams(None)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .handshake::<_, Bytes>(transport);
    let mut connection = match tokio::time::timeout(limits.handshake_timeout, handshake).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            tracing::debug!(%error, "HTTP/2 handshake failed");
            return context.metrics.on_refused("protocol");
        }
        Err(_elapsed) => return context.metrics.on_refused("timeout"),
    };
    let mut drain = pin!(context.drain.begun());
    let mut draining = false;
    // Not tasks of their own: a task costs more to make than a stream lasts.
    let mut streams = FuturesUnordered::new();
    // One that never goes on. The set wakes itself when it has polled all that it holds, and a
    // client with one call at a time would have its connection polled twice as often.
    streams.push(Either::Right(std::future::pending()));
    loop {
        tokio::select! {
            biased;
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    let open = Counted::new(&context.metrics.streams);
                    let served = api::grpc::serve(request, respond, context.proxy.clone(), client.clone());
                    streams.push(Either::Left(async move {
                        // A bug in one call must not end the others of its connection.
                        if AssertUnwindSafe(served).catch_unwind().await.is_err() {
                            tracing::error!("a call ended in a panic");
                        }
                        drop(open);
                    }));
                }
                Some(Err(error)) => {
                    tracing::debug!(%error, "HTTP/2 connection ended");
                    return;
                }
                None => return,
            },
            never = serve_all(&mut streams) => match never {},
            () = &mut drain, if !draining => {
                draining = true;
                connection.graceful_shutdown();
            }
        }
    }
}

/// Polls the streams that can go on, as many as may be before the connection is looked at again.
async fn serve_all(streams: &mut FuturesUnordered<impl Future<Output = ()>>) -> Infallible {
    poll_fn(|cx| {
        while let Poll::Ready(Some(())) = streams.poll_next_unpin(cx) {}
        Poll::Pending
    })
    .await
}

async fn serve_h1(transport: Transport, context: Arc<Context>, client: Arc<Client>) {
    let tunnel = Mutex::new(None);
    let service = service_fn(|request| async {
        let (response, becomes) = api::http::serve(request, &context.proxy, client.clone()).await;
        if becomes.is_some() {
            *tunnel.lock().expect("nobody panics while holding it") = becomes;
        }
        Ok::<_, Infallible>(response)
    });
    let mut connection = pin!(
        hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(context.limits.http1_idle_timeout)
            .preserve_header_case(true)
            .auto_date_header(false)
            .serve_connection(TokioIo::new(transport), service)
            .with_upgrades()
    );
    let outcome = tokio::select! {
        biased;
        outcome = connection.as_mut() => outcome,
        () = context.drain.begun() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "HTTP/1.1 connection ended");
    }
    // Still one of the connections that are counted and waited for.
    let tunnel = tunnel.lock().expect("nobody panics while holding it").take();
    if let Some(tunnel) = tunnel {
        tunnel.await;
    }
}

/// One in a gauge while it lives.
pub(super) struct Counted(IntGauge);

impl Counted {
    pub fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Bytes of one answer that wait here for a client whose window is open but whose socket is full.
const SEND_BUFFER: usize = 64 << 10;

/// Calls of one connection that were cancelled before they were looked at. A client that gives
/// up a burst of calls at once is no attacker; one that does nothing else is cut off here.
const PENDING_RESETS_MAX: usize = 4096;

/// Bytes of one request that may be on their way to a member that does not take them.
const STREAM_WINDOW: u32 = 256 << 10;

/// Room for 64 requests of one connection that wait for their members.
const CONNECTION_WINDOW: u32 = 16 << 20;
