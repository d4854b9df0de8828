//! A connection that passes to a member as it is: for clients that show etcd a certificate of their
//! own, and whose calls nobody between may understand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::conn::Context;
use crate::net::splice::splice;
use crate::net::stream::Stream;
use crate::proxy::Drain;

/// Serves a connection until both sides have ended it, its member is given up, or a drain finds it
/// quiet.
pub(super) async fn serve(client: Stream, context: Arc<Context>) {
    let metrics = &context.metrics;
    let connected = tokio::select! {
        connected = context.proxy.upstream().tunnel() => connected,
        () = context.drain.patience_ends() => return,
    };
    let mut tunnel = match connected {
        Ok(tunnel) => tunnel,
        Err(error) => {
            tracing::debug!(%error, "no tunnel for a client");
            return metrics.on_tunnel_failure(error.reason());
        }
    };
    metrics.tunnels.inc();
    let (member, traffic) = (&tunnel.stream, &tunnel.traffic);
    let moved = AtomicU64::new(0);
    let ended = tokio::select! {
        ended = splice((&client, &metrics.traffic), (member, traffic), &moved) => Some(ended),
        () = quiet(&context.drain, &moved) => return,
        () = tunnel.cut.as_mut() => None,
    };
    match ended {
        Some(Ok(())) => {}
        Some(Err(error)) => {
            tracing::debug!(%error, "a tunnel broke");
            metrics.on_tunnel_failure("lost");
        }
        None => metrics.on_tunnel_failure("cut"),
    }
}

/// Ends when a drain has begun and nothing passes any longer. What passes cannot be told to come to
/// an end; calls in it that are being answered are spared, at most until the drain's own limit.
async fn quiet(drain: &Drain, moved: &AtomicU64) {
    drain.stream_end().await;
    let mut before = None;
    loop {
        let now = moved.load(Ordering::Relaxed);
        if before == Some(now) {
            return;
        }
        before = Some(now);
        tokio::time::sleep(QUIET).await;
    }
}

/// Longer than an answer takes to begin, as long as all is well.
const QUIET: Duration = Duration::from_secs(1);
