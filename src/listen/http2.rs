//! One client connection in HTTP/2.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};

use bytes::Bytes;
use futures_util::future::Either;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use h2::server::Connection;
use h2::{Ping, PingPong};

use super::config::Limits;
use super::conn::{Context, Counted};
use super::heartbeat::Heartbeat;
use super::pulse::Due;
use super::watched::{Signs, Watched};
use crate::api;
use crate::net::transport::Transport;
use crate::types::client::Client;

/// Serves until the client leaves, has to go, or until a drain has let its calls finish.
pub(super) async fn serve(transport: Transport, context: Arc<Context>, client: Arc<Client>, limits: &Limits) {
    let signs = Arc::new(Signs::default());
    let watched = Watched::new(transport, limits.keepalive_min_time, signs.clone());
    // Boxed, as the connection's future must not be as large as what is needed only at its beginning.
    let Some(mut connection) = Box::pin(handshake(watched, &context, limits)).await else { return };
    let mut ping_pong = connection.ping_pong();
    let mut heartbeat = Heartbeat::new(limits, signs.clone());
    let mut drain = pin!(context.drain.begun());
    let mut draining = false;
    // Not tasks of their own: a task costs more to make than a stream lasts. Boxed, because the set has
    // room for one more than it holds, and keeps that of one that has ended while a waker of it lives.
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
                    streams.push(Either::Left(Box::pin(async move {
                        // A bug in one call must not end the others of its connection.
                        if AssertUnwindSafe(served).catch_unwind().await.is_err() {
                            tracing::error!("a call ended in a panic");
                        }
                        drop(open);
                    })));
                    signs.set_streams(streams.len() - 1);
                }
                ended => {
                    if let Some(Err(error)) = ended {
                        tracing::debug!(%error, "HTTP/2 connection ended");
                    }
                    if signs.is_sent_away() {
                        context.metrics.on_ended("pings");
                    }
                    return;
                }
            },
            never = serve_all(&mut streams, &signs) => match never {},
            () = &mut drain, if !draining => {
                draining = true;
                connection.graceful_shutdown();
            }
            due = heartbeat.due() => match due {
                Due::Close(reason) => return context.metrics.on_ended(reason),
                Due::GoAway => {
                    context.metrics.on_ended("idle");
                    connection.graceful_shutdown();
                }
                Due::Ping => ping(ping_pong.as_mut()),
            }
        }
    }
}

async fn handshake(
    watched: Watched,
    context: &Context,
    limits: &Limits,
) -> Option<Connection<Watched, Bytes>> {
    let handshake = h2::server::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(limits.streams_per_connection)
        .max_header_list_size(limits.header_list)
        .max_send_buffer_size(SEND_BUFFER)
        // What our own answers reset is not the client's doing.
        .max_local_error_reset_streams(None)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .handshake(watched);
    match tokio::time::timeout(limits.handshake_timeout, handshake).await {
        Ok(Ok(connection)) => return Some(connection),
        Ok(Err(error)) => {
            tracing::debug!(%error, "HTTP/2 handshake failed");
            context.metrics.on_refused("protocol");
        }
        Err(_elapsed) => context.metrics.on_refused("timeout"),
    }
    None
}

/// Sends one, unless the one before was not answered: then nothing that came in was its answer, and
/// something else shows that the client lives.
fn ping(ping_pong: Option<&mut PingPong>) {
    if let Some(ping_pong) = ping_pong {
        // The library sends no other before the answer to the last one was taken.
        let _taken = ping_pong.poll_pong(&mut TaskContext::from_waker(Waker::noop()));
        let _under_way = ping_pong.send_ping(Ping::opaque());
    }
}

/// Polls the streams that can go on, as many as may be before the connection is looked at again.
async fn serve_all(streams: &mut FuturesUnordered<impl Future<Output = ()>>, signs: &Signs) -> Infallible {
    poll_fn(|cx| {
        while let Poll::Ready(Some(())) = streams.poll_next_unpin(cx) {}
        signs.set_streams(streams.len() - 1);
        Poll::Pending
    })
    .await
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
