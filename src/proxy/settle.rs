//! How an answer ends: a status in every case, and none that is not the client's own doing.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use hyper::body::{Body as HttpBody, Frame};
use hyper::upgrade::OnUpgrade;

use super::drain::{self, Drain};
use super::held::Held;
use super::lines::Lines;
use super::metrics::Account;
use super::peek::Headers;
use super::plain::Plain;
use super::watermark::Watermark;
use super::witness::Witness;
use super::{Answered, Proxy, tunnel};
use crate::types::call::{Body, Broken, Call, Dialect, Reply};
use crate::types::gateway::is_gateway_path;
use crate::types::ids::ClusterId;
use crate::types::method::{Effect, Rpc, Shape};
use crate::types::status::{
    Code, DEADLINE_EXCEEDED, GRPC_MESSAGE, GRPC_STATUS, Status, grpc_status, percent_decode,
};
use crate::upstream::{Answer, AnswerBody, Failure, From, Upstream};

/// What has to be known of a call when its answer ends.
pub(super) struct Settlement {
    form: Form,
    rpc: &'static Rpc,
    deadline: Option<Instant>,
    account: Account,
    watermark: Watermark,
}

/// In which form a call is answered.
pub(super) enum Form {
    Grpc,
    Json(Dialect),
    Text,
    /// The connection of the client, for the moment at which it becomes one.
    WebSocket(Box<OnUpgrade>, Dialect),
}

impl Form {
    /// `dialect` of the cluster.
    pub fn of(call: &mut Call, dialect: impl FnOnce() -> Dialect) -> Self {
        if call.is_grpc() {
            return Self::Grpc;
        }
        if !is_gateway_path(call.head.uri.path()) {
            return Self::Text;
        }
        match call.head.extensions.remove::<OnUpgrade>() {
            Some(client) if call.rpc.is_websocket() => Self::WebSocket(Box::new(client), dialect()),
            Some(_) | None => Self::Json(dialect()),
        }
    }
}

impl Settlement {
    pub fn of(call: &Call, form: Form, account: Account, watermark: &Watermark) -> Self {
        let watermark = watermark.clone();
        Self { form, rpc: call.rpc, deadline: call.deadline, account, watermark }
    }

    /// Ends when the client has certainly given up.
    pub fn expired(&self) -> impl Future<Output = Status> + use<> {
        let deadline = self.deadline;
        async move {
            let Some(deadline) = deadline else { return std::future::pending().await };
            tokio::time::sleep_until((deadline + DEADLINE_GRACE).into()).await;
            Status::new(Code::DeadlineExceeded, DEADLINE_EXCEEDED)
        }
    }

    /// Ends when a drain ends an endless call that still waits for its answer's head.
    pub fn drained(&self, drain: &Drain) -> impl Future<Output = Status> + use<> {
        let ending = self.ending(drain);
        let effect = self.rpc.effect;
        async move {
            match ending {
                Some(ending) => ending.await,
                None => std::future::pending().await,
            }
            drain::status(effect)
        }
    }

    fn ending(&self, drain: &Drain) -> Ending {
        self.rpc.endless.then(|| -> Pin<Box<dyn Future<Output = ()> + Send>> {
            let drain = drain.clone();
            Box::pin(async move { drain.stream_end().await })
        })
    }

    /// No answer came.
    pub fn fail(self, failure: &Failure) -> Reply {
        let status = self.status_of(failure);
        self.refuse(&status)
    }

    /// etcd resets the stream of a call whose deadline is over; that is no loss.
    fn status_of(&self, failure: &Failure) -> Status {
        if self.is_alive() {
            failure.status(self.rpc.effect)
        } else {
            Status::new(Code::DeadlineExceeded, DEADLINE_EXCEEDED)
        }
    }

    /// Whether the client still waits, as far as its deadline tells.
    fn is_alive(&self) -> bool {
        self.deadline.is_none_or(|deadline| Instant::now() < deadline)
    }

    /// An answer of our own.
    pub fn refuse(mut self, status: &Status) -> Reply {
        self.account.on_code(status.code);
        match self.form {
            Form::Grpc => Reply::trailers_only(status),
            Form::Json(dialect) | Form::WebSocket(_, dialect) => Reply::json(status, dialect),
            Form::Text => Reply::text(status),
        }
    }

    /// An answer outside of gRPC that was made here.
    pub fn answer(mut self, reply: Reply) -> Reply {
        self.account.on_code(Code::of_http(reply.head.status));
        reply
    }

    /// A whole answer of our own, with what it says.
    pub fn answer_grpc(mut self, frame: Bytes) -> Reply {
        self.account.on_code(Code::Ok);
        Reply::grpc(Body::Whole(frame, Box::new(Status::new(Code::Ok, "").trailers())))
    }

    /// Passes the member's answer on, under our rules.
    pub fn settle(mut self, answered: Answered, proxy: &Proxy) -> Reply {
        let Answered { answer: Answer { mut head, mut body, from }, header, plan, mark } = answered;
        if !matches!(self.form, Form::Grpc) {
            if let Some(header) = header {
                if plan.proves && from.is_leader && header.revision < mark {
                    self.watermark.on_restored(header, mark, from);
                }
                self.watermark.on_answer(header, from);
            }
            return self.settle_http(head, body, from, proxy);
        }
        if head.headers.contains_key(&GRPC_STATUS) {
            self.finish(&mut head.headers);
            return Reply { head, body: Body::Empty };
        }
        if body.is_end_stream() {
            // Not from etcd but from something before it: its HTTP status is all that there is.
            self.account.on_code(Code::of_http(head.status));
            return Reply { head, body: Body::Empty };
        }
        if let Some(header) = header {
            if plan.proves && from.is_leader && header.revision < mark {
                self.watermark.on_restored(header, mark, from);
            }
            self.watermark.on_answer(header, from);
        }
        if let Some(mut trailers) = body.trailers.take() {
            self.finish(&mut trailers);
            let data = body.data.take().unwrap_or_default();
            let body = match data.is_empty() {
                true => Body::Trailers(Box::new(trailers)),
                false => Body::Whole(data, Box::new(trailers)),
            };
            return Reply { head, body };
        }
        let ending = self.ending(&proxy.drain);
        let headers = body.data.is_none().then(|| (Headers::new(), self.witness(from, &proxy.upstream)));
        Reply { head, body: Body::stream(Settled { body, headers, settlement: self, ending, done: false }) }
    }

