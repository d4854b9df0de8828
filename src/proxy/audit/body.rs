//! The two directions of a call, as they pass by.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::entry::{End, Entry, Kind};
use super::failure;
use crate::types::call::{Body, Broken, Reply};
use crate::types::status::{Code, GRPC_MESSAGE, grpc_status, percent_decode};
use crate::upstream::From;

/// A request's body.
pub(super) struct Request {
    pub body: Body,
    pub entry: Arc<Entry>,
}

impl HttpBody for Request {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.entry.on_request(data);
        }
        if frame.is_none() || self.body.is_end_stream() {
            self.entry.on_request_end();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A call that has begun. Dropped before its answer has ended, it was given up by its client.
pub(in crate::proxy) struct Open(pub(super) Arc<Entry>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.end(End { code: Code::Canceled, error: None, http: None });
    }
}

impl Open {
    /// Looks at the answer: at once where all of it is here, and as it passes by otherwise.
    pub fn settle(self, reply: Reply) -> Reply {
        let Reply { mut head, body } = reply;
        if let Some(From { endpoint, .. }) = head.extensions.remove() {
            self.0.on_answerer(endpoint);
        }
        let body = match body {
            Body::Empty => {
                self.end(Some(&head.headers), head.status);
                Body::Empty
            }
            Body::Full(data) => {
                self.0.on_answer(&data);
                self.end(None, head.status);
                Body::Full(data)
            }
            Body::Trailers(trailers) => {
                self.end(Some(&trailers), head.status);
                Body::Trailers(trailers)
            }
            Body::Whole(data, trailers) => {
                self.0.on_answer(&data);
                self.end(Some(&trailers), head.status);
                Body::Whole(data, trailers)
            }
            Body::Stream(_) => Body::stream(Answer { body, status: head.status, open: self }),
        };
        Reply { head, body }
    }

    fn end(&self, trailers: Option<&HeaderMap>, status: StatusCode) {
        let is_grpc = self.0.kind == Kind::Grpc;
        let trailers = trailers.filter(|_| is_grpc);
        let code = trailers.and_then(grpc_status).unwrap_or_else(|| Code::of_http(status));
        let text = trailers.and_then(|trailers| trailers.get(&GRPC_MESSAGE));
        let error = text.map(|text| failure::without_quote(percent_decode(text.as_bytes())));
        let error = error.filter(|text| code != Code::Ok && !text.is_empty());
        self.0.end(End { code, error, http: (!is_grpc).then_some(status) });
    }
}

/// An answer's body.
struct Answer {
    body: Body,
    status: StatusCode,
    open: Open,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => match frame.trailers_ref() {
                Some(trailers) => self.open.end(Some(trailers), self.status),
                None => self.open.0.on_answer(frame.data_ref().map_or(&[][..], |data| &data[..])),
            },
            Some(Err(broken)) => {
                let error = Some(broken.to_string());
                self.open.0.end(End { code: Code::Unavailable, error, http: Some(self.status) });
            }
            None => self.open.end(None, self.status),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // Nobody asks for the end of a body whose length was announced.
        if self.body.is_end_stream() {
            self.open.end(None, self.status);
        }
    }
}
