//! Streams of the JSON gateway, line by line.
//!
//! Each message is a line, and etcd writes a short one as one chunk. There are clients that take every
//! chunk for a whole message, so that lines must not be taken apart on the way.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use hyper::body::{Body as HttpBody, Frame};

use crate::types::call::Broken;

/// Gives frames that end where a line does.
pub(super) struct Lines<B> {
    body: B,
    /// The beginning of a line.
    begun: BytesMut,
    /// What came behind it.
    next: Option<Result<Frame<Bytes>, Broken>>,
    ended: bool,
}

impl<B> Lines<B> {
    pub fn of(body: B) -> Self {
        Self { body, begun: BytesMut::new(), next: None, ended: false }
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
            if is_whole || this.begun.len() > LINE_MAX {
                return Poll::Ready(Some(Ok(Frame::data(this.begun.split().freeze()))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.begun.is_empty() && self.next.is_none() && (self.ended || self.body.is_end_stream())
    }
}

/// An event with the longest value that etcd takes by default, and the one before it, in base64.
const LINE_MAX: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt, StreamBody};

    async fn lines(frames: Vec<Result<&'static [u8], Broken>>) -> Vec<Result<Bytes, Broken>> {
        let frames = frames.into_iter().map(|frame| frame.map(|data| Frame::data(Bytes::from_static(data))));
        let mut lines = Lines::of(StreamBody::new(futures_util::stream::iter(frames)));
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
}
