//! One HTTP/2 connection to a member.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{Ping, PingPong, SendStream};
use http::Request;
use http::request::Parts;
use tokio::sync::Notify;

use super::changes::Changes;
use super::lane::LaneKind;
use super::metrics::EndpointMetrics;
use crate::net::address::Address;
use crate::net::transport::Transport;

pub(super) struct Link {
    sender: Mutex<SendRequest<Bytes>>,
    /// Streams open on it.
    active: AtomicUsize,
    active_max: usize,
    ended: Arc<AtomicBool>,
    /// A call was turned away since the last stream ended.
    full: AtomicBool,
    changes: Changes,
    cut: Arc<Notify>,
    /// Nobody has it any longer: its end is no news.
    abandoned: Arc<AtomicBool>,
    pings: tokio::sync::Mutex<PingPong>,
    metrics: EndpointMetrics,
}

impl Link {
    /// Speaks HTTP/2 to `endpoint`: sends the preface, drives the connection from a task of its
    /// own, and waits for the answer to a PING: until then the peer may be something else than an
    /// HTTP/2 server, or nobody at home behind an open port. `changes` is told when the
    /// connection ends, and when a link that was full has room again.
    pub async fn open(
        transport: Transport,
        endpoint: &Address,
        kind: LaneKind,
        metrics: EndpointMetrics,
        changes: Changes,
    ) -> Result<Arc<Self>, h2::Error> {
        let (sender, mut connection) = Builder::new()
            .initial_window_size(kind.stream_window())
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEADER_LIST_MAX)
            .enable_push(false)
            // Clients cancel freely. With h2's own limits a burst of cancelled calls would be taken
            // for an attack by the member, and the connection ended for everybody.
            .max_local_error_reset_streams(None)
            .max_concurrent_reset_streams(RESET_STREAMS_MAX)
            .handshake(transport)
            .await?;
        let pings = connection.ping_pong().expect("nobody else has taken it");
        let link = Arc::new(Self {
            sender: Mutex::new(sender),
            pings: tokio::sync::Mutex::new(pings),
            active: AtomicUsize::new(0),
            active_max: CONNECTION_WINDOW as usize / kind.stream_window() as usize,
            ended: Arc::default(),
            full: AtomicBool::new(false),
            changes: changes.clone(),
            cut: Arc::default(),
            abandoned: Arc::default(),
            metrics: metrics.clone(),
        });
        let (endpoint, ended, cut) = (endpoint.clone(), link.ended.clone(), link.cut.clone());
        let abandoned = link.abandoned.clone();
        // Knows nothing of the link: a link that is dropped ends its connection.
        tokio::spawn(async move {
            metrics.connections.inc();
            let (outcome, by_itself) = tokio::select! {
                outcome = connection => (outcome.err().map(|error| error.to_string()), true),
                () = cut.notified() => (Some(GIVEN_UP.to_owned()), false),
            };
            metrics.connections.dec();
            ended.store(true, Ordering::Relaxed);
            tracing::debug!(%endpoint, lane = ?kind, ?outcome, "connection to the cluster ended");
            if by_itself && !abandoned.load(Ordering::Relaxed) {
                changes.on_lost();
            } else {
                changes.on_change();
            }
        });
        link.ping().await?;
        Ok(link)
    }

    /// Ends when the peer has answered a PING: its process runs. etcd allows one now and then.
    pub async fn ping(&self) -> Result<(), h2::Error> {
        let mut pings = self.pings.lock().await;
        // A late answer to one before says nothing of now.
        std::future::poll_fn(|cx| {
            let _late = pings.poll_pong(cx);
            Poll::Ready(())
        })
        .await;
        // One may still be under way, whose caller has given up: its answer says as much.
        let _pending = pings.send_ping(Ping::opaque());
        std::future::poll_fn(|cx| pings.poll_pong(cx)).await.map(|_pong| ())
    }

    /// Ends the connection and every stream on it.
    pub fn cut(&self) {
        self.ended.store(true, Ordering::Relaxed);
        self.cut.notify_one();
    }

    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Opens a stream, or gives the request back: the link is full, or goes away.
    pub fn try_open(self: &Arc<Self>, head: Box<Parts>, ended: bool) -> Result<Opened, OpenError> {
        if self.has_ended() {
            return Err(OpenError::Ended(head));
        }
        let mut sender = self.sender.lock().expect("nobody panics while holding the sender");
        let active = self.active.load(Ordering::Relaxed);
        if active >= self.active_max || active >= sender.current_max_send_streams() {
            self.full.store(true, Ordering::Relaxed);
            return Err(OpenError::Full(head));
        }
        match sender.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => {
                self.ended.store(true, Ordering::Relaxed);
                return Err(OpenError::Ended(head));
            }
            Poll::Pending => {
                self.full.store(true, Ordering::Relaxed);
                return Err(OpenError::Full(head));
            }
        }
        let request = Request::from_parts(*head, ());
        let (response, stream) = sender.send_request(request, ended).map_err(OpenError::Malformed)?;
        self.active.fetch_add(1, Ordering::Relaxed);
        self.metrics.streams.inc();
        self.metrics.calls.inc();
        Ok(Opened { response, stream, lease: Lease(self.clone()) })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }
}

/// A stream whose headers are on their way.
pub(super) struct Opened {
    pub response: ResponseFuture,
    pub stream: SendStream<Bytes>,
    pub lease: Lease,
}

pub(super) enum OpenError {
    /// GOAWAY, a lost connection, or no stream ids left.
    Ended(Box<Parts>),
    Full(Box<Parts>),
    Malformed(h2::Error),
}

/// One open stream in the count of its link.
pub(super) struct Lease(Arc<Link>);

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.streams.dec();
        if self.0.full.swap(false, Ordering::Relaxed) {
            self.0.changes.on_change();
        }
    }
}

/// Why calls end with a connection that has not failed.
pub(super) const GIVEN_UP: &str = "the member has left rotation";

/// The largest that HTTP/2 has: only windows of streams hold anything back, so that streams
/// whose clients do not read never stop the others.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

/// What grpc-go allows by default.
const HEADER_LIST_MAX: u32 = 16 << 20;

/// Streams that we reset and whose late frames are still recognised.
const RESET_STREAMS_MAX: usize = 10_000;
