//! Reading a unary request whole before it is sent, within a budget. Its bytes count until its
//! answer begins, because until then they wait here or in the connection to the member.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use prometheus::IntGauge;

use super::peek;
use crate::types::call::{Body, Broken};

/// Bytes of requests that were read ahead and are not answered yet.
pub(super) struct Budget {
    used: AtomicUsize,
    gauge: IntGauge,
}

/// Of the budget, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub each: usize,
    pub total: usize,
}

impl Budget {
    pub fn new(gauge: IntGauge) -> Self {
        Self { used: AtomicUsize::new(0), gauge }
    }

    /// Reads `body` to its end. One that is larger than the budget, or announces to be, is
    /// given back as a stream; so is everything when the budget of all requests is used up, and
    /// a request whose message is complete while its client keeps the stream open: etcd answers
    /// that without waiting.
    pub async fn read(&self, mut body: Body, limits: Limits) -> Result<(Body, Hold<'_>), Broken> {
        let mut hold = Hold { budget: self, limits, bytes: 0, announced: 0 };
        let Some(first) = next_data(&mut body).await? else { return Ok((Body::Empty, hold)) };
        // Nearly every request is one frame: it is passed on as it came.
        if body.is_end_stream() && hold.grow_to(first.len()) {
            return Ok((Body::Full(first), hold));
        }
        // Boxed: the few calls that come here must not make the futures of all larger.
        let collected = Box::pin(self.collect(first, body, &mut hold)).await?;
        Ok((collected, hold))
    }

    /// The same of a request outside of gRPC, which ends where its body does.
    pub async fn read_http(&self, mut body: Body, limits: Limits) -> Result<(Body, Hold<'_>), Broken> {
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        let mut hold = Hold { budget: self, limits, bytes: 0, announced };
        if announced > limits.each {
            return Ok((body, hold));
        }
        let mut collected = BytesMut::new();
        while let Some(data) = next_data(&mut body).await? {
            collected.extend_from_slice(&data);
            if collected.len() > limits.each || !hold.grow_to(collected.len()) {
                return Ok((Body::stream(Resumed { ahead: collected.freeze(), rest: body }), hold));
            }
        }
        let whole = if collected.is_empty() { Body::Empty } else { Body::Full(collected.freeze()) };
        Ok((whole, hold))
    }

    async fn collect(&self, first: Bytes, mut body: Body, hold: &mut Hold<'_>) -> Result<Body, Broken> {
        let mut collected = BytesMut::from(first);
        loop {
            let frame = peek::frame_length(&collected);
            hold.announced = frame.unwrap_or(0);
            if hold.announced.max(collected.len()) > hold.limits.each || !hold.grow_to(collected.len()) {
                break;
            }
            let complete = frame.is_some_and(|frame| collected.len() >= frame);
            let next = if complete { arrived(&mut body).await } else { Some(next_data(&mut body).await) };
            match next.transpose()? {
                Some(Some(more)) => collected.extend_from_slice(&more),
                Some(None) => return Ok(Body::Full(collected.freeze())),
                // The message is there, and the client keeps the stream open.
                None => break,
            }
        }
        Ok(Body::stream(Resumed { ahead: collected.freeze(), rest: body }))
    }
}

/// Bytes that one request takes from the budget.
pub(super) struct Hold<'a> {
    budget: &'a Budget,
    limits: Limits,
    bytes: usize,
    /// The length that the request says it has.
    announced: usize,
}

impl Hold<'_> {
    /// Bytes of the request, as far as that is known.
    pub fn length(&self) -> usize {
        self.bytes.max(self.announced)
    }

    fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes - self.bytes;
        let used = self.budget.used.fetch_add(more, Ordering::Relaxed) + more;
        self.bytes = bytes;
        self.budget.gauge.add(more as i64);
        used <= self.limits.total
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
        self.budget.gauge.sub(self.bytes as i64);
    }
}

async fn next_data(body: &mut Body) -> Result<Option<Bytes>, Broken> {
    while let Some(frame) = body.frame().await {
        // A request has no trailers in gRPC; etcd would ignore them too.
        if let Ok(bytes) = frame?.into_data() {
            return Ok(Some(bytes));
        }
    }
    Ok(None)
}

