//! A socket that writes once per scheduler pass.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use prometheus::IntCounter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::stream::{Detached, ReadHalf, Stream, WriteHalf};

/// A connection whose writes are gathered.
///
/// It can be detached from the runtime that it was made on and attached on another: a TLS
/// session is set up where it disturbs nobody and then moves to the data path.
pub struct Socket(State);

enum State {
    /// Writes go straight to the kernel: for handshakes, which wait for every flight.
    Direct(Stream),
    Detached,
    Gathering {
        reader: ReadHalf,
        outbox: Arc<Outbox>,
        traffic: Traffic,
    },
}

/// Bytes that crossed a socket, as the kernel counts them.
#[derive(Clone)]
pub struct Traffic {
    pub received: IntCounter,
    pub sent: IntCounter,
}

impl Traffic {
    /// Counts for nobody.
    pub fn detached() -> Self {
        let counter = || IntCounter::new("bytes", "Bytes.").expect("the name is valid");
        Self { received: counter(), sent: counter() }
    }
}

impl Socket {
    pub fn direct(stream: impl Into<Stream>) -> Self {
        Self(State::Direct(stream.into()))
    }

    /// Starts to gather writes; spawns the flusher on the current runtime.
    pub fn gathering(stream: impl Into<Stream>, traffic: Traffic) -> Self {
        let (reader, writer) = stream.into().into_split();
        let outbox = Arc::new(Outbox { writer, sent: traffic.sent.clone(), state: Mutex::default() });
        tokio::spawn(flush(outbox.clone()));
        Self(State::Gathering { reader, outbox, traffic })
    }

    /// Takes the connection out, to be put back by [`Self::attach`] on another runtime.
    pub fn detach(&mut self) -> io::Result<Detached> {
        match std::mem::replace(&mut self.0, State::Detached) {
            State::Direct(stream) => stream.detach(),
            other => {
                self.0 = other;
                Err(io::Error::other("only a direct socket can be detached"))
            }
        }
    }

    /// Puts a connection back in and gathers its writes from now on.
    pub fn attach(&mut self, stream: Detached, traffic: Traffic) -> io::Result<()> {
        *self = Self::gathering(stream.attach()?, traffic);
        Ok(())
    }
}

/// What every TCP connection of ours has: no delay, and a peer that vanished while the
/// connection was idle is noticed within 20 s.
pub fn tune(stream: &TcpStream) -> io::Result<()> {
    let socket = socket2::SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
    let probe = VANISHED_AFTER / 4;
    socket.set_tcp_keepalive(
        &socket2::TcpKeepalive::new().with_time(2 * probe).with_interval(probe).with_retries(2),
    )
}

/// The same for a member, which reads whatever it is sent: one that takes nothing for 20 s has
/// vanished. A client may take as long as it likes.
pub fn tune_to_member(stream: &TcpStream) -> io::Result<()> {
    tune(stream)?;
    socket2::SockRef::from(stream).set_tcp_user_timeout(Some(VANISHED_AFTER))
}

/// What waits to be written. The flusher task and the socket share it.
struct Outbox {
    writer: WriteHalf,
    sent: IntCounter,
    state: Mutex<Pending>,
}

#[derive(Default)]
struct Pending {
    buffer: Vec<u8>,
    /// Bytes at the front of `buffer` that the kernel has already taken.
    written: usize,
    failed: Option<io::ErrorKind>,
    /// The socket is gone: write what there is, once, and end.
    closed: bool,
    flusher: Option<Waker>,
    /// Who waits for room, or for the buffer to be empty.
    producer: Option<Waker>,
}

impl Pending {
    fn len(&self) -> usize {
        self.buffer.len() - self.written
    }

    fn failure(&self) -> Option<io::Error> {
        self.failed.map(io::Error::from)
    }

    fn wake_flusher(&mut self) {
        if let Some(flusher) = self.flusher.take() {
            flusher.wake();
        }
    }

