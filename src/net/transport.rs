//! A byte stream to a peer: plain or TLS, perhaps with bytes that were already read from it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

use super::socket::{Socket, Traffic};
use super::stream::{Detached, Stream};

pub struct Transport {
    /// Read ahead by a sniffer; handed out first.
    ahead: Bytes,
    session: Session,
}

enum Session {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

impl Transport {
    pub fn plain(socket: Socket) -> Self {
        Self { ahead: Bytes::new(), session: Session::Plain(socket) }
    }

    pub fn tls(stream: TlsStream<Socket>) -> Self {
        Self { ahead: Bytes::new(), session: Session::Tls(Box::new(stream)) }
    }

    /// Gives bytes back that were read from it.
    pub fn unread(&mut self, bytes: Bytes) {
        debug_assert!(self.ahead.is_empty(), "only one sniffer reads ahead");
        self.ahead = bytes;
    }
}

/// An established connection without a runtime, to be attached on the data path's.
pub struct Parked {
    session: Option<Box<TlsStream<Socket>>>,
    stream: Detached,
}

impl Parked {
    pub fn plain(stream: impl Into<Stream>) -> io::Result<Self> {
        Ok(Self { session: None, stream: stream.into().detach()? })
    }

    pub fn tls(mut session: TlsStream<Socket>) -> io::Result<Self> {
        let stream = session.get_mut().0.detach()?;
        Ok(Self { session: Some(Box::new(session)), stream })
    }

    /// Attaches to the current runtime, gathering writes.
    pub fn attach(self, traffic: Traffic) -> io::Result<Transport> {
        match self.session {
            Some(mut session) => {
                session.get_mut().0.attach(self.stream, traffic)?;
                Ok(Transport { ahead: Bytes::new(), session: Session::Tls(session) })
            }
            None => Ok(Transport::plain(Socket::gathering(self.stream.attach()?, traffic))),
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let count = self.ahead.len().min(buffer.remaining());
            buffer.put_slice(&self.ahead[..count]);
            self.ahead.advance(count);
            return Poll::Ready(Ok(()));
        }
        match &mut self.session {
            Session::Plain(socket) => Pin::new(socket).poll_read(cx, buffer),
            Session::Tls(session) => Pin::new(session).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.session {
            Session::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Session::Tls(session) => Pin::new(session).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.session {
            Session::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Session::Tls(session) => Pin::new(session).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.session {
            Session::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Session::Tls(session) => Pin::new(session).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        false
    }
}
