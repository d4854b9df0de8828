//! The answer of a member, and what ends with it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::response::Parts;
use hyper::body::{Body as HttpBody, Frame, Incoming};
use tokio::task::AbortHandle;

use super::link::Lease;
use crate::net::h2_body::Received;
use crate::types::call::Broken;

pub struct Answer {
    pub head: Parts,
    pub body: AnswerBody,
}

pub struct AnswerBody(Source);

enum Source {
    H1(Incoming),
    H2 { received: Received, _exchange: Exchange },
}

/// An open stream towards a member. Dropping it resets the stream, if it has not ended.
pub(super) struct Exchange {
    pub _lease: Lease,
    /// The task that still sends the request.
    pub sending: Option<AbortHandle>,
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(sending) = &self.sending {
            sending.abort();
        }
    }
}

impl AnswerBody {
    pub(super) fn h1(incoming: Incoming) -> Self {
        Self(Source::H1(incoming))
    }

    pub(super) fn h2(received: Received, exchange: Exchange) -> Self {
        Self(Source::H2 { received, _exchange: exchange })
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match &mut self.0 {
            Source::H1(incoming) => {
                let frame = ready!(Pin::new(incoming).poll_frame(cx));
                Poll::Ready(frame.map(|frame| frame.map_err(|error| Broken::Connection(error.to_string()))))
            }
            Source::H2 { received, .. } => Pin::new(received).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::H1(incoming) => incoming.is_end_stream(),
            Source::H2 { received, .. } => received.is_end_stream(),
        }
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match &self.0 {
            Source::H1(incoming) => incoming.size_hint(),
            Source::H2 { .. } => hyper::body::SizeHint::default(),
        }
    }
}
