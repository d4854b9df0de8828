//! The answer of a member, and what ends with it.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::response::Parts;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::sync::futures::OwnedNotified;
use tokio::task::AbortHandle;

use super::link::{GIVEN_UP, Lease};
use super::metrics::Counted;
use crate::net::h2_body::Received;
use crate::types::call::Broken;
use crate::types::ids::{ClusterId, EndpointId, Term};

pub struct Answer {
    pub head: Parts,
    pub body: AnswerBody,
    pub from: From,
}

/// Who answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct From {
    pub endpoint: EndpointId,
    /// It led the cluster when the call was sent.
    pub is_leader: bool,
    /// The cluster, as [`View::epoch`](super::view::View) counts them.
    pub epoch: u64,
    /// The id of the cluster that calls are meant for, where it was known by then.
    pub cluster: Option<ClusterId>,
    /// Of the last known leader, when the call was sent.
    pub term: Term,
}

impl From {
    /// Whether an answer that says it is of `cluster` came from another one than was meant.
    pub fn is_foreign(&self, cluster: ClusterId) -> bool {
        self.cluster.is_some_and(|expected| expected != cluster)
    }
}

/// Gives first what was gathered.
pub struct AnswerBody {
    pub data: Option<Bytes>,
    pub trailers: Option<HeaderMap>,
    rest: Source,
}

/// Ends when a member is given up.
pub struct Cut {
    given_up: Pin<Box<OwnedNotified>>,
    /// A stream of the member's, as long as somebody waits for this.
    _counted: Option<Counted>,
}

impl Cut {
    pub(super) fn new(given_up: OwnedNotified, counted: Option<Counted>) -> Self {
        let mut given_up = Box::pin(given_up);
        // So that none is missed from now on.
        given_up.as_mut().enable();
        Self { given_up, _counted: counted }
    }
}

impl Future for Cut {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.given_up.as_mut().poll(cx)
    }
}

enum Source {
    /// The trailers were the end.
    Ended,
    H1 {
        incoming: Incoming,
        /// Its member is given up.
        cut: Cut,
    },
    H2 {
        received: Received,
        _exchange: Exchange,
    },
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

impl Answer {
    pub(super) fn new(head: Parts, body: AnswerBody, from: From) -> Self {
        Self { head, body, from }
    }

    /// Waits for the end of a body, or for as much of it as is gathered: what is lost until then is lost
    /// before the client has seen any of it.
    pub async fn gather_body(&mut self) -> Result<(), Broken> {
        let body = &mut self.body;
        let mut gathered = BytesMut::new();
        while gathered.len() < GATHERED_MAX
            && let Some(frame) = body.rest.next().await.transpose()?
        {
            match frame.into_trailers() {
                Ok(trailers) => body.trailers = Some(trailers),
                Err(data) => gathered.extend_from_slice(&data.into_data().unwrap_or_default()),
            }
        }
        body.data = (!gathered.is_empty()).then(|| gathered.freeze());
        Ok(())
    }

