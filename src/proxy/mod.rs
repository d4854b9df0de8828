//! What happens to a call between the listener and the cluster.
//!
//! ```text
//!   Call ─> namespace (its keys, if the listener has one; those of its Reply on the way back)
//!        ─> admit (loop?) ─> identity (whose?) ─> route (read ahead, peek: where to, how?)
//!        ─> upstream ─> retry (will it do?) ─> settle (watermark, trailers, codes, metrics) ─> Reply
//!              ^             └ persist: hold, wait, another member
//!              └────────────────────┘
//!   equal reads: route ─> share (one call for several) ─> upstream …
//!   keep-alives: identity ─> lease (one stream for many clients, opened as any call) ─> settle
//!   watches: identity ─> watch (one for many clients, opened as any call) ─> settle
//!   member lists, if the proxies are asked for: identity ─> register ─> settle
//!   audit: around all of this, from the call as it came to the end of its reply
//! ```
//!
//! Invariants: every call gets a [`Reply`]; a gRPC reply ends with a `grpc-status`, whatever
//! happens behind; a body is not decoded, except for a look at a few fields; a call that may have
//! changed something is sent once; `CANCELLED` and `DEADLINE_EXCEEDED` reach a client over gRPC only
//! when they are its own doing.

mod admit;
mod attempt;
pub mod audit;
mod caller;
pub mod config;
mod copy;
pub mod drain;
mod frames;
mod gateway;
mod held;
mod hold;
mod home;
mod identity;
pub mod lease;
mod lines;
mod member_list;
pub mod metrics;
pub mod namespace;
mod own;
pub(crate) mod peek;
mod persist;
mod plain;
mod read_ahead;
pub mod register;
mod replay;
mod retry;
mod route;
mod settle;
pub mod share;
mod tunnel;
pub mod watch;
mod watermark;
mod witness;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::Either;
use hyper::body::Body as HttpBody;

pub use audit::Audit;
pub use config::{Config, MemberList, Settings};
pub use drain::Drain;
pub use hold::Holds;
#[cfg(test)]
pub(crate) use lines::in_lines;
pub use watermark::Watermark;

use crate::telemetry::metrics::Metrics;
use crate::types::call::{Broken, Call, Reply};
use crate::types::ids::ClusterId;
use crate::types::status::{Code, Status};
use crate::upstream::{Answer, Failure, From, Places, Upstream};

/// The whole path of a call. One per thread of the data path.
pub struct Proxy {
    settings: Settings,
    audit: Audit,
    admission: admit::Admission,
    read_ahead: read_ahead::Budget,
    upstream: Upstream,
    watermark: Watermark,
    holds: Holds,
    watches: watch::Hub,
    leases: lease::Hub,
    reads: share::Reads,
    namespaces: namespace::Namespaces,
    register: Option<register::Register>,
    retries: retry::Budget,
    drain: Drain,
    metrics: metrics::ProxyMetrics,
    registry: Metrics,
}

/// What the threads have in common.
#[derive(Clone)]
pub struct Shared {
    pub settings: Settings,
    pub audit: Audit,
    pub drain: Drain,
    pub holds: Holds,
    pub leases: lease::Hub,
    pub metrics: metrics::ProxyMetrics,
    pub namespaces: namespace::Namespaces,
    pub watches: watch::Hub,
    pub reads: share::ShareMetrics,
    pub register: Option<register::Register>,
    /// To be shown.
    pub registry: Metrics,
    pub watermark: Watermark,
}

impl Proxy {
    pub fn new(upstream: Upstream, shared: Shared) -> Arc<Self> {
        let Shared {
            settings,
            audit,
            drain,
            holds,
            leases,
            metrics,
            namespaces,
            reads,
            register,
            registry,
            watches,
            watermark,
        } = shared;
        Arc::new(Self {
            settings,
            audit,
            admission: admit::Admission::new(),
            read_ahead: read_ahead::Budget::new(metrics.read_ahead_bytes.clone()),
            upstream,
            watermark,
            holds,
            watches,
            leases,
            reads: share::Reads::new(reads),
            namespaces,
            register,
            retries: retry::Budget::new(Instant::now()),
            drain,
            metrics,
            registry,
        })
    }

