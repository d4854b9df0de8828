//! One attempt: a member is asked, or two, where the first is slow.

use std::time::{Duration, Instant};

use super::Proxy;
use super::copy::Copy;
use super::peek::Kind;
use super::retry;
use super::route::Plan;
use crate::types::method::Effect;
use crate::upstream::{Answer, Failure, Places, Sent};

impl Proxy {
    /// Waits for the answer; a serializable read may ask a second member meanwhile.
    pub(super) async fn attempt(
        &self,
        sent: Sent,
        plan: &Plan,
        copy: &Copy,
        mark: i64,
    ) -> (usize, Result<Answer, Failure>) {
        let place = sent.place;
        let serializable = plan.kind == Some(Kind::SerializableRead) && !plan.named;
        let hedge_after = if serializable { self.settings.load().retry.hedge_after } else { None };
        match hedge_after {
            Some(after) => Box::pin(self.hedged(sent, plan, copy, mark, after)).await,
            None => (place, self.receive(sent, plan).await),
        }
    }

    /// What a read brings from another cluster is no answer to it. A mutation happened there, which
    /// its client has to know.
    async fn receive(&self, sent: Sent, plan: &Plan) -> Result<Answer, Failure> {
        let answer = self.upstream.answer(sent).await?;
        if plan.effect != Effect::Read {
            return Ok(answer);
        }
        match retry::cluster(plan, &answer).filter(|cluster| answer.from.is_foreign(*cluster)) {
            Some(cluster) => Err(self.upstream.count(Failure::Foreign(cluster))),
            None => Ok(answer),
        }
    }

    async fn hedged(
        &self,
        sent: Sent,
        plan: &Plan,
        copy: &Copy,
        mark: i64,
        after: Duration,
    ) -> (usize, Result<Answer, Failure>) {
        let place = sent.place;
        let mut first = std::pin::pin!(self.receive(sent, plan));
        tokio::select! {
            biased;
            outcome = &mut first => return (place, outcome),
            () = tokio::time::sleep(after) => {}
        }
        let Some(second) = self.second_of(place, plan, copy) else { return (place, first.await) };
        let other = second.place;
        let mut second = std::pin::pin!(self.receive(second, plan));
        let (outcome, by) = tokio::select! {
            outcome = &mut first => (outcome, place),
            outcome = &mut second => (outcome, other),
        };
        let (by, outcome) = if retry::judge(plan, &outcome, mark).is_none() {
            (by, outcome)
        } else {
            // The other one may still do; not for ever, where this one has an answer, if a stale one.
            let answers = |outcome: &Result<Answer, Failure>| {
                outcome.as_ref().is_ok_and(|answer| !retry::is_error(plan, answer))
            };
            let limit = if answers(&outcome) { self.settings.load().watermark_wait } else { Duration::MAX };
            let rest = async { if by == place { (other, second.await) } else { (place, first.await) } };
            match tokio::time::timeout(limit, rest).await {
                Ok((by, last)) if answers(&last) || !answers(&outcome) => (by, last),
                Ok(_) | Err(_) => (by, outcome),
            }
        };
        let outcome_label = if by == other { "won" } else { "lost" };
        self.metrics.hedges.with_label_values(&[outcome_label]).inc();
        (by, outcome)
    }

    fn second_of(&self, place: usize, plan: &Plan, copy: &Copy) -> Option<Sent> {
        let now = Instant::now();
        let mut tried = Places::default();
        tried.insert(place);
        if !copy.is_whole() || !self.upstream.has_untried(tried) {
            return None;
        }
        if !self.retries.withdraw(&self.settings.load().retry, now) {
            self.metrics.budget_exhausted.inc();
            return None;
        }
        self.upstream.try_send(copy.call(now), &plan.route, tried).ok()
    }
}