    /// Waits for the first data, and where that is one gRPC message for the trailers behind it: what
    /// is lost until then is lost before the client has seen any of it.
    pub async fn gather_message(&mut self) -> Result<(), Broken> {
        let body = &mut self.body;
        if body.rest.is_end_stream() {
            return Ok(());
        }
        let first = loop {
            let Some(frame) = body.rest.next().await.transpose()? else {
                return Err(Broken::Connection(NO_TRAILERS.to_owned()));
            };
            if frame.data_ref().is_none_or(|data| !data.is_empty()) {
                break frame;
            }
        };
        match first.into_trailers() {
            Ok(trailers) => body.end(trailers),
            Err(data) => {
                let data = data.into_data().unwrap_or_default();
                let whole = is_one_message(&data);
                body.data = Some(data);
                while whole && body.trailers.is_none() {
                    let next = body.rest.next().await.transpose()?;
                    let next = next.ok_or_else(|| Broken::Connection(NO_TRAILERS.to_owned()))?;
                    match next.into_trailers() {
                        Ok(trailers) => body.end(trailers),
                        Err(more) => {
                            let more = more.into_data().unwrap_or_default();
                            if !more.is_empty() {
                                // Not unary: it is passed on as it comes.
                                let data = body.data.take().unwrap_or_default();
                                body.data = Some([data, more].concat().into());
                                break;
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether all of it is here.
    pub fn is_complete(&self) -> bool {
        matches!(self.body.rest, Source::Ended)
    }

    /// The same once more, where all of it is here.
    pub fn copy(&self) -> Option<Self> {
        let AnswerBody { data, trailers, rest: Source::Ended } = &self.body else { return None };
        let body = AnswerBody { data: data.clone(), trailers: trailers.clone(), rest: Source::Ended };
        Some(Self { head: self.head.clone(), body, from: self.from })
    }
}

/// What an answer waits for before its first byte is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gather {
    /// The end of a body that is not gRPC, if that is near.
    Body,
    /// One gRPC message and the trailers behind it.
    Message,
}

/// Nearly all answers are shorter, and a longer one should not wait here for its end.
const GATHERED_MAX: usize = 64 << 10;

const NO_TRAILERS: &str = "the answer has no trailers";

/// Whether this is exactly one gRPC frame.
fn is_one_message(data: &[u8]) -> bool {
    let header = data.first_chunk::<5>();
    header.is_some_and(|header| {
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
        data.len() == header.len() + length as usize
    })
}

impl Source {
    async fn next(&mut self) -> Option<Result<Frame<Bytes>, Broken>> {
        poll_fn(|cx| self.poll_frame(cx)).await
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self {
            Self::Ended => Poll::Ready(None),
            Self::H1 { incoming, cut } => match Pin::new(incoming).poll_frame(cx) {
                Poll::Pending => {
                    ready!(Pin::new(cut).poll(cx));
                    Poll::Ready(Some(Err(Broken::Connection(GIVEN_UP.to_owned()))))
                }
                Poll::Ready(frame) => {
                    let broken = |error: hyper::Error| Broken::Connection(error.to_string());
                    Poll::Ready(frame.map(|frame| frame.map_err(broken)))
                }
            },
            Self::H2 { received, .. } => Pin::new(received).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Ended => true,
            Self::H1 { incoming, .. } => incoming.is_end_stream(),
            Self::H2 { received, .. } => received.is_end_stream(),
        }
    }
}

impl AnswerBody {
    pub(super) fn h1(incoming: Incoming, cut: Cut) -> Self {
        Self { data: None, trailers: None, rest: Source::H1 { incoming, cut } }
    }

    pub(super) fn ended() -> Self {
        Self { data: None, trailers: None, rest: Source::Ended }
    }

    pub(super) fn h2(received: Received, exchange: Exchange) -> Self {
        Self { data: None, trailers: None, rest: Source::H2 { received, _exchange: exchange } }
    }

    /// Ends when its member is given up, for what becomes of a connection that was switched.
    pub fn cut(self) -> Option<Cut> {
        match self.rest {
            Source::H1 { cut, .. } => Some(cut),
            Source::Ended | Source::H2 { .. } => None,
        }
    }

    fn end(&mut self, trailers: HeaderMap) {
        self.trailers = Some(trailers);
        self.rest = Source::Ended;
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if let Some(data) = self.data.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if let Some(trailers) = self.trailers.take() {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        self.rest.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && self.trailers.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.rest {
            Source::H1 { incoming, .. } => {
                let ahead = self.data.as_ref().map_or(0, Bytes::len) as u64;
                let rest = incoming.size_hint().exact();
                rest.map_or_else(SizeHint::new, |rest| SizeHint::with_exact(rest + ahead))
            }
            Source::Ended | Source::H2 { .. } => SizeHint::default(),
        }
    }
}
