//! Reads that are the same share one call.
//!
//! ```text
//!   a, b ──> sent at once ──────────────────────────────> answers for a and b
//!   c, d ──> two are under way: they wait ──> one batch, sent when a is answered ──> answer for c and d
//! ```
//!
//! Invariants: a linearizable read shares only a call that was sent after it came, so that it sees
//! every write that was acknowledged before; a serializable one may join a call that is under way,
//! unless the answer is older than what the node had seen when it came; whoever differs in request
//! bytes or in what etcd looks at shares nothing; one of two equal reads is not delayed by the other; whoever
//! leaves disturbs nobody.
//!
//! Deliberately absent: other calls than `Range`, requests and answers that are long.

mod core;
mod key;
mod metrics;

use std::convert::Infallible;
use std::future::poll_fn;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

pub use metrics::ShareMetrics;

use self::core::{Entered, Flight, Table, Waits};
use super::copy::Copy;
use super::peek::Kind;
use super::route::Plan;
use super::{Answered, Proxy, Unanswered, retry};
use crate::types::call::Call;
use crate::types::status::{Code, DEADLINE_EXCEEDED, Status};
use key::Key;

/// Reads under way. One per thread of the data path.
pub(super) struct Reads {
    hasher: RandomState,
    table: Mutex<Table<Key, Waiter>>,
    metrics: ShareMetrics,
}

/// What there is of a read when it comes.
pub(super) enum Looked {
    /// It shares nothing.
    Alone,
    /// It is sent, and may be joined.
    First(Flight),
    /// Equal ones are under way.
    Under(Flight),
}

/// A read that waits for the call of somebody else.
struct Waiter {
    copy: Copy,
    plan: Plan,
    outcome: oneshot::Sender<Shared>,
}

enum Shared {
    /// There is nothing to share: an answer that is long, or an error that is another's.
    Nothing,
    /// Boxed, because an answer is large.
    Outcome(Box<Result<Answered, Unanswered>>),
}

impl Waits for Waiter {
    fn is_here(&self) -> bool {
        !self.outcome.is_closed()
    }
}

impl Reads {
    pub fn new(metrics: ShareMetrics) -> Self {
        let (hasher, table) = Default::default();
        Self { hasher, table, metrics }
    }

    /// Whether somebody asks the same at this moment. If not, whoever comes next finds this call. Nobody
    /// shares anything unless it is `enabled`.
    pub fn look_up(&self, call: &Call, plan: &Plan, enabled: bool) -> Looked {
        let key = if enabled { Key::of(call, plan) } else { None };
        let Some(key) = key else { return Looked::Alone };
        let hash = self.hasher.hash_one(&key);
        match self.lock().enter(hash, key, joins(plan), Instant::now()) {
            Entered::Alone => Looked::Alone,
            Entered::First(flight) => Looked::First(flight),
            Entered::Under(flight) => Looked::Under(flight),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table<Key, Waiter>> {
        self.table.lock().expect("nobody panics while holding the table")
    }

    /// Lets somebody have the outcome of a call that he did not send.
    fn deliver(&self, waiter: Waiter, shared: Shared) {
        if matches!(shared, Shared::Outcome(_)) {
            self.metrics.shared.inc();
        }
        // He may have left meanwhile.
        let _left = waiter.outcome.send(shared);
    }
}

impl Proxy {
    /// Waits for the call of somebody else.
    pub(super) async fn wait_for(
        self: &Arc<Self>,
        mut call: Call,
        plan: Plan,
        started: Instant,
        flight: Flight,
    ) -> Result<Answered, Unanswered> {
        let (outcome, mut shared) = oneshot::channel();
        let waiter = Waiter { copy: Copy::of(&mut call), plan, outcome };
        let mark = self.watermark.revision();
        let joins = joins(&plan);
        self.reads.lock().wait(flight, joins, waiter);
        let deadline = call.deadline;
        let expired = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        let overtaken = async {
            tokio::time::sleep(OVERTAKE).await;
            self.overtake(flight);
            std::future::pending::<Infallible>().await
        };
        let shared = tokio::select! {
            biased;
            shared = &mut shared => shared,
            () = expired => {
                let status = Status::new(Code::DeadlineExceeded, DEADLINE_EXCEEDED);
                return Err(Unanswered::Status(status));
            }
            never = overtaken => match never {},
        };
        match shared {
            Ok(Shared::Outcome(outcome)) if !joins || is_fresh(&outcome, mark) => *outcome,
            Ok(_) | Err(_) => self.send(call, plan, started).await,
        }
    }

    /// What is under way takes long; whoever waits for its end does so no longer.
    fn overtake(self: &Arc<Self>, flight: Flight) {
        let next = self.reads.lock().overtake(flight);
        self.depart(next);
    }

    /// Sends a batch, in the background: whoever of it leaves must not end it.
    fn depart(self: &Arc<Self>, next: Option<Flight>) {
        if let Some(flight) = next {
            self.reads.metrics.batches.inc();
            tokio::spawn(batch(self.clone(), flight));
        }
    }
}

/// One call for all that wait for it. It ends with the last of them.
async fn batch(proxy: Arc<Proxy>, flight: Flight) {
    let sending = Sending::new(&proxy, flight);
    let now = Instant::now();
    let first = {
        let mut table = proxy.reads.lock();
        let members = table.members(flight);
        // As long as anybody waits.
        let deadline = members.iter().try_fold(now, |latest, waiter| Some(latest.max(waiter.copy.deadline?)));
        members.first_mut().map(|first| (first.copy.call_until(deadline, now), first.plan))
    };
    let Some((call, plan)) = first else { return };
    let deserted = poll_fn(|cx| {
        let mut table = proxy.reads.lock();
        let is_gone = |waiter: &mut Waiter| waiter.outcome.poll_closed(cx).is_ready();
        // All are asked, so that all wake this.
        let here = table.waiters(flight).map(is_gone).filter(|gone| !gone).count();
        if here == 0 { Poll::Ready(()) } else { Poll::Pending }
    });
    tokio::select! {
        biased;
        outcome = proxy.send(call, plan, now) => sending.end_batch(outcome),
        () = deserted => {}
    }
}

/// A call under way, in the table as long as it is.
pub(super) struct Sending<'a> {
    proxy: &'a Arc<Proxy>,
    flight: Flight,
    done: bool,
}

impl<'a> Sending<'a> {
    pub fn new(proxy: &'a Arc<Proxy>, flight: Flight) -> Self {
        Self { proxy, flight, done: false }
    }

