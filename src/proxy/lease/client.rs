//! A client's stream: its requests go to the group, and answers come back in their order.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use hyper::body::{Body as HttpBody, Frame};
use tokio::time::Sleep;

use super::super::frames::Frames;
use super::super::{Local, peek};
use super::core::{ClientId, Taken};
use super::group::Group;
use crate::types::call::{Body, Broken};
use crate::types::status::{Code, DEADLINE_EXCEEDED, Status};

/// The answer to a client's stream. It reads the requests whenever it is read.
pub(in crate::proxy) struct KeepAlives {
    group: Arc<Group>,
    id: ClientId,
    requests: Requests,
    deadline: Option<Pin<Box<Sleep>>>,
    ahead: Option<Taken>,
    done: bool,
}

enum Requests {
    Open {
        body: Body,
        frames: Frames,
        /// One is not understood: none is read before etcd has said what it thinks of it.
        raw: bool,
    },
    /// With this, when all is answered.
    Ended(Status),
    /// The client has gone in their middle.
    Gone,
}

impl KeepAlives {
    pub(super) fn new(group: Arc<Group>, body: Body, deadline: Option<Instant>) -> Self {
        let id = group.join();
        let requests = Requests::Open { body, frames: Frames::new(REQUEST_MAX), raw: false };
        let deadline = deadline.map(|deadline| Box::pin(tokio::time::sleep_until(deadline.into())));
        Self { group, id, requests, deadline, ahead: None, done: false }
    }

    fn poll_taken(&mut self, cx: &mut Context<'_>) -> Poll<Taken> {
        if let Some(taken) = self.ahead.take() {
            return Poll::Ready(taken);
        }
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Taken::End(Status::new(Code::DeadlineExceeded, DEADLINE_EXCEEDED)));
        }
        self.poll_requests(cx);
        match (self.group.poll_client(self.id, cx), &self.requests) {
            (Some(taken), _) => Poll::Ready(taken),
            (None, Requests::Ended(status)) if self.waiting() == 0 => Poll::Ready(Taken::End(status.clone())),
            (None, _) => Poll::Pending,
        }
    }

    fn waiting(&self) -> usize {
        self.group.with(|core| core.waiting(self.id))
    }

    /// Reads requests as long as there is room for them. Without room there are answers to come,
    /// and with the next one it is tried again.
    fn poll_requests(&mut self, cx: &mut Context<'_>) {
        loop {
            let waiting = self.waiting();
            let room = self.group.room();
            let Requests::Open { body, frames, raw } = &mut self.requests else { return };
            if *raw && waiting > 0 {
                return;
            }
            *raw = false;
            if waiting >= room {
                return self.group.common.metrics.held_back.inc();
            }
            match frames.next() {
                Some(Ok(frame)) => {
                    let lease = peek::keep_alive(&frame);
                    *raw = lease.is_none();
                    self.group.request(self.id, lease, frame);
                    continue;
                }
                Some(Err(too_long)) => {
                    self.requests = Requests::Ended(too_long.refusal(REQUEST_MAX));
                    return;
                }
                None => {}
            }
            match Pin::new(body).poll_frame(cx) {
                Poll::Pending => return,
                Poll::Ready(Some(Ok(frame))) => {
                    // A request has no trailers in gRPC; etcd would ignore them too.
                    if let Ok(data) = frame.into_data() {
                        frames.on_data(data);
                    }
                }
                Poll::Ready(Some(Err(_broken))) => self.requests = Requests::Gone,
                Poll::Ready(None) => {
                    if let Some(rest) = frames.rest() {
                        self.group.request(self.id, None, rest);
                    }
                    self.requests = Requests::Ended(Status::new(Code::Ok, ""));
                }
            }
        }
    }

    /// What is there, in one piece.
    fn batch(&mut self, first: Bytes, cx: &mut Context<'_>) -> Bytes {
        let mut batch = BytesMut::new();
        while batch.len() < BATCH {
            match self.poll_taken(cx) {
                Poll::Ready(Taken::Reply(reply)) => {
                    if batch.is_empty() {
                        batch.extend_from_slice(&first);
                    }
                    batch.extend_from_slice(&reply);
                }
                Poll::Ready(end @ Taken::End(_)) => {
                    self.ahead = Some(end);
                    break;
                }
                Poll::Pending => break,
            }
        }
        if batch.is_empty() { first } else { batch.freeze() }
    }
}

impl Local for KeepAlives {
    fn poll_begin(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.poll_taken(cx).map(|taken| match taken {
            Taken::End(status) => Err(status),
            reply @ Taken::Reply(_) => {
                self.ahead = Some(reply);
                Ok(())
            }
        })
    }
}

impl HttpBody for KeepAlives {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.done {
            return Poll::Ready(None);
        }
        let frame = match std::task::ready!(self.poll_taken(cx)) {
            Taken::Reply(first) => Frame::data(self.batch(first, cx)),
            Taken::End(status) => {
                self.done = true;
                Frame::trailers(status.trailers())
            }
        };
        Poll::Ready(Some(Ok(frame)))
    }
}

impl Drop for KeepAlives {
    fn drop(&mut self) {
        self.group.leave(self.id);
    }
}

/// Of one frame. A request for a lease has 16 bytes at most.
const REQUEST_MAX: usize = 4 << 10;

const BATCH: usize = 4 << 10;
