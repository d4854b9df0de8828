//! The bytes of an HTTP/2 connection on their way between the client and the HTTP/2 library, which
//! answers pings without a word and waits for a head as long as it takes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::{self, Incoming, Walker};
use super::pings::{self, Pings};
use super::pulse::Seen;
use crate::net::transport::Transport;

pub(super) struct Watched {
    transport: Transport,
    incoming: Incoming,
    outgoing: Walker,
    /// Headers or data were sent since the last ping.
    answered: bool,
    pings: Pings,
    signs: Arc<Signs>,
}

/// What is known of the connection, for whoever serves it.
#[derive(Default)]
pub(super) struct Signs {
    reads: AtomicU64,
    /// 0 for nothing.
    unfinished: AtomicU64,
    streams: AtomicUsize,
    /// The client pinged too often: for the HTTP/2 library its bytes have ended.
    sent_away: AtomicBool,
}

impl Signs {
    pub fn seen(&self) -> Seen {
        let unfinished = self.unfinished.load(Ordering::Relaxed);
        Seen {
            reads: self.reads.load(Ordering::Relaxed),
            unfinished: (unfinished > 0).then_some(unfinished),
            streams: self.streams.load(Ordering::Relaxed),
        }
    }

    pub fn set_streams(&self, streams: usize) {
        self.streams.store(streams, Ordering::Relaxed);
    }

    pub fn is_sent_away(&self) -> bool {
        self.sent_away.load(Ordering::Relaxed)
    }
}

impl Watched {
    pub fn new(transport: Transport, min_time: Duration, signs: Arc<Signs>) -> Self {
        Self {
            transport,
            incoming: Incoming::new(),
            outgoing: Walker::default(),
            answered: false,
            pings: Pings::new(min_time),
            signs,
        }
    }

    /// Looks at what has come in. `false` when the client has to go.
    fn observe(&mut self, bytes: &[u8]) -> bool {
        let known = self.incoming.last_stream();
        let pings = self.incoming.feed(bytes);
        self.signs.reads.fetch_add(1, Ordering::Relaxed);
        self.signs.unfinished.store(self.incoming.unfinished().unwrap_or(0), Ordering::Relaxed);
        // A call that came with the ping is not counted yet: clients wake up with both.
        let opened = usize::from(self.incoming.last_stream() > known);
        (0..pings).all(|_| {
            let streams = self.signs.streams.load(Ordering::Relaxed).max(opened);
            let answered = std::mem::take(&mut self.answered);
            !self.pings.handle_ping(Instant::now(), answered, streams)
        })
    }

    /// Says why, as far as there is room to say it at once: the connection closes in any case.
    fn send_away(&mut self, cx: &mut Context<'_>) {
        self.signs.sent_away.store(true, Ordering::Relaxed);
        if !self.outgoing.is_between_frames() {
            return;
        }
        let farewell = frames::go_away(self.incoming.last_stream(), pings::CODE, pings::DEBUG_DATA);
        let mut transport = Pin::new(&mut self.transport);
        if transport.as_mut().poll_write(cx, &farewell).is_ready() {
            // Whatever becomes of it: nothing is written after it.
            let _flushed = transport.poll_flush(cx);
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.signs.is_sent_away() {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.transport).poll_read(cx, buffer))?;
        if !this.observe(&buffer.filled()[before..]) {
            buffer.set_filled(before);
            this.send_away(cx);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.signs.is_sent_away() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let written = ready!(Pin::new(&mut this.transport).poll_write(cx, bytes))?;
        let answered = &mut this.answered;
        this.outgoing.walk(&bytes[..written], |head| *answered |= head.kind <= frames::HEADERS);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().transport).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().transport).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }
}