/// The same without waiting: `None` when nothing has arrived.
async fn arrived(body: &mut Body) -> Option<Result<Option<Bytes>, Broken>> {
    let mut next = pin!(next_data(body));
    poll_fn(|cx| match next.as_mut().poll(cx) {
        Poll::Ready(next) => Poll::Ready(Some(next)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// What was read ahead, then the rest.
struct Resumed {
    ahead: Bytes,
    rest: Body,
}

impl HttpBody for Resumed {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.rest).poll_frame(cx);
        }
        // In pieces, so that the receiver's window is asked again between them.
        let piece = self.ahead.len().min(PIECE);
        let piece = self.ahead.split_to(piece);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.size_hint();
        rest.exact().map_or_else(SizeHint::new, |rest| SizeHint::with_exact(rest + self.ahead.len() as u64))
    }
}

/// The frame size of HTTP/2.
const PIECE: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    struct Chunks {
        parts: VecDeque<Bytes>,
        /// The client does not end the request.
        open: bool,
    }

    impl HttpBody for Chunks {
        type Data = Bytes;
        type Error = Broken;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
            match self.parts.pop_front() {
                None if self.open => Poll::Pending,
                part => Poll::Ready(part.map(|bytes| Ok(Frame::data(bytes)))),
            }
        }

        fn is_end_stream(&self) -> bool {
            !self.open && self.parts.is_empty()
        }
    }

    fn chunks(parts: &[&'static [u8]], open: bool) -> Body {
        Body::stream(Chunks { parts: parts.iter().map(|part| Bytes::from_static(part)).collect(), open })
    }

    fn budget(each: usize, total: usize) -> (Budget, Limits) {
        let gauge = IntGauge::new("used", "bytes").unwrap();
        (Budget::new(gauge), Limits { each, total })
    }

    async fn read((budget, limits): &(Budget, Limits), parts: &[&'static [u8]]) -> (bool, Bytes) {
        let (body, _hold) = budget.read(chunks(parts, false), *limits).await.unwrap();
        let whole = matches!(body, Body::Empty | Body::Full(_));
        (whole, body.collect().await.unwrap().to_bytes())
    }

    #[tokio::test]
    async fn a_request_within_the_budget_is_read_whole() {
        let budget = budget(64, 64);
        assert_eq!(read(&budget, &[]).await, (true, Bytes::new()));
        assert_eq!(read(&budget, &[b"\0\0\0\0\x02ab"]).await, (true, "\0\0\0\0\x02ab".into()));
        assert_eq!(read(&budget, &[b"\0\0", b"\0\0\x02a", b"b"]).await, (true, "\0\0\0\0\x02ab".into()));
        assert_eq!(budget.0.used.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_request_that_is_or_announces_to_be_too_long_streams_unchanged() {
        let budget = budget(8, 64);
        assert_eq!(read(&budget, &[b"\0\0\0\0\x06abc", b"def"]).await, (false, "\0\0\0\0\x06abcdef".into()));
        assert_eq!(
            read(&budget, &[b"\0\0\xff\0\0", b"def"]).await,
            (false, b"\0\0\xff\0\0def".as_slice().into())
        );
        assert_eq!(budget.0.used.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_message_whose_client_keeps_the_stream_open_is_not_waited_with() {
        let (budget, limits) = budget(64, 64);
        let request = chunks(&[b"\0\0\0\0\x02ab"], true);
        let (mut body, _hold) = budget.read(request, limits).await.unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "\0\0\0\0\x02ab");
        assert!(!body.is_end_stream());
    }

    #[tokio::test]
    async fn a_request_outside_of_grpc_is_read_to_its_end() {
        let (budget, limits) = budget(8, 64);
        let read = async |parts: &[&'static [u8]]| {
            let (body, _hold) = budget.read_http(chunks(parts, false), limits).await.unwrap();
            let whole = matches!(body, Body::Empty | Body::Full(_));
            (whole, body.collect().await.unwrap().to_bytes())
        };
        assert_eq!(read(&[]).await, (true, Bytes::new()));
        assert_eq!(read(&[b"{", b"}"]).await, (true, "{}".into()));
        assert_eq!(read(&[b"{\"key\"", b":1}", b"..."]).await, (false, "{\"key\":1}...".into()));
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn requests_stream_when_all_together_are_too_long() {
        let budget = budget(64, 4);
        assert_eq!(read(&budget, &[b"\0\0\0\0\x02ab"]).await, (false, "\0\0\0\0\x02ab".into()));
        assert_eq!(read(&budget, &[b"\0\0\0\0\x02", b"ab"]).await, (false, "\0\0\0\0\x02ab".into()));
    }
}
