//! A call whose first attempt did not do: it waits, is held, or goes to another member.

use std::time::{Duration, Instant};

use super::copy::Copy;
use super::hold::Held;
use super::peek::Kind;
use super::retry::{self, Reason};
use super::route::Plan;
use super::watermark::Waited;
use super::{Proxy, Unanswered};
use crate::types::call::Call;
use crate::types::hop;
use crate::types::method::Effect;
use crate::types::status::{Code, NO_LEADER_NOT_SENT, Status};
use crate::upstream::view::Leader;
use crate::upstream::{Aim, Answer, Blocked, Failure, Places, Unsent};

/// The state of a call that goes on.
struct Persistence {
    plan: Plan,
    /// When the call arrived.
    started: Instant,
    /// The watermark of that moment.
    mark: i64,
    tried: Places,
    rounds: u32,
    held: Option<Held>,
    /// The best that there is while something fresher is looked for.
    freshest: Option<Answer>,
    fresh_until: Instant,
    /// How the last attempt failed, for want of a better answer.
    failed: Option<Result<Answer, Failure>>,
    /// Some member has got the call.
    asked: bool,
}

impl Proxy {
    /// Goes on after a first attempt that was not even sent.
    pub(super) async fn persist_unsent(
        &self,
        plan: Plan,
        copy: Copy,
        unsent: Box<Unsent>,
        started: Instant,
        mark: i64,
    ) -> Result<Answer, Unanswered> {
        let state = Persistence::new(plan, started, mark);
        self.go_on(state, copy, Next::Unsent(unsent)).await
    }

    /// Goes on after a first attempt at `place` that ended like this.
    pub(super) async fn persist(
        &self,
        plan: Plan,
        copy: Copy,
        (place, outcome): (usize, Result<Answer, Failure>),
        started: Instant,
        mark: i64,
    ) -> Result<Answer, Unanswered> {
        let state = Persistence::new(plan, started, mark);
        self.go_on(state, copy, Next::Ended(place, Box::new(outcome))).await
    }

    async fn go_on(
        &self,
        mut state: Persistence,
        mut copy: Copy,
        mut next: Next,
    ) -> Result<Answer, Unanswered> {
        loop {
            next = match next {
                Next::Call(call) => match self.upstream.try_send(call, &state.plan.route, state.tried) {
                    Ok(sent) => {
                        state.held = None;
                        let attempt = self.attempt(sent, &state.plan, &copy, state.mark);
                        let ended = match state.freshest.is_some() {
                            true => tokio::time::timeout_at(state.fresh_until.into(), attempt).await.ok(),
                            false => Some(attempt.await),
                        };
                        let Some((place, outcome)) = ended else {
                            return state.deliver(self, Err(Failure::Evicted));
                        };
                        Next::Ended(place, Box::new(outcome))
                    }
                    Err(unsent) => Next::Unsent(unsent),
                },
                Next::Unsent(unsent) => match self.wait(&mut state, *unsent).await {
                    Ok(call) => Next::Call(call),
                    Err(Unanswered::Failed(failure)) if state.freshest.is_some() => {
                        return state.deliver(self, Err(failure));
                    }
                    Err(unanswered) => {
                        return match state.failed.take() {
                            None => Err(unanswered),
                            Some(outcome) => state.deliver(self, outcome),
                        };
                    }
                },
                Next::Ended(place, outcome) => {
                    let Some(reason) = retry::judge(&state.plan, &outcome, state.mark) else {
                        return state.deliver(self, *outcome);
                    };
                    let now = Instant::now();
                    let expired = copy.deadline.is_some_and(|deadline| now >= deadline);
                    if expired || state.plan.named || !copy.is_whole() {
                        return state.deliver(self, *outcome);
                    }
                    match self.turn(&mut state, &mut copy, place, reason, *outcome).await {
                        Turn::Again => Next::Call(copy.call(Instant::now())),
                        Turn::Deliver(outcome) => return state.deliver(self, *outcome),
                    }
                }
            };
        }
    }

