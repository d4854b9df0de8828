//! Accepting connections.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_rustls::{TlsAcceptor, TlsStream};

use super::capacity::{Capacity, Entrance, Slot};
use super::conn::{self, Context, Counted};
use super::metrics::ListenMetrics;
use super::tcp;
use crate::net::listener::Accepting;
use crate::net::socket::Socket;
use crate::net::stream::Stream;
use crate::net::transport::{Parked, Transport};
use crate::proxy::{Drain, Proxy};
use crate::tls::server::Server;
use crate::types::client::{Client, Peer, Terms};

/// Accepts and serves on one thread of the data path.
pub struct Acceptor {
    context: Arc<Context>,
    /// Cloned by every connection; the receiver ends when the last one is gone.
    open: watch::Sender<()>,
}

impl Acceptor {
    pub fn new(
        proxy: Arc<Proxy>,
        capacity: Arc<Capacity>,
        drain: Drain,
        metrics: ListenMetrics,
        open: watch::Sender<()>,
    ) -> Self {
        Self { context: Arc::new(Context { proxy, capacity, drain, metrics }), open }
    }

    /// Accepts plain connections until the drain begins.
    pub async fn run(&self, listener: Accepting, entrance: Entrance, terms: Arc<Terms>) {
        let traffic = &self.context.metrics.traffic;
        self.accept(&listener, &entrance, |stream, peer, slot| {
            let transport = Transport::plain(Socket::gathering(stream, traffic.clone()));
            let client = Client { peer, common_name: None, terms: terms.clone() };
            self.spawn(slot, |context| conn::serve(transport, context, Arc::new(client)));
        })
        .await;
    }

    /// Accepts connections that pass to a member as they are, until the drain begins.
    pub async fn run_tcp(&self, listener: Accepting, entrance: Entrance) {
        self.accept(&listener, &entrance, |stream, _peer, slot| {
            self.spawn(slot, |context| tcp::serve(stream, context));
        })
        .await;
    }

    /// Serves connections whose TLS was set up elsewhere, until their source ends.
    pub async fn run_parked(&self, mut parked: mpsc::Receiver<Handover>) {
        while let Some(Handover { connection, slot, client }) = parked.recv().await {
            match connection.attach(self.context.metrics.traffic.clone()) {
                Ok(transport) => self.spawn(slot, |context| conn::serve(transport, context, client)),
                Err(error) => tracing::debug!(%error, "connection lost after its TLS handshake"),
            }
        }
    }

    async fn accept(&self, listener: &Accepting, entrance: &Entrance, serve: impl FnMut(Stream, Peer, Slot)) {
        tokio::select! {
            () = self.context.drain.begun() => {}
            never = accept_all(listener, &self.context.metrics, entrance, serve) => match never {},
        }
    }

    fn spawn<F>(&self, slot: Slot, serve: impl FnOnce(Arc<Context>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let held = (slot, self.open.clone(), Counted::new(&self.context.metrics.connections));
        let served = serve(self.context.clone());
        tokio::spawn(async move {
            served.await;
            drop(held);
        });
    }
}

/// A connection ready for the data path.
pub struct Handover {
    connection: Parked,
    slot: Slot,
    client: Arc<Client>,
}

/// Accepts TLS connections on the control runtime and hands them to the threads in turn.
pub struct TlsListener {
    pub listener: Accepting,
    pub server: Server,
    pub entrance: Entrance,
    pub terms: Arc<Terms>,
    pub capacity: Arc<Capacity>,
    pub metrics: ListenMetrics,
    pub drain: Drain,
}

impl TlsListener {
    pub async fn run(self, threads: Vec<mpsc::Sender<Handover>>) {
        let mut next = 0;
        tokio::select! {
            () = self.drain.begun() => {}
            never = accept_all(&self.listener, &self.metrics, &self.entrance, |stream, peer, slot| {
                next = (next + 1) % threads.len();
                tokio::spawn(self.shake_hands(stream, peer, slot, threads[next].clone()));
            }) => match never {},
        }
    }

    fn shake_hands(
        &self,
        stream: Stream,
        peer: Peer,
        slot: Slot,
        thread: mpsc::Sender<Handover>,
    ) -> impl Future<Output = ()> + Send + use<> {
        let handshake = TlsAcceptor::from(self.server.current()).accept(Socket::direct(stream));
        let limit = self.capacity.limits().handshake_timeout;
        let (terms, drain, metrics) = (self.terms.clone(), self.drain.clone(), self.metrics.clone());
        async move {
            let handshake = tokio::select! {
                biased;
                handshake = tokio::time::timeout(limit, handshake) => handshake,
                () = drain.patience_ends() => return,
            };
            match handshake {
                Ok(Ok(session)) => match Parked::tls(TlsStream::Server(session)) {
                    // An error means that the thread is draining: the connection closes.
                    Ok(connection) => {
                        let client = Arc::new(Client { peer, common_name: None, terms });
                        drop(thread.send(Handover { connection, slot, client }).await);
                    }
                    Err(error) => tracing::debug!(%error, "connection lost after its TLS handshake"),
                },
                Ok(Err(error)) => {
                    tracing::debug!(%error, "TLS handshake failed");
                    metrics.on_refused("tls");
                }
                Err(_elapsed) => metrics.on_refused("timeout"),
            }
        }
    }
}

async fn accept_all(
    listener: &Accepting,
    metrics: &ListenMetrics,
    entrance: &Entrance,
    mut serve: impl FnMut(Stream, Peer, Slot),
) -> Infallible {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                metrics.accepted.inc();
                // Waiting instead would leave clients in the backlog without a word.
                match entrance.admit(&peer) {
                    Ok(slot) => serve(stream, peer, slot),
                    Err(full) => metrics.on_refused(full.reason()),
                }
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                // Out of files or memory: others must finish first.
                tracing::error!(%error, "no connection can be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Errors of a connection that ended before it was accepted (accept(2)).
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

const PAUSE: Duration = Duration::from_millis(100);