    fn on_written(&mut self, count: usize) {
        self.written += count;
        if self.written == self.buffer.len() {
            self.written = 0;
            // An idle connection keeps no large buffer.
            if self.buffer.capacity() > IDLE_CAPACITY {
                self.buffer = Vec::new();
            } else {
                self.buffer.clear();
            }
        } else if self.written >= HIGH_WATER {
            // A socket that always takes less than there is must not make the buffer grow for ever.
            self.buffer.drain(..self.written);
            self.written = 0;
        }
        if self.len() < HIGH_WATER
            && let Some(producer) = self.producer.take()
        {
            producer.wake();
        }
    }

    fn on_error(&mut self, error: &io::Error) {
        self.failed = Some(error.kind());
        self.buffer = Vec::new();
        self.written = 0;
        if let Some(producer) = self.producer.take() {
            producer.wake();
        }
    }
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.state.lock().expect("nobody panics while holding the outbox")
    }

    fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut pending = self.lock();
        if let Some(error) = pending.failure() {
            return Poll::Ready(Err(error));
        }
        if pending.len() >= HIGH_WATER {
            pending.producer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        pending.buffer.extend_from_slice(bytes);
        pending.wake_flusher();
        Poll::Ready(Ok(bytes.len()))
    }

    /// Ready when the kernel has everything.
    fn poll_drained(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut pending = self.lock();
        if let Some(error) = pending.failure() {
            return Poll::Ready(Err(error));
        }
        if pending.len() == 0 {
            return Poll::Ready(Ok(()));
        }
        pending.producer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Writes what is pending; `Ready` when there is nothing left to do for ever.
    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut pending = self.lock();
        loop {
            if pending.len() == 0 || pending.failed.is_some() {
                if pending.closed {
                    return Poll::Ready(());
                }
                pending.flusher = Some(cx.waker().clone());
                return Poll::Pending;
            }
            match self.writer.try_write(&pending.buffer[pending.written..]) {
                Ok(count) => {
                    self.sent.inc_by(count as u64);
                    pending.on_written(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // A peer that does not read must not keep a dropped connection alive.
                    if pending.closed {
                        return Poll::Ready(());
                    }
                    pending.flusher = Some(cx.waker().clone());
                    let writable = self.writer.poll_write_ready(cx);
                    if let Err(error) = ready!(writable) {
                        pending.on_error(&error);
                    }
                }
                Err(error) => pending.on_error(&error),
            }
        }
    }
}

/// Writes the outbox whenever it was filled. A task that is woken runs behind all that are ready,
/// so that what those add to the outbox leaves in the same system call.
async fn flush(outbox: Arc<Outbox>) {
    std::future::poll_fn(|cx| outbox.poll_flush(cx)).await;
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.0 {
            State::Direct(stream) => Pin::new(stream).poll_read(cx, buffer),
            State::Detached => Poll::Ready(Err(detached())),
            State::Gathering { reader, traffic, .. } => {
                let before = buffer.filled().len();
                ready!(Pin::new(reader).poll_read(cx, buffer))?;
                traffic.received.inc_by((buffer.filled().len() - before) as u64);
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            State::Direct(stream) => Pin::new(stream).poll_write(cx, bytes),
            State::Detached => Poll::Ready(Err(detached())),
            State::Gathering { outbox, .. } => outbox.poll_write(cx, bytes),
        }
    }

    /// Ready at once when gathering: the flusher is already under way.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            State::Direct(stream) => Pin::new(stream).poll_flush(cx),
            State::Detached => Poll::Ready(Err(detached())),
            State::Gathering { outbox, .. } => Poll::Ready(outbox.lock().failure().map_or(Ok(()), Err)),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            State::Direct(stream) => Pin::new(stream).poll_shutdown(cx),
            State::Detached => Poll::Ready(Err(detached())),
            State::Gathering { outbox, .. } => {
                ready!(outbox.poll_drained(cx))?;
                Poll::Ready(outbox.writer.shutdown())
            }
        }
    }

    /// With 'yes' h2 would issue one system call per DATA frame of 256 bytes or more.
    fn is_write_vectored(&self) -> bool {
        false
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let State::Gathering { outbox, .. } = &self.0 {
            let mut pending = outbox.lock();
            pending.closed = true;
            pending.wake_flusher();
        }
    }
}

