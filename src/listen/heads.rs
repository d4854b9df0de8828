//! How long the head of a request in HTTP/1.1 takes, and the pause before it: hyper's own limit is for
//! both together.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::net::transport::Transport;
use crate::types::call::{Body, Broken};

/// Where one connection stands. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Heads(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// Counts the heads that have begun.
    begun: AtomicU64,
    /// The last one has not ended.
    open: AtomicBool,
    /// A request is being answered: what comes in is its body.
    busy: AtomicBool,
}

impl Heads {
    fn on_bytes(&self) {
        let Inner { begun, open, busy } = &*self.0;
        if !busy.load(Ordering::Relaxed) && !open.swap(true, Ordering::Relaxed) {
            begun.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A head has ended. The answer is over when what is returned is dropped.
    pub fn on_request(&self) -> Answering {
        self.0.open.store(false, Ordering::Relaxed);
        self.0.busy.store(true, Ordering::Relaxed);
        Answering(self.clone())
    }

    /// Ends when a head takes longer than `limit`.
    pub async fn overdue(&self, limit: Duration) {
        self.lasts(limit, |inner| inner.open.load(Ordering::Relaxed)).await;
    }

    /// Ends when no head has begun for `limit`, and nothing is being answered.
    pub async fn idle(&self, limit: Duration) {
        self.lasts(limit, |inner| !inner.busy.load(Ordering::Relaxed)).await;
    }

    /// Ends when something has been so for `limit`, of one and the same head. To be polled whenever
    /// the connection has been.
    async fn lasts(&self, limit: Duration, is_so: impl Fn(&Inner) -> bool) {
        let mut timer: Option<(u64, Pin<Box<Sleep>>)> = None;
        poll_fn(|cx| {
            if !is_so(&self.0) {
                timer = None;
                return Poll::Pending;
            }
            let begun = self.0.begun.load(Ordering::Relaxed);
            let (_, timer) = match &mut timer {
                Some(running) if running.0 == begun => running,
                other => other.insert((begun, Box::pin(sleep(limit)))),
            };
            timer.as_mut().poll(cx)
        })
        .await;
    }
}

/// While a request is being answered.
pub(super) struct Answering(Heads);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.0.busy.store(false, Ordering::Relaxed);
    }
}

/// The body of an answer.
pub(super) struct Answer {
    pub body: Body,
    pub _answering: Answering,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection whose heads are looked for.
pub(super) struct Watched {
    pub transport: Transport,
    pub heads: Heads,
}

impl AsyncRead for Watched {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.transport).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            this.heads.on_bytes();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().transport).poll_write(cx, bytes)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::time::Instant;
    use tokio::time::timeout;

    #[tokio::test]
    async fn a_head_has_its_time_from_its_first_byte_and_a_body_or_a_pause_has_none() {
        let (heads, limit) = (Heads::default(), Duration::from_millis(50));
        let is_over = async |heads: &Heads| timeout(2 * limit, heads.overdue(limit)).await.is_ok();
        assert!(!is_over(&heads).await);
        heads.on_bytes();
        let answering = heads.on_request();
        heads.on_bytes();
        assert!(!is_over(&heads).await);
        drop(answering);
        assert!(!is_over(&heads).await);
        heads.on_bytes();
        let started = Instant::now();
        heads.on_bytes();
        heads.overdue(limit).await;
        assert!(started.elapsed() >= limit);
    }

    #[tokio::test]
    async fn a_connection_is_idle_when_no_head_has_begun_for_a_while_and_all_is_answered() {
        let (heads, limit) = (Heads::default(), Duration::from_millis(50));
        let mut idle = pin!(heads.idle(limit));
        assert!(poll_fn(|cx| Poll::Ready(idle.as_mut().poll(cx).is_pending())).await);
        sleep(limit / 2).await;
        // One that comes and goes between two looks.
        heads.on_bytes();
        drop(heads.on_request());
        let answered = Instant::now();
        idle.await;
        assert!(answered.elapsed() >= limit);
        let answering = heads.on_request();
        assert!(timeout(2 * limit, heads.idle(limit)).await.is_err());
        drop(answering);
        heads.idle(limit).await;
    }
}
