//! Accepting connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_rustls::{TlsAcceptor, TlsStream, server};

use super::config::Limits;
use super::conn::{self, Context, Counted};
use super::metrics::ListenMetrics;
use crate::net::socket::{Socket, tune};
use crate::net::transport::{Parked, Transport};
use crate::proxy::{Drain, Proxy};
use crate::tls::server::Server;
use crate::tls::{failure, leaf};
use crate::types::client::{Client, Peer, Terms};

/// Accepts and serves on one thread of the data path.
pub struct Acceptor {
    context: Arc<Context>,
    /// One permit a connection, shared by all threads.
    room: Arc<Semaphore>,
    /// Cloned by every connection; the receiver ends when the last one is gone.
    open: watch::Sender<()>,
}

impl Acceptor {
    pub fn new(
        proxy: Arc<Proxy>,
        limits: Limits,
        drain: Drain,
        metrics: ListenMetrics,
        room: Arc<Semaphore>,
        open: watch::Sender<()>,
    ) -> Self {
        Self { context: Arc::new(Context { proxy, limits, drain, metrics }), room, open }
    }

    /// Accepts plain connections until the drain begins.
    pub async fn run(&self, listener: TcpListener, terms: Arc<Terms>) {
        let drain = self.context.drain.clone();
        tokio::select! {
            () = drain.begun() => {}
            never = accept_all(&listener, &self.context.metrics, &self.room, |stream, peer, permit| {
                let transport = Transport::plain(Socket::gathering(stream, self.context.metrics.traffic.clone()));
                let client = Client { peer: Peer::Ip(peer), common_name: None, terms: terms.clone() };
                self.spawn(transport, permit, Arc::new(client));
            }) => match never {},
        }
    }

    /// Serves connections whose TLS was set up elsewhere, until their source ends.
    pub async fn run_parked(&self, mut parked: mpsc::Receiver<Handover>) {
        while let Some(Handover { connection, permit, client }) = parked.recv().await {
            match connection.attach(self.context.metrics.traffic.clone()) {
                Ok(transport) => self.spawn(transport, permit, client),
                Err(error) => tracing::debug!(%error, "connection lost after its TLS handshake"),
            }
        }
    }

    fn spawn(&self, transport: Transport, permit: OwnedSemaphorePermit, client: Arc<Client>) {
        let (context, open) = (self.context.clone(), self.open.clone());
        tokio::spawn(async move {
            let _held = (permit, open, Counted::new(&context.metrics.connections));
            conn::serve(transport, context, client).await;
        });
    }
}

/// A connection ready for the data path.
pub struct Handover {
    connection: Parked,
    /// Its place in the limit.
    permit: OwnedSemaphorePermit,
    client: Arc<Client>,
}

/// Accepts TLS connections on the control runtime and hands them to the threads in turn.
pub struct TlsListener {
    pub listener: TcpListener,
    pub server: Server,
    pub terms: Arc<Terms>,
    pub handshake_timeout: Duration,
    pub metrics: ListenMetrics,
    pub room: Arc<Semaphore>,
    pub drain: Drain,
}

impl TlsListener {
    pub async fn run(self, threads: Vec<mpsc::Sender<Handover>>) {
        let mut next = 0;
        tokio::select! {
            () = self.drain.begun() => {}
            never = accept_all(&self.listener, &self.metrics, &self.room, |stream, peer, permit| {
                next = (next + 1) % threads.len();
                let (thread, metrics) = (threads[next].clone(), self.metrics.clone());
                let handshake = TlsAcceptor::from(self.server.current()).accept(Socket::direct(stream));
                let (limit, terms) = (self.handshake_timeout, self.terms.clone());
                let drain = self.drain.clone();
                tokio::spawn(async move {
                    let handshake = tokio::select! {
                        handshake = tokio::time::timeout(limit, handshake) => handshake,
                        () = drain.begun() => return,
                    };
                    match handshake {
                        Ok(Ok(session)) => {
                            let common_name = peer_name(&session);
                            let client = Arc::new(Client { peer: Peer::Ip(peer), common_name, terms });
                            match Parked::tls(TlsStream::Server(session)) {
                                // An error means that the thread is draining: the connection closes.
                                Ok(connection) => drop(thread.send(Handover { connection, permit, client }).await),
                                Err(error) => tracing::debug!(%error, "connection lost after its TLS handshake"),
                            }
                        }
                        Ok(Err(error)) => {
                            let reason = failure::reason(&error);
                            tracing::debug!(%peer, reason, %error, "TLS handshake failed");
                            metrics.on_handshake_failed(reason);
                        }
                        Err(_elapsed) => metrics.on_refused("timeout"),
                    }
                });
            }) => match never {},
        }
    }
}

/// The Common Name of the certificate that the client showed.
fn peer_name(session: &server::TlsStream<Socket>) -> Option<String> {
    let (_, session) = session.get_ref();
    leaf::common_name(session.peer_certificates()?.first()?)
}

async fn accept_all(
    listener: &TcpListener,
    metrics: &ListenMetrics,
    room: &Arc<Semaphore>,
    mut serve: impl FnMut(TcpStream, SocketAddr, OwnedSemaphorePermit),
) -> std::convert::Infallible {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                metrics.accepted.inc();
                // Waiting instead would leave clients in the backlog without a word.
                let Ok(permit) = room.clone().try_acquire_owned() else {
                    metrics.on_refused("limit");
                    continue;
                };
                if tune(&stream).is_ok() {
                    serve(stream, peer, permit);
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
