//! A client's stream: its requests go to the core, and what the core delivers comes back.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use hyper::body::{Body as HttpBody, Frame};
use tokio::time::Sleep;

use super::super::core::{Delivery, Events, Request, StreamId};
use super::objection::objection;
use super::state::{Shared, Taken};
use crate::proxy::caller::Caller;
use crate::proxy::frames::Frames;
use crate::proxy::{Local, peek};
use crate::types::call::{Body, Broken};
use crate::types::status::{Code, DEADLINE_EXCEEDED, Status};

/// The answer to a client's stream. It reads the requests whenever it is read.
pub(in crate::proxy) struct Watches {
    shared: Arc<Shared>,
    stream: StreamId,
    caller: Caller,
    requests: Requests,
    deadline: Option<Pin<Box<Sleep>>>,
    /// In data frames.
    ahead: VecDeque<Bytes>,
    end: Option<Status>,
    done: bool,
}

enum Requests {
    Open {
        body: Body,
        frames: Frames,
    },
    /// The client sends no more; what it watches goes on.
    Ended,
    /// Of what it sent last, a member is asked what is wrong with it.
    Refused(Pin<Box<dyn Future<Output = Status> + Send>>),
}

impl Watches {
    pub fn new(shared: &Arc<Shared>, caller: Caller, body: Body, deadline: Option<Instant>) -> Self {
        let deadline = deadline.map(|deadline| Box::pin(tokio::time::sleep_until(deadline.into())));
        Self {
            stream: shared.join(caller.clone()),
            shared: shared.clone(),
            caller,
            requests: Requests::Open { body, frames: Frames::new(REQUEST_MAX) },
            deadline,
            ahead: VecDeque::new(),
            end: None,
            done: false,
        }
    }

    /// Ready when something is ahead, or the end is known.
    fn poll_taken(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.ahead.is_empty() || self.end.is_some() {
            return Poll::Ready(());
        }
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            self.end = Some(Status::new(Code::DeadlineExceeded, DEADLINE_EXCEEDED));
            return Poll::Ready(());
        }
        self.poll_requests(cx);
        if self.end.is_some() {
            return Poll::Ready(());
        }
        match self.shared.take(self.stream, BATCH, cx) {
            Some(Taken::Deliveries(deliveries)) => gather(&deliveries, &mut self.ahead),
            Some(Taken::End(status)) => self.end = Some(status),
            None => return Poll::Pending,
        }
        Poll::Ready(())
    }

    /// Reads requests as long as there is room for them; without it there are responses to come,
    /// and with the next one it is tried again.
    fn poll_requests(&mut self, cx: &mut Context<'_>) {
        while let Requests::Open { body, frames } = &mut self.requests {
            if !self.shared.with(|core, _| core.wants_requests(self.stream)) {
                return;
            }
            match frames.next() {
                Some(Ok(frame)) => {
                    let request =
                        peek::message(&frame).ok_or(()).and_then(|it| Request::read(it).map_err(|_| ()));
                    match request {
                        Ok(request) => {
                            let stream = self.stream;
                            self.shared.with(|core, now| core.handle_request(stream, request, now));
                            continue;
                        }
                        Err(()) => {
                            self.refuse(frame);
                            continue;
                        }
                    }
                }
                Some(Err(too_long)) => return self.end = Some(too_long.refusal(REQUEST_MAX)),
                None => {}
            }
            match Pin::new(body).poll_frame(cx) {
                Poll::Pending => return,
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        frames.on_data(data);
                    }
                }
                // Whoever sends the answer finds out by itself that the client is gone.
                Poll::Ready(Some(Err(_))) => self.requests = Requests::Ended,
                Poll::Ready(None) => match frames.rest() {
                    None => self.requests = Requests::Ended,
                    Some(rest) => self.refuse(rest),
                },
            }
        }
        if let Requests::Refused(objection) = &mut self.requests
            && let Poll::Ready(status) = objection.as_mut().poll(cx)
        {
            self.end = Some(status);
        }
    }

    /// Ends the stream as etcd ends one with such a request.
    fn refuse(&mut self, bytes: Bytes) {
        let (shared, caller) = (self.shared.clone(), self.caller.clone());
        self.requests = Requests::Refused(Box::pin(async move {
            match shared.proxy() {
                Some(proxy) => objection(&proxy, &caller, bytes).await,
                None => Status::new(Code::Unavailable, "etcdlet: stopping"),
            }
        }));
    }
}

impl Local for Watches {
    fn poll_begin(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        ready!(self.poll_taken(cx));
        Poll::Ready(match self.end.take_if(|_| self.ahead.is_empty()) {
            Some(status) => {
                self.done = true;
                Err(status)
            }
            None => Ok(()),
        })
    }
}

impl HttpBody for Watches {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.done {
            return Poll::Ready(None);
        }
        loop {
            if let Some(data) = self.ahead.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            if let Some(status) = self.end.take() {
                self.done = true;
                return Poll::Ready(Some(Ok(Frame::trailers(status.trailers()))));
            }
            ready!(self.poll_taken(cx));
        }
    }
}

impl Drop for Watches {
    fn drop(&mut self) {
        self.shared.leave(self.stream);
    }
}

/// Small pieces are copied together, because each data frame costs more than the copy; large ones
/// go as they are.
fn gather(deliveries: &[Delivery], ahead: &mut VecDeque<Bytes>) {
    let mut small = BytesMut::new();
    let mut add = |piece: &Bytes| {
        if piece.len() >= LARGE {
            if !small.is_empty() {
                ahead.push_back(small.split().freeze());
            }
            ahead.push_back(piece.clone());
        } else {
            if small.is_empty() {
                small.reserve(BATCH);
            }
            small.extend_from_slice(piece);
        }
    };
    for delivery in deliveries {
        add(&delivery.head);
        match &delivery.events {
            Events::Many(pieces) => pieces.iter().for_each(&mut add),
            Events::None => {}
            Events::One(piece) => add(piece),
        }
    }
    if !small.is_empty() {
        ahead.push_back(small.freeze());
    }
}

/// A data frame of HTTP/2 has as much by default.
const BATCH: usize = 16 << 10;

const LARGE: usize = 4 << 10;

/// Keys have no limit of their own in etcd; its `--max-request-bytes` and what it adds.
const REQUEST_MAX: usize = 2 << 20;
