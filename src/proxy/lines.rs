//! Streams of the JSON gateway, line by line.
//!
//! Each message is a line, and etcd writes a short one as one chunk. There are clients that take every
//! chunk for a whole message, so that lines must not be taken apart on the way. Only where too much waits
//! already, they pass as they come.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use hyper::body::{Body as HttpBody, Frame};

use super::held::Held;
use crate::types::call::Broken;

/// Gives frames that end where a line does.
pub(super) struct Lines<B> {
    body: B,
    /// The beginning of a line.
    begun: BytesMut,
    /// What came behind it.
    next: Option<Result<Frame<Bytes>, Broken>>,
    ended: bool,
    /// That line, or the one that was given last: whoever asks for the next one has room again.
    held: Held,
    /// What all streams together may hold.
    total: usize,
}

impl<B> Lines<B> {
    pub fn of(body: B, held: Held, total: usize) -> Self {
        Self { body, begun: BytesMut::new(), next: None, ended: false, held, total }
    }
}

impl<B: HttpBody<Data = Bytes, Error = Broken> + Unpin> HttpBody for Lines<B> {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = &mut *self;
        if let Some(next) = this.next.take() {
            return Poll::Ready(Some(next));
        }
        this.held.set(this.begun.len(), this.total);
        loop {
            if this.ended {
                return Poll::Ready(None);
            }
            let data = match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) if frame.is_data() => frame.into_data().unwrap_or_default(),
                other => {
                    this.ended = other.is_none();
                    if this.begun.is_empty() {
                        return Poll::Ready(other);
                    }
                    this.next = other;
                    return Poll::Ready(Some(Ok(Frame::data(this.begun.split().freeze()))));
                }
            };
            let is_whole = data.ends_with(b"\n");
            if is_whole && this.begun.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            this.begun.extend_from_slice(&data);
            let fits = this.held.set(this.begun.len(), this.total);
            if is_whole || !fits || this.begun.len() > LINE_MAX {
                return Poll::Ready(Some(Ok(Frame::data(this.begun.split().freeze()))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.begun.is_empty() && self.next.is_none() && (self.ended || self.body.is_end_stream())
    }
}

/// Frames as they leave when they come like this, and what is held then.
#[cfg(test)]
pub(crate) fn in_lines(frames: Vec<Bytes>, total: usize) -> (Vec<Bytes>, i64) {
    use futures_util::{FutureExt, stream};
    use http_body_util::{BodyExt, StreamBody};

    let gauge = prometheus::IntGauge::new("held", "bytes").expect("the name is valid");
    let frames = stream::iter(frames.into_iter().map(|frame| Ok(Frame::data(frame))));
    let mut lines = Lines::of(StreamBody::new(frames), Held::new(&gauge), total);
    let mut seen = Vec::new();
    while let Some(frame) = lines.frame().now_or_never().expect("nothing is waited for") {
        seen.extend(frame.ok().and_then(|frame| frame.into_data().ok()));
    }
    (seen, gauge.get())
}

/// An event with the longest value that etcd takes by default, and the one before it, in base64.
const LINE_MAX: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt, StreamBody};
    use prometheus::IntGauge;

    fn held() -> Held {
        Held::new(&IntGauge::new("held", "bytes").unwrap())
    }

    async fn lines(frames: Vec<Result<&'static [u8], Broken>>) -> Vec<Result<Bytes, Broken>> {
        let frames = frames.into_iter().map(|frame| frame.map(|data| Frame::data(Bytes::from_static(data))));
        let mut lines = Lines::of(StreamBody::new(futures_util::stream::iter(frames)), held(), usize::MAX);
        let mut seen = Vec::new();
        while let Some(frame) = lines.frame().await {
            seen.push(frame.map(|frame| frame.into_data().unwrap()));
        }
        assert!(lines.is_end_stream());
        seen
    }

    #[tokio::test]
    async fn frames_end_where_lines_do() {
        let seen = lines(vec![Ok(b"{1}\n"), Ok(b"{2"), Ok(b"2}"), Ok(b"\n"), Ok(b"{3}\n{4}\n"), Ok(b"{5}")]);
        assert_eq!(seen.await, ["{1}\n", "{22}\n", "{3}\n{4}\n", "{5}"].map(|line| Ok(Bytes::from(line))));
        let broken = || Broken::Connection("lost".to_owned());
        let seen = lines(vec![Ok(b"{1"), Err(broken())]).await;
        assert_eq!(seen, [Ok(Bytes::from("{1")), Err(broken())]);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_passed_on_as_it_comes() {
        static LONG: [u8; LINE_MAX + 1] = [b'a'; LINE_MAX + 1];
        let seen = lines(vec![Ok(b"b"), Ok(&LONG), Ok(b"\n")]).await;
        let lengths: Vec<usize> = seen.iter().map(|line| line.as_ref().unwrap().len()).collect();
        assert_eq!(lengths, [LONG.len() + 1, 1]);
    }

    #[tokio::test]
    async fn lines_are_passed_on_as_they_come_where_all_together_are_too_long() {
        let gauge = IntGauge::new("held", "bytes").unwrap();
        let of = |frames: [&'static str; 5]| {
            let frames = frames.map(|frame| Ok::<_, Broken>(Frame::data(Bytes::from(frame))));
            Lines::of(StreamBody::new(futures_util::stream::iter(frames)), Held::new(&gauge), 10)
        };
        let mut first = of(["12345", "678\n", "", "", ""]);
        let mut second = of(["ab", "cd", "ef\n", "gh", "\n"]);
        let next = async |lines: &mut Lines<_>| lines.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(next(&mut first).await, "12345678\n");
        assert_eq!(gauge.get(), 9, "until its client has room for another");
        assert_eq!(next(&mut second).await, "ab");
        drop(first);
        assert_eq!(next(&mut second).await, "cdef\n");
        assert_eq!(next(&mut second).await, "gh\n");
        drop(second);
        assert_eq!(gauge.get(), 0);
    }
}
