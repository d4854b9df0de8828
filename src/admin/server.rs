//! Connections to the admin port. Whoever makes them must not hold anything: neither a connection
//! for ever, nor all of them, nor memory for an answer that he does not read.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::State;
use super::answer::answer;
use crate::net::socket::tune_to_member;
use crate::tls::server::Server;

/// Serves until the process ends, so that a drain can be watched.
pub async fn run(listener: TcpListener, tls: Option<Server>, state: State) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Ok(permit) = room.clone().try_acquire_owned() else {
            tracing::warn!(%peer, "the admin port has too many connections: this one is closed");
            continue;
        };
        // Whoever takes nothing of an answer for a while is cut off by the system.
        if tune_to_member(&stream).is_err() {
            continue;
        }
        let (tls, state) = (tls.clone(), state.clone());
        tokio::spawn(async move {
            match tls {
                None => serve(stream, &state).await,
                Some(server) => {
                    if let Some(session) = handshake(stream, &server).await {
                        serve(session, &state).await;
                    }
                }
            }
            drop(permit);
        });
    }
}

async fn handshake(stream: TcpStream, server: &Server) -> Option<TlsStream<TcpStream>> {
    let mut config = (*server.current()).clone();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let handshake = TlsAcceptor::from(Arc::new(config)).accept(stream);
    match tokio::time::timeout(HEAD_TIMEOUT, handshake).await {
        Ok(Ok(session)) => Some(session),
        Ok(Err(error)) => {
            tracing::debug!(%error, "TLS handshake of the admin port failed");
            None
        }
        Err(_elapsed) => None,
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, state: &State) {
    let service = service_fn(async |request| Ok::<_, Infallible>(answer(request, state).await));
    let mut connection = pin!(
        hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service)
    );
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = tokio::time::sleep(CONNECTION_LIMIT) => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(LAST_ANSWER_LIMIT, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "admin connection ended");
    }
}

/// Some people and programs look at a node, each by a few connections.
const CONNECTIONS_MAX: usize = 256;

/// For a TLS handshake, and for the head of a request with the pause before it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

const CONNECTION_LIMIT: Duration = Duration::from_secs(600);

const LAST_ANSWER_LIMIT: Duration = Duration::from_secs(30);

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