    pub fn call(self: &Arc<Self>, mut call: Call) -> impl Future<Output = Reply> + Send {
        let open = self.audit.begin(&mut call);
        if open.is_none() && call.client.terms.namespace.is_empty() {
            Either::Left(self.handle(call))
        } else {
            // Boxed: the others' futures must not grow by it.
            Either::Right(Box::pin(self.handle_between(call, open)))
        }
    }

    /// What stands around a call where it is told, or has a namespace.
    async fn handle_between(self: &Arc<Self>, call: Call, open: Option<audit::Open>) -> Reply {
        let reply = match call.client.terms.namespace.is_empty() {
            true => self.handle(call).await,
            false => self.handle_in_namespace(call).await,
        };
        match open {
            Some(open) => open.settle(reply),
            None => reply,
        }
    }

    /// Behind this there are only full keys.
    async fn handle_in_namespace(self: &Arc<Self>, call: Call) -> Reply {
        let (rpc, is_grpc) = (call.rpc, call.is_grpc());
        match self.namespaces.enter(call) {
            namespace::Entered::AsItIs(call) => self.handle(call).await,
            namespace::Entered::Edited(call, edited) => edited.leave(self.handle(call)).await,
            namespace::Entered::Refused(status) => {
                self.metrics.start(rpc, Instant::now()).on_code(status.code);
                match is_grpc {
                    true => Reply::trailers_only(&status),
                    false => Reply::json(&status, gateway::dialect(&self.upstream.view())),
                }
            }
        }
    }

    async fn handle(self: &Arc<Self>, mut call: Call) -> Reply {
        let is_told = audit::is_told(&call);
        let started = Instant::now();
        let account = self.metrics.start(call.rpc, started);
        let form = settle::Form::of(&mut call, || gateway::dialect(&self.upstream.view()));
        let settlement = settle::Settlement::of(&call, form, account, &self.watermark);
        // First, because a call that loops must not cost anything.
        if let Err(status) = self.admission.admit(&mut call.head.headers) {
            return settlement.refuse(&status);
        }
        if let Err(status) = admit::find(&call) {
            return settlement.refuse(&status);
        }
        if self.upstream.presents_common_name()
            && let Err(status) = identity::disown(&mut call.head.headers)
        {
            return settlement.refuse(&status);
        }
        if call.rpc.is_own() {
            let view = self.upstream.view();
            let answer = Box::pin(own::answer(&call.head, &self.registry, &view)).await;
            return settlement.answer(answer);
        }
        if let Some(frame) = self.own_member_list(&call) {
            return settlement.answer_grpc(frame);
        }
        if let Some(caller) = self.leases.takes(&call) {
            let answers = self.leases.join(call, caller, self);
            return Box::pin(self.serve(answers, settlement)).await;
        }
        if let Some(caller) = self.watches.takes(&call) {
            let answers = self.watches.join(call, caller, self);
            return Box::pin(self.serve(answers, settlement)).await;
        }
        let expired = settlement.expired();
        let drained = settlement.drained(&self.drain);
        tokio::select! {
            biased;
            answered = self.answer(call, started) => match answered {
                Ok(answered) => {
                    let from = answered.answer.from;
                    let mut reply = settlement.settle(answered, self);
                    if is_told {
                        // For the log: who has answered.
                        reply.head.extensions.insert(from);
                    }
                    reply
                }
                Err(Unanswered::Failed(failure)) => settlement.fail(&failure),
                Err(Unanswered::Status(status)) => settlement.refuse(&status),
            },
            status = expired => settlement.refuse(&status),
            status = drained => settlement.refuse(&status),
        }
    }

    /// An answer that is put together here.
    async fn serve(&self, mut answers: impl Local, settlement: settle::Settlement) -> Reply {
        let drained = settlement.drained(&self.drain);
        let begun = tokio::select! {
            biased;
            begun = poll_fn(|cx| answers.poll_begin(cx)) => begun,
            status = drained => Err(status),
        };
        match begun {
            Ok(()) => settlement.settle_local(answers, &self.drain),
            Err(status) => settlement.refuse(&status),
        }
    }