    fn witness(&self, from: From, upstream: &Upstream) -> Witness {
        let (watermark, effect) = (self.watermark.clone(), self.rpc.effect);
        Witness { from, watermark, signals: upstream.signals(), effect }
    }

    fn settle_http(mut self, mut head: Parts, body: AnswerBody, from: From, proxy: &Proxy) -> Reply {
        self.account.on_code(Code::of_http(head.status));
        let ending = self.ending(&proxy.drain);
        let is_news = self.rpc.is_gateway() && body.data.is_none();
        let witness = is_news.then(|| self.witness(from, &proxy.upstream));
        if let (StatusCode::SWITCHING_PROTOCOLS, Form::WebSocket(client, _), Some(member)) =
            (head.status, self.form, head.extensions.remove::<OnUpgrade>())
        {
            head.extensions.insert(tunnel::between(*client, member, ending, body.cut(), self.account));
            return Reply { head, body: Body::Empty };
        }
        let in_lines = self.rpc.is_gateway() && self.rpc.endless && self.rpc.shape != Shape::Unary;
        let body = match in_lines {
            true => {
                let held = Held::new(&proxy.metrics.json_lines_bytes);
                let lines = Lines::of(body, held, proxy.settings.load().json_lines_total);
                Body::stream(Plain::new(lines, ending, witness, self.account))
            }
            false => Body::stream(Plain::new(body, ending, witness, self.account)),
        };
        Reply { head, body }
    }

    /// The same for an answer that was put together here, out of what the watermark knows.
    pub fn settle_local(self, body: impl super::Local, drain: &Drain) -> Reply {
        let ending = self.ending(drain);
        let body = Settled { body, headers: None, settlement: self, ending, done: false };
        Reply::grpc(Body::stream(body))
    }

    /// Applies the rules to the trailers of an answer, or to headers that are trailers too.
    fn finish(&mut self, trailers: &mut HeaderMap) {
        let code = grpc_status(trailers).unwrap_or(Code::Unknown);
        if self.is_alive() && matches!(code, Code::Canceled | Code::DeadlineExceeded) {
            // etcd's Go client sends any call again on these two, mutations included.
            let text = percent_decode(trailers.get(&GRPC_MESSAGE).map_or(b"", HeaderValue::as_bytes));
            let text = format!("etcdlet: the member answered {}: {text}", code.name());
            Status::new(Code::Unavailable, text).write(trailers);
            self.account.on_code(Code::Unavailable);
            return;
        }
        self.account.on_code(code);
    }

    fn trailers(&mut self, status: &Status) -> HeaderMap {
        self.account.on_code(status.code);
        status.trailers()
    }

    fn on_foreign(&mut self, cluster: ClusterId) -> HeaderMap {
        self.trailers(&Failure::Foreign(cluster).status(Effect::Read))
    }

    fn on_broken(&mut self, broken: Broken) -> HeaderMap {
        let status = self.status_of(&Failure::Lost(broken));
        self.trailers(&status)
    }
}

pub(super) type Ending = Option<Pin<Box<dyn Future<Output = ()> + Send>>>;

/// The body of a gRPC answer. It always ends with trailers.
struct Settled<B> {
    body: B,
    /// Reads the revisions that pass by, unless the first message told it already.
    headers: Option<(Headers, Witness)>,
    settlement: Settlement,
    ending: Ending,
    done: bool,
}

impl<B> Settled<B> {
    /// Takes note of the revisions that pass by; returns the cluster they are of, if that is not ours
    /// and they are what was asked for.
    fn look(&mut self, frame: &Frame<Bytes>) -> Option<ClusterId> {
        let (Some((headers, witness)), Some(data)) = (&mut self.headers, frame.data_ref()) else {
            return None;
        };
        let mut foreign = None;
        headers.on_data(data, |header| foreign = witness.on_header(header).or(foreign));
        foreign
    }
}

impl<B: HttpBody<Data = Bytes, Error = Broken> + Unpin> HttpBody for Settled<B> {
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
        let trailers = match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => match frame.into_trailers() {
                Ok(mut trailers) => {
                    this.settlement.finish(&mut trailers);
                    trailers
                }
                Err(frame) => match this.look(&frame) {
                    Some(foreign) => this.settlement.on_foreign(foreign),
                    None => return Poll::Ready(Some(Ok(frame))),
                },
            },
            Poll::Ready(Some(Err(broken))) => this.settlement.on_broken(broken),
            Poll::Ready(None) => {
                this.settlement.on_broken(Broken::Connection("the answer has no trailers".to_owned()))
            }
            Poll::Pending => {
                let Some(ending) = &mut this.ending else { return Poll::Pending };
                ready!(ending.as_mut().poll(cx));
                // The stream itself is the client's to reopen; nothing that it asked for is lost.
                this.settlement.trailers(&drain::status(Effect::Read))
            }
        };
        this.done = true;
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}

/// etcd counts the same deadline from a little later, and its own answer is the better one.
const DEADLINE_GRACE: Duration = Duration::from_millis(250);