    /// Of a call that its own client has sent: those who joined it get what is everybody's.
    pub fn end(mut self, outcome: &Result<Answered, Unanswered>) {
        self.done = true;
        let reads = &self.proxy.reads;
        let landed = reads.lock().land(self.flight, is_whole(outcome), Instant::now());
        for waiter in landed.joined {
            reads.deliver(waiter, copy(outcome, true));
        }
        for waiter in landed.released {
            reads.deliver(waiter, Shared::Nothing);
        }
        self.proxy.depart(landed.next);
    }

    fn end_batch(mut self, outcome: Result<Answered, Unanswered>) {
        self.done = true;
        let reads = &self.proxy.reads;
        let landed = reads.lock().land(self.flight, is_whole(&outcome), Instant::now());
        for waiter in landed.joined {
            reads.deliver(waiter, copy(&outcome, true));
        }
        for waiter in landed.released {
            reads.deliver(waiter, Shared::Nothing);
        }
        let mut members = landed.members.into_iter();
        let last = members.next_back();
        for waiter in members {
            reads.deliver(waiter, copy(&outcome, false));
        }
        if let Some(waiter) = last {
            reads.deliver(waiter, Shared::Outcome(Box::new(outcome)));
        }
        self.proxy.depart(landed.next);
    }
}

impl Drop for Sending<'_> {
    /// Nobody waits for the call any longer who could end it; those who still wait get another.
    fn drop(&mut self) {
        if !self.done {
            let next = self.proxy.reads.lock().abandon(self.flight);
            self.proxy.depart(next);
        }
    }
}

/// Whether an answer under way will do, if it is fresh enough.
fn joins(plan: &Plan) -> bool {
    plan.kind == Some(Kind::SerializableRead)
}

/// Whether all of it is here, so that it can be given to several.
fn is_whole(outcome: &Result<Answered, Unanswered>) -> bool {
    outcome.as_ref().map_or(true, |answered| answered.answer.is_complete())
}

/// For one more. An error is for those only for whom the call was sent: it may be about its deadline.
fn copy(outcome: &Result<Answered, Unanswered>, joined: bool) -> Shared {
    match outcome {
        Ok(answered) if joined && retry::is_error(&answered.plan, &answered.answer) => Shared::Nothing,
        Ok(answered) => answered.copy().map_or(Shared::Nothing, |copy| Shared::Outcome(Box::new(Ok(copy)))),
        Err(_) if joined => Shared::Nothing,
        Err(unanswered) => Shared::Outcome(Box::new(Err(unanswered.clone()))),
    }
}

/// Whether the answer shows all that the node had seen.
fn is_fresh(outcome: &Result<Answered, Unanswered>, mark: i64) -> bool {
    let revision = |answered: &Answered| answered.header.map(|header| header.revision);
    outcome.as_ref().ok().and_then(revision).is_some_and(|revision| revision >= mark)
}

/// A read takes a healthy cluster a few milliseconds. What takes longer may be stuck on a member
/// that whoever comes later would not be sent to.
const OVERTAKE: Duration = Duration::from_millis(50);