    /// Prepares another attempt, or says that there is none.
    async fn turn(
        &self,
        state: &mut Persistence,
        copy: &mut Copy,
        place: usize,
        reason: Reason,
        outcome: Result<Answer, Failure>,
    ) -> Turn {
        let now = Instant::now();
        state.tried.insert(place);
        state.asked |= !matches!(outcome, Err(Failure::NoHttp(_) | Failure::Unreachable(_)));
        if reason == Reason::Stale {
            return self.look_for_fresher(state, copy, outcome, now).await;
        }
        if state.freshest.is_some() && now < state.fresh_until {
            // Another one may show it, or the same one in a moment.
            tokio::time::sleep(STALE_PAUSE).await;
            self.aim_at_the_freshest(state);
            return Turn::Again;
        }
        if state.freshest.is_some() || now >= state.started + self.settings.load().retry.read_limit {
            return Turn::Deliver(Box::new(outcome));
        }
        if !self.retries.withdraw(&self.settings.load().retry, now) {
            self.metrics.budget_exhausted.inc();
            return Turn::Deliver(Box::new(outcome));
        }
        self.metrics.retries.with_label_values(&[reason.label()]).inc();
        if matches!(reason, Reason::Foreign | Reason::NoLeader | Reason::Unavailable) {
            self.upstream.suspect();
        }
        state.failed = Some(outcome);
        if !self.upstream.has_untried(state.tried) {
            // Another round over the good ones, rather than a bad one that was not tried yet.
            state.next_round().await;
        }
        Turn::Again
    }

    /// The leader has applied what it has acknowledged; the others follow within milliseconds.
    async fn look_for_fresher(
        &self,
        state: &mut Persistence,
        copy: &mut Copy,
        outcome: Result<Answer, Failure>,
        now: Instant,
    ) -> Turn {
        let from_leader = outcome.as_ref().is_ok_and(|answer| answer.from.is_leader);
        let first = state.freshest.is_none();
        if first {
            let left = copy.deadline.map(|deadline| deadline.saturating_duration_since(now));
            // A stale answer is of use only while somebody waits for it.
            let wait =
                left.map_or(Duration::MAX, |left| left * 3 / 4).min(self.settings.load().watermark_wait);
            state.fresh_until = now + wait;
        }
        if let Ok(answer) = outcome {
            let revision = |answer: &Answer| retry::revision(&state.plan, answer);
            let better = |best: &Answer| revision(&answer) >= revision(best);
            if state.freshest.as_ref().is_none_or(better) {
                state.freshest = Some(answer);
            }
        }
        let leads = self.aim_at_leader(state);
        // An error has no revision to compare: the leader's word is the last on it. Outside of gRPC it may be
        // somebody else's, as nobody knows which of several `http-endpoints` is whose.
        let is_error =
            state.freshest.as_ref().is_some_and(|best| retry::revision(&state.plan, best).is_none());
        if now >= state.fresh_until || from_leader && is_error && !state.plan.gateway {
            self.watermark.on_waited(Waited::Stale);
            return match state.freshest.take() {
                Some(best) => Turn::Deliver(Box::new(Ok(best))),
                None => Turn::Again,
            };
        }
        // Few, and soon over: not in the budget of retries.
        self.metrics.retries.with_label_values(&[Reason::Stale.label()]).inc();
        if from_leader && copy.linearize() {
            // Either it has not applied all that it acknowledged, and waits until it has, or the
            // cluster was restored, and nobody ever gets there.
            state.plan.kind = Some(Kind::LinearizableRead);
            state.tried = Places::default();
        } else if !first {
            tokio::time::sleep(STALE_PAUSE).await;
            state.tried = Places::default();
        } else if leads {
            state.tried = Places::default();
        }
        Turn::Again
    }

    /// Returns whether there is a leader to be asked.
    fn aim_at_leader(&self, state: &mut Persistence) -> bool {
        let leads = matches!(self.upstream.view().leader, Leader::Known(_));
        state.plan.route.aim = if leads { Aim::Leader } else { Aim::Any };
        leads
    }

    /// For one more try, of whomever there is.
    fn aim_at_the_freshest(&self, state: &mut Persistence) {
        self.aim_at_leader(state);
        state.tried = Places::default();
    }

    /// Until the call can be sent, or should not wait any longer.
    async fn wait(&self, state: &mut Persistence, unsent: Unsent) -> Result<Call, Unanswered> {
        let Unsent { call, why } = unsent;
        let now = Instant::now();
        if state.freshest.is_some() {
            if now >= state.fresh_until || matches!(why, Blocked::Unsendable(_)) {
                return Err(Unanswered::Failed(Failure::Evicted));
            }
            // A connection to whoever is asked may just be made.
            self.changed_within((state.fresh_until - now).min(HOLD_RECHECK)).await;
            self.aim_at_the_freshest(state);
            return Ok(call);
        }
        match why {
            Blocked::Unsendable(why) => {
                return Err(Unanswered::Failed(self.upstream.count(Failure::Unsendable(why))));
            }
            Blocked::NoHttp(why) => {
                return Err(Unanswered::Failed(self.upstream.count(Failure::NoHttp(why))));
            }
            Blocked::Loop => {
                return Err(Unanswered::Status(Status::new(Code::FailedPrecondition, hop::LOOP)));
            }
            Blocked::Connecting if now >= state.started + self.connecting_limit() => {
                let why = format!("no connection within {:?}", self.connecting_limit());
                return Err(Unanswered::Failed(self.upstream.count(Failure::Unreachable(why))));
            }
            Blocked::Connecting => self.changed_within(HOLD_RECHECK).await,
            Blocked::NoLeader => self.hold(state, now).await?,
            Blocked::Unreachable(why) => {
                let limit = self.wait_limit(state);
                // A call that nobody could be asked fails at once, as one without etcdlet would.
                if !state.asked || now >= state.started + limit {
                    return Err(Unanswered::Failed(self.upstream.count(Failure::Unreachable(why))));
                }
                // Everybody had a turn.
                state.next_round().await;
            }
        }
        Ok(call)
    }