fn detached() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the socket is detached")
}

/// As long as the keep-alive timeout that etcd's own clients and server use.
const VANISHED_AFTER: Duration = Duration::from_secs(20);

/// Above this a producer waits until the kernel has taken some: larger than a few frames of
/// 16 KiB, so that a fast reader is served in few system calls, small enough for thousands of
/// stalled connections.
const HIGH_WATER: usize = 64 * 1024;

/// A buffer above this is given back when it is empty.
const IDLE_CAPACITY: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    fn traffic() -> Traffic {
        Traffic {
            received: IntCounter::new("received", "bytes").unwrap(),
            sent: IntCounter::new("sent", "bytes").unwrap(),
        }
    }

    async fn pair(traffic: Traffic) -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Socket::gathering(client, traffic), listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn writes_of_one_pass_leave_together_and_in_order() {
        let (mut socket, mut peer) = pair(traffic()).await;
        for part in [b"one ".as_slice(), b"two ", b"three"] {
            socket.write_all(part).await.unwrap();
            socket.flush().await.unwrap();
        }
        let mut buffer = [0; 64];
        let count = peer.read(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..count], b"one two three");
    }

    #[tokio::test]
    async fn a_reader_that_stalls_stops_the_writer_at_the_high_water_mark() {
        let counted = traffic();
        let (mut socket, mut peer) = pair(counted.clone()).await;
        let chunk = vec![7u8; 16 * 1024];
        let mut accepted = 0u64;
        while let Ok(result) =
            tokio::time::timeout(Duration::from_millis(200), socket.write_all(&chunk)).await
        {
            result.unwrap();
            accepted += chunk.len() as u64;
            assert!(accepted < 64 * 1024 * 1024, "no back-pressure");
        }
        assert!(accepted - counted.sent.get() <= (HIGH_WATER + chunk.len()) as u64);
        let mut read = 0;
        let mut buffer = vec![0; 64 * 1024];
        while read < accepted {
            read += peer.read(&mut buffer).await.unwrap() as u64;
        }
    }

    #[tokio::test]
    async fn the_buffer_stays_small_before_a_reader_that_never_catches_up() {
        let (mut socket, mut peer) = pair(traffic()).await;
        let State::Gathering { outbox, .. } = &socket.0 else { panic!("gathering") };
        let outbox = outbox.clone();
        socket2::SockRef::from(&outbox.writer).set_send_buffer_size(32 * 1024).unwrap();
        let reader = tokio::spawn(async move {
            let mut buffer = vec![0; 8 * 1024];
            while peer.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
        });
        let chunk = vec![1u8; 16 * 1024];
        let mut capacity = 0;
        for _ in 0..400 {
            socket.write_all(&chunk).await.unwrap();
            capacity = capacity.max(outbox.lock().buffer.capacity());
        }
        assert!(capacity <= 4 * HIGH_WATER, "{capacity} bytes");
        socket.shutdown().await.unwrap();
        reader.await.unwrap();
    }

    #[tokio::test]
    async fn shutdown_waits_for_the_last_byte() {
        let (mut socket, mut peer) = pair(traffic()).await;
        let sent = vec![3u8; 3 * HIGH_WATER];
        let reader = tokio::spawn(async move {
            let mut received = Vec::new();
            peer.read_to_end(&mut received).await.unwrap();
            received
        });
        socket.write_all(&sent).await.unwrap();
        socket.shutdown().await.unwrap();
        assert_eq!(reader.await.unwrap(), sent);
    }

    #[tokio::test]
    async fn a_lost_peer_is_an_error_not_a_hang() {
        let (mut socket, peer) = pair(traffic()).await;
        socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
        drop(peer);
        let chunk = vec![0u8; 1024];
        let lost = async {
            while socket.write_all(&chunk).await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), lost).await.unwrap();
    }
}
