//! The bodies of a call whose messages are edited.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame};
use tokio::sync::oneshot;

use super::flow::Flow;
use crate::types::call::{Body, Broken};
use crate::types::status::Status;

/// What the client asks for.
pub(super) struct Request {
    pub body: Body,
    pub flow: Flow,
    /// Told why the call must end; gone then.
    pub refused: Option<oneshot::Sender<Status>>,
}

impl HttpBody for Request {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = &mut *self;
        while this.refused.is_some() {
            let Some(frame) = ready!(Pin::new(&mut this.body).poll_frame(cx)?) else {
                return Poll::Ready(this.flow.rest().map(|rest| Ok(Frame::data(rest))));
            };
            // A request has no trailers in gRPC.
            let Ok(data) = frame.into_data() else { continue };
            match this.flow.on_data(data) {
                Ok(edited) if edited.is_empty() => {}
                Ok(edited) => return Poll::Ready(Some(Ok(Frame::data(edited)))),
                Err(status) => {
                    // Nobody listens any longer where the client has gone.
                    let _told = this.refused.take().map(|refused| refused.send(status));
                }
            }
        }
        // As of a client that left: what was sent of the call is given up.
        Poll::Ready(Some(Err(Broken::Connection("etcdlet refused the request".to_owned()))))
    }

    fn is_end_stream(&self) -> bool {
        self.refused.is_some() && self.flow.is_empty() && self.body.is_end_stream()
    }
}

/// What the client is told.
pub(super) struct Answer {
    body: Body,
    flow: Flow,
    /// Of the request, while that may still be read.
    refused: Option<oneshot::Receiver<Status>>,
    /// Edited, and not passed on yet.
    ready: Bytes,
    done: bool,
}

impl Answer {
    pub fn new(body: Body, flow: Flow, refused: oneshot::Receiver<Status>) -> Self {
        let refused = (!refused.is_terminated()).then_some(refused);
        Self { body, flow, refused, ready: Bytes::new(), done: false }
    }

    fn refused(&mut self, cx: &mut Context<'_>) -> Option<Status> {
        let Poll::Ready(refused) = Pin::new(self.refused.as_mut()?).poll(cx) else { return None };
        self.refused = None;
        refused.ok()
    }

    fn end(&mut self, status: &Status) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.done = true;
        // The call behind it ends now, and not when the client has read the end.
        self.body = Body::Empty;
        Poll::Ready(Some(Ok(Frame::trailers(status.trailers()))))
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = &mut *self;
        if this.done {
            return Poll::Ready(None);
        }
        if let Some(status) = this.refused(cx) {
            return this.end(&status);
        }
        while this.ready.is_empty() {
            let Some(frame) = ready!(Pin::new(&mut this.body).poll_frame(cx)?) else {
                this.done = true;
                return Poll::Ready(None);
            };
            match frame.into_data() {
                Ok(data) => match this.flow.on_data(data) {
                    Ok(edited) => this.ready = edited,
                    Err(status) => return this.end(&status),
                },
                // With what may be left of a message nobody could do anything.
                Err(trailers) => {
                    this.done = true;
                    return Poll::Ready(Some(Ok(trailers)));
                }
            }
        }
        // In pieces, so that the receiver's window is asked again between them.
        let piece = this.ready.len().min(PIECE);
        let piece = this.ready.split_to(piece);
        match this.flow.hold(this.ready.len()) {
            Ok(()) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            Err(status) => this.end(&status),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.done
    }
}

const PIECE: usize = 64 * 1024;