    /// How long a call waits for somebody to be sent to.
    fn wait_limit(&self, state: &Persistence) -> Duration {
        match state.plan.effect {
            Effect::Read => self.settings.load().retry.read_limit,
            Effect::Mutation | Effect::Peek => self.settings.load().hold.limit,
        }
    }

    /// How long a call waits for a connection, or for room on one. As long as any other wait: it
    /// ends earlier when the connections are refused.
    fn connecting_limit(&self) -> Duration {
        let settings = self.settings.load();
        settings.hold.limit.max(settings.retry.read_limit)
    }

    async fn hold(&self, state: &mut Persistence, now: Instant) -> Result<(), Unanswered> {
        let not_sent = || Unanswered::Status(Status::new(Code::Unavailable, NO_LEADER_NOT_SENT));
        let held = match &mut state.held {
            Some(held) => held,
            none => none.insert(self.holds.hold(&self.settings.load().hold, now).ok_or_else(not_sent)?),
        };
        let view = self.upstream.view();
        let leads = |place: usize| view.members[place].is_healthy();
        if now >= held.until.min(held.since + FORWARD_AFTER)
            && matches!(view.leader, Leader::Known(place) if leads(place))
        {
            // It lives, but takes no connection of ours: the others have theirs to it.
            state.held = None;
            state.plan.route.aim = Aim::Any;
            return Ok(());
        }
        if now >= held.until {
            held.on_timeout();
            if state.plan.effect != Effect::Read {
                return Err(not_sent());
            }
            // A read may be answered by somebody else.
            state.held = None;
            state.plan.route.aim = Aim::Any;
            return Ok(());
        }
        let left = held.until - now;
        state.tried = Places::default();
        self.changed_within(left.min(HOLD_RECHECK)).await;
        Ok(())
    }

    async fn changed_within(&self, limit: Duration) {
        // Too early is as good as in time: whoever waits tries again.
        let _elapsed = tokio::time::timeout(limit, self.upstream.changed()).await;
    }
}

enum Next {
    Call(Call),
    /// At this place; boxed, because an answer is large.
    Ended(usize, Box<Result<Answer, Failure>>),
    Unsent(Box<Unsent>),
}

enum Turn {
    Again,
    Deliver(Box<Result<Answer, Failure>>),
}

impl Persistence {
    fn new(plan: Plan, started: Instant, mark: i64) -> Self {
        Self {
            plan,
            started,
            mark,
            tried: Places::default(),
            rounds: 0,
            held: None,
            freshest: None,
            fresh_until: started,
            failed: None,
            asked: false,
        }
    }

    async fn next_round(&mut self) {
        self.tried = Places::default();
        let pause = retry::pause(self.rounds);
        self.rounds += 1;
        tokio::time::sleep(pause).await;
    }

    fn deliver(mut self, proxy: &Proxy, outcome: Result<Answer, Failure>) -> Result<Answer, Unanswered> {
        match (self.freshest.take(), outcome) {
            (None, outcome) => outcome.map_err(Unanswered::Failed),
            (Some(_), Ok(answer)) if !retry::is_error(&self.plan, &answer) => {
                let header = retry::header(&self.plan, &answer);
                match header.filter(|header| header.revision < self.mark) {
                    None => proxy.watermark.on_waited(Waited::Fresh),
                    Some(header)
                        if self.plan.kind == Some(Kind::LinearizableRead) && answer.from.is_leader =>
                    {
                        proxy.watermark.on_restored(header, self.mark, answer.from);
                    }
                    Some(_) => {}
                }
                Ok(answer)
            }
            // Better stale than nothing: that is what a serializable read asks for.
            (Some(best), Ok(_) | Err(_)) => {
                proxy.watermark.on_waited(Waited::Stale);
                Ok(best)
            }
        }
    }
}

/// Calls that wait look at the cluster at least this often.
const HOLD_RECHECK: Duration = Duration::from_millis(100);

/// By then a leader that has died would be known to have.
const FORWARD_AFTER: Duration = Duration::from_secs(1);

/// A follower is behind by a heartbeat at most, mostly by much less.
const STALE_PAUSE: Duration = Duration::from_millis(5);
