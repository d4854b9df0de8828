//! Connections for hyper's client: always to the same member, whatever host a request names.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::speech::{Heard, Speech, Voice};
use crate::net::socket::Traffic;
use crate::net::transport::Transport;
use crate::upstream::dial::{Dialer, Protocol};
use crate::upstream::view::Endpoint;

#[derive(Clone)]
pub(super) struct Connector {
    /// At least one. Of several nobody knows which is the member's.
    addresses: Arc<[Endpoint]>,
    /// The one that is tried first.
    next: Arc<AtomicUsize>,
    dialer: Dialer,
    traffic: Traffic,
    speech: Arc<Speech>,
}

impl Connector {
    pub fn new(endpoint: &Endpoint, dialer: Dialer, traffic: Traffic, speech: &Arc<Speech>) -> Self {
        let addresses: Arc<[Endpoint]> = dialer.http_of(endpoint).into();
        // So that several members are spread over them.
        let next = Arc::new(AtomicUsize::new(endpoint.id.0 as usize % addresses.len()));
        Self { addresses, next, dialer, traffic, speech: speech.clone() }
    }

    async fn connect(self) -> io::Result<Connected1> {
        let first = self.next.load(Ordering::Relaxed);
        let mut failure = None;
        for at in (first..first + self.addresses.len()).map(|at| at % self.addresses.len()) {
            match self.dialer.dial(&self.addresses[at], Protocol::H1).await {
                Ok(parked) => {
                    self.next.store(at, Ordering::Relaxed);
                    let transport = parked.attach(self.traffic)?;
                    let heard = Arc::default();
                    return Ok(Connected1 {
                        io: TokioIo::new(Listening {
                            transport,
                            heard: Arc::clone(&heard),
                            speech: Some(self.speech),
                            tls: self.addresses[at].address.tls,
                        }),
                        heard,
                    });
                }
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| io::Error::other("no address")))
    }
}

impl tower_service::Service<Uri> for Connector {
    type Response = Connected1;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Connected1>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        Box::pin(self.clone().connect())
    }
}

/// A transport in the form that hyper's client wants.
pub(super) struct Connected1 {
    io: TokioIo<Listening>,
    heard: Arc<Heard>,
}

impl Connection for Connected1 {
    fn connected(&self) -> Connected {
        Connected::new().extra(self.heard.clone())
    }
}

impl Read for Connected1 {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl Write for Connected1 {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Hears how the connection begins to answer.
struct Listening {
    transport: Transport,
    heard: Arc<Heard>,
    /// Until then.
    speech: Option<Arc<Speech>>,
    tls: bool,
}

impl AsyncRead for Listening {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.transport).poll_read(cx, buffer));
        if let Some(speech) = self.speech.take() {
            // A reset is as mute as an end.
            let voice = Voice::of(&buffer.filled()[before..]);
            self.heard.set(voice);
            // Without TLS, who speaks gRPC only says so.
            if self.tls || voice != Voice::Mute {
                speech.on_voice(voice, Instant::now());
            }
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Listening {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.transport).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_shutdown(cx)
    }
}