    async fn answer(self: &Arc<Self>, mut call: Call, started: Instant) -> Result<Answered, Unanswered> {
        // The member and the lane depend on the request, so it is read ahead before it is sent.
        let planned = route::plan(&mut call, &self.settings, &self.read_ahead, || self.upstream.view()).await;
        let (plan, _held) = planned.map_err(unroutable)?;
        let sharing = match self.reads.look_up(&call, &plan, self.settings.load().share_reads) {
            share::Looked::Alone => None,
            share::Looked::First(flight) => Some(share::Sending::new(self, flight)),
            share::Looked::Under(flight) => {
                return Box::pin(self.wait_for(call, plan, started, flight)).await;
            }
        };
        let outcome = self.send(call, plan, started).await;
        if let Some(sharing) = sharing {
            sharing.end(&outcome);
        }
        outcome
    }

    /// The answer whatever its revision, as far as anybody answers.
    async fn answer_as_is(&self, mut call: Call) -> Result<Answer, Unanswered> {
        let planned = route::plan(&mut call, &self.settings, &self.read_ahead, || self.upstream.view()).await;
        let (plan, _held) = planned.map_err(unroutable)?;
        let plan = route::Plan { kind: None, ..plan };
        Ok(self.send(call, plan, Instant::now()).await?.answer)
    }

    async fn send(
        &self,
        mut call: Call,
        plan: route::Plan,
        started: Instant,
    ) -> Result<Answered, Unanswered> {
        let is_member_list = member_list::is_asked_by(call.rpc);
        let copy = copy::Copy::of(&mut call);
        let mark = self.watermark.revision();
        let mut answer = match self.upstream.try_send(call, &plan.route, Places::default()) {
            Ok(sent) => match self.attempt(sent, &plan, &copy, mark).await {
                (place, outcome) if retry::judge(&plan, &outcome, mark).is_some() => {
                    Box::pin(self.persist(plan, copy, (place, outcome), started, mark)).await?
                }
                (_, outcome) => outcome.map_err(Unanswered::Failed)?,
            },
            Err(unsent) => Box::pin(self.persist_unsent(plan, copy, unsent, started, mark)).await?,
        };
        if is_member_list && let MemberList::Local(url) = &self.settings.load().member_list {
            member_list::localize(&mut answer, url, plan.gateway);
        }
        let header = retry::header(&plan, &answer);
        let From { term, .. } = answer.from;
        let is_news = |header: peek::Header| {
            let election = term.0 > 0 && header.raft_term > term.0;
            election || answer.from.is_foreign(ClusterId(header.cluster_id))
        };
        if header.is_some_and(is_news) {
            self.upstream.suspect();
        }
        Ok(Answered { answer, header, plan, mark })
    }

    /// The proxies instead of the members.
    fn own_member_list(&self, call: &Call) -> Option<Bytes> {
        let register = self.register.as_ref()?;
        let is_asked = member_list::is_asked_by(call.rpc)
            && call.is_grpc()
            && self.settings.load().member_list == MemberList::Registered;
        is_asked.then(|| register.member_list())
    }

    /// Is one of the proxies that the cluster knows, until a drain has begun and it is none any longer.
    pub async fn register(self: &Arc<Self>) {
        if let Some(register) = &self.register {
            register.run(self, &self.drain).await;
        }
    }

    /// For what passes without being a call.
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Connects to the cluster ahead of the first call, and follows its changes.
    pub async fn follow(self: &Arc<Self>) {
        self.watches.start(self);
        self.upstream.follow().await;
    }
}

/// The answer to a stream that is put together here.
trait Local: HttpBody<Data = Bytes, Error = Broken> + Send + Unpin + 'static {
    /// Ready with the first message, or the end before any: etcd's head comes no sooner.
    fn poll_begin(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>>;
}

/// An answer for the client, and what was known of the call.
struct Answered {
    answer: Answer,
    /// Of its first message, where that has one.
    header: Option<peek::Header>,
    plan: route::Plan,
    mark: i64,
}

impl Answered {
    /// The same once more, where all of it is here.
    fn copy(&self) -> Option<Self> {
        let Self { answer, header, plan, mark } = self;
        Some(Self { answer: answer.copy()?, header: *header, plan: *plan, mark: *mark })
    }
}

#[derive(Clone)]
enum Unanswered {
    Failed(Failure),
    Status(Status),
}

fn unroutable(why: route::Unroutable) -> Unanswered {
    Unanswered::Status(match why {
        // For the metrics: nobody is there to read it.
        route::Unroutable::Abandoned => Status::new(Code::Canceled, "context canceled"),
        route::Unroutable::NoSuchMember(name) => {
            Status::new(Code::NotFound, format!("etcdlet: no such member: {name:?}"))
        }
    })
}
