//! One client connection from its first byte to its last.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use http::header::{CONNECTION, HeaderValue};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::IntGauge;

use super::capacity::Capacity;
use super::config::Limits;
use super::heads::{Answer, Heads, Watched};
use super::http2;
use super::metrics::ListenMetrics;
use super::sniff::{Protocol, sniff};
use crate::api;
use crate::net::transport::Transport;
use crate::proxy::drain::PATIENCE;
use crate::proxy::{Drain, Proxy};
use crate::types::client::Client;

/// What every connection of a thread shares.
pub(super) struct Context {
    pub proxy: Arc<Proxy>,
    pub capacity: Arc<Capacity>,
    pub drain: Drain,
    pub metrics: ListenMetrics,
}

/// Serves a connection until its client leaves, or until a drain has let its calls finish.
pub(super) async fn serve(mut transport: Transport, context: Arc<Context>, client: Arc<Client>) {
    let limits = context.capacity.limits();
    let sniffed = tokio::select! {
        biased;
        sniffed = tokio::time::timeout(limits.handshake_timeout, sniff(&mut transport)) => sniffed,
        () = context.drain.patience_ends() => return,
    };
    match sniffed {
        // Boxed: it is larger, and most connections are of the other kind.
        Ok(Ok(Some(Protocol::H1))) => Box::pin(serve_h1(transport, context, client, &limits)).await,
        Ok(Ok(Some(Protocol::H2))) => http2::serve(transport, context, client, &limits).await,
        Ok(Ok(None) | Err(_)) => {}
        Err(_elapsed) => context.metrics.on_refused("timeout"),
    }
}

async fn serve_h1(transport: Transport, context: Arc<Context>, client: Arc<Client>, limits: &Limits) {
    let heads = Heads::default();
    let tunnel = Mutex::new(None);
    let service = service_fn(|request| async {
        let answering = heads.on_request();
        let (mut response, becomes) = api::http::serve(request, &context.proxy, client.clone()).await;
        if becomes.is_some() {
            *tunnel.lock().expect("nobody panics while holding it") = becomes;
        } else if context.drain.has_begun() {
            // A client that knows takes another connection for its next request.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok::<_, Infallible>(response.map(|body| Answer { body, _answering: answering }))
    });
    let mut connection = pin!(
        hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.http1_idle_timeout)
            .preserve_header_case(true)
            .auto_date_header(false)
            .serve_connection(TokioIo::new(Watched { transport, heads: heads.clone() }), service)
            .with_upgrades()
    );
    let mut overdue = pin!(heads.overdue(limits.header_timeout));
    // One that is answered without a pause ends by its next answer: if it were closed now, that request
    // may be on its way already.
    let mut drain = pin!(async {
        context.drain.begun().await;
        heads.idle(PATIENCE).await;
    });
    let mut draining = false;
    let outcome = loop {
        tokio::select! {
            biased;
            outcome = connection.as_mut() => break outcome,
            () = overdue.as_mut() => return context.metrics.on_ended("unfinished"),
            () = drain.as_mut(), if !draining => {
                draining = true;
                connection.as_mut().graceful_shutdown();
            }
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
