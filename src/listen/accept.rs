//! Accepting connections.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_rustls::{TlsAcceptor, TlsStream, server};

use super::capacity::{Capacity, Entrance, Slot};
use super::conn::{self, Context, Counted};
use super::metrics::ListenMetrics;
use super::tcp;
use crate::net::listener::{Accepting, Listener};
use crate::net::socket::Socket;
use crate::net::stream::Stream;
use crate::net::transport::{Parked, Transport};
use crate::proxy::{Drain, Proxy};
use crate::tls::server::Server;
use crate::tls::{failure, leaf};
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

    /// Accepts connections that pass to a member as they are, until the drain begins. `own` are all
    /// addresses at which such come in.
    pub async fn run_tcp(&self, listener: Accepting, entrance: Entrance, own: Arc<[SocketAddr]>) {
        self.accept(&listener, &entrance, |stream, _peer, slot| {
            self.spawn(slot, |context| tcp::serve(stream, context, own.clone()));
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
        let Context { drain, metrics, .. } = &*self.context;
        accept(listener, drain, metrics, entrance, serve).await;
    }

    fn spawn<F>(&self, slot: Slot, serve: impl FnOnce(Arc<Context>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let held = (slot, self.open.clone(), Counted::new(&self.context.metrics.connections));
        // Boxed, because a future that is moved into another takes its room twice.
        let served = Box::pin(serve(self.context.clone()));
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

/// Accepts TLS connections away from the data path and hands them to its threads in turn.
pub struct TlsListener {
    pub listener: Listener,
    pub server: Server,
    pub entrance: Entrance,
    pub terms: Arc<Terms>,
    pub capacity: Arc<Capacity>,
    pub metrics: ListenMetrics,
    pub drain: Drain,
}

impl TlsListener {
    /// Until the drain begins.
    pub async fn run(self, threads: Vec<mpsc::Sender<Handover>>) -> io::Result<()> {
        let listener = self.listener.try_clone()?.attach()?;
        let mut next = 0;
        accept(&listener, &self.drain, &self.metrics, &self.entrance, |stream, peer, slot| {
            next = (next + 1) % threads.len();
            tokio::spawn(self.shake_hands(stream, peer, slot, threads[next].clone()));
        })
        .await;
        Ok(())
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
                Ok(Ok(session)) => {
                    let common_name = peer_name(&session);
                    let client = Arc::new(Client { peer, common_name, terms });
                    match Parked::tls(TlsStream::Server(session)) {
                        // An error means that the thread is draining: the connection closes.
                        Ok(connection) => drop(thread.send(Handover { connection, slot, client }).await),
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
        }
    }
}

/// The Common Name of the certificate that the client showed.
fn peer_name(session: &server::TlsStream<Socket>) -> Option<String> {
    let (_, session) = session.get_ref();
    leaf::common_name(session.peer_certificates()?.first()?)
}

/// Until the drain begins, and those in the backlog at that moment have been accepted: they have
/// connected, and would be reset.
async fn accept(
    listener: &Accepting,
    drain: &Drain,
    metrics: &ListenMetrics,
    entrance: &Entrance,
    serve: impl FnMut(Stream, Peer, Slot),
) {
    tokio::select! {
        biased;
        never = accept_all(listener, metrics, entrance, serve) => match never {},
        () = drain.backlog_ends() => {}
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

#[cfg(test)]
mod tests {
    use super::super::capacity::tests::limits;
    use super::*;
    use crate::proxy::drain;
    use crate::telemetry::metrics::Metrics;

    #[tokio::test]
    async fn who_has_connected_before_the_drain_began_is_accepted() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let listener = Listener::Tcp(listener).attach().unwrap();
        let clients: Vec<_> = (0..100).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
        let (signal, drain) = drain::channel();
        signal.begin(Duration::ZERO);
        let (metrics, mut accepted) = (ListenMetrics::new(&Metrics::new()), Vec::new());
        let entrance = Entrance::new(Capacity::new(limits(1000, None)), None);
        accept(&listener, &drain, &metrics, &entrance, |stream, _, slot| accepted.push((stream, slot))).await;
        assert_eq!(accepted.len(), clients.len());
    }
}
