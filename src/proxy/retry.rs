//! Which outcomes may be followed by another attempt. etcd's own client retries less carefully:
//! here a call that may have changed something is sent once.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use http::HeaderValue;

use super::peek::{self, Header, Kind};
use super::route::Plan;
use super::{config, gateway};
use crate::types::ids::ClusterId;
use crate::types::method::Effect;
use crate::types::status::{
    Code, ETCD_FUTURE_REVISION, ETCD_LEARNER, ETCD_NO_LEADER, ETCD_RAFT_STOPPED, GRPC_MESSAGE, grpc_status,
    percent_decode,
};
use crate::upstream::{Answer, Failure};

/// Why a call is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Evicted,
    /// The answer is of another cluster.
    Foreign,
    Learner,
    Lost,
    NoLeader,
    Refused,
    /// The answer is older than what a client of this node has seen.
    Stale,
    Unavailable,
}

impl Reason {
    pub fn label(self) -> &'static str {
        match self {
            Self::Evicted => "evicted",
            Self::Foreign => "foreign",
            Self::Learner => "learner",
            Self::Lost => "lost",
            Self::NoLeader => "no leader",
            Self::Refused => "refused",
            Self::Stale => "stale",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Why this outcome should not be the client's, or `None` for one that should. `mark` is the
/// watermark of the moment at which the call arrived.
pub(super) fn judge(plan: &Plan, outcome: &Result<Answer, Failure>, mark: i64) -> Option<Reason> {
    let reads = plan.effect == Effect::Read;
    let answer = match outcome {
        Ok(answer) => answer,
        Err(Failure::NoHttp(_) | Failure::Refused | Failure::Unreachable(_)) => return Some(Reason::Refused),
        Err(Failure::Evicted) => return Some(Reason::Evicted),
        Err(Failure::Foreign(_)) => return Some(Reason::Foreign),
        Err(Failure::Lost(_)) => return reads.then_some(Reason::Lost),
        Err(Failure::Unsendable(_)) => return None,
    };
    if plan.gateway {
        if let Some((code, message)) = gateway::error_of(answer) {
            return judge_error(plan, reads, code, |text| message == text);
        }
    } else if let Some((code, message)) = error_of(answer) {
        let is = |text: &str| message.is_some_and(|message| percent_decode(message.as_bytes()) == text);
        return judge_error(plan, reads, code, is);
    }
    let is_stale =
        plan.kind == Some(Kind::SerializableRead) && revision(plan, answer).is_some_and(|r| r < mark);
    is_stale.then_some(Reason::Stale)
}

fn judge_error(plan: &Plan, reads: bool, code: Code, is: impl Fn(&str) -> bool) -> Option<Reason> {
    match code {
        // Interceptors say these before anything else is done.
        // Unavailable up to etcd 3.5.
        Code::FailedPrecondition | Code::Unavailable if is(ETCD_LEARNER) => Some(Reason::Learner),
        Code::Unavailable if is(ETCD_NO_LEADER) && (reads || plan.has_leader) => Some(Reason::NoLeader),
        // Where it is not the first, the member's own time was up, not the client's.
        Code::Unavailable | Code::Canceled | Code::DeadlineExceeded if reads => Some(Reason::Unavailable),
        Code::Unknown if reads && is(ETCD_RAFT_STOPPED) => Some(Reason::Unavailable),
        // A member that lags does not know what another one has shown.
        Code::OutOfRange if plan.kind == Some(Kind::SerializableRead) && is(ETCD_FUTURE_REVISION) => {
            Some(Reason::Stale)
        }
        _ => None,
    }
}

/// The error that an answer of gRPC is, as far as it is here.
pub(super) fn error_of(answer: &Answer) -> Option<(Code, Option<&HeaderValue>)> {
    let headers = match grpc_status(&answer.head.headers) {
        Some(_) => &answer.head.headers,
        None => answer.body.trailers.as_ref().filter(|_| answer.body.data.is_none())?,
    };
    let code = grpc_status(headers).filter(|code| *code != Code::Ok)?;
    Some((code, headers.get(&GRPC_MESSAGE)))
}

pub(super) fn is_error(plan: &Plan, answer: &Answer) -> bool {
    if plan.gateway { gateway::error_of(answer).is_some() } else { error_of(answer).is_some() }
}

/// etcd's header in an answer, as far as it is here.
pub(super) fn header(plan: &Plan, answer: &Answer) -> Option<Header> {
    if plan.gateway { gateway::header(answer) } else { peek::header(answer.body.data.as_ref()?) }
}

/// The cluster that an answer says it is of.
pub(super) fn cluster(plan: &Plan, answer: &Answer) -> Option<ClusterId> {
    header(plan, answer).map(|header| ClusterId(header.cluster_id))
}

/// The store's revision that an answer shows.
pub(super) fn revision(plan: &Plan, answer: &Answer) -> Option<i64> {
    header(plan, answer).map(|header| header.revision)
}

/// Keeps retries from making an overload worse: so many a second, and so many at once.
pub(super) struct Budget(Mutex<(f64, Instant)>);

impl Budget {
    /// Full.
    pub fn new(now: Instant) -> Self {
        Self(Mutex::new((f64::INFINITY, now)))
    }

    /// Takes one retry, if there is one left.
    pub fn withdraw(&self, config: &config::Retry, now: Instant) -> bool {
        let (rate, burst) = (f64::from(config.budget_rate), f64::from(config.budget_burst));
        let mut state = self.0.lock().expect("nobody panics while holding the budget");
        let (left, then) = *state;
        let left = (left + rate * now.saturating_duration_since(then).as_secs_f64()).min(burst);
        let granted = left >= 1.0;
        *state = (if granted { left - 1.0 } else { left }, now);
        granted
    }
}

/// Between rounds over the members: doubles up to [`PAUSE_MAX`], more or less a quarter by chance.
pub(super) fn pause(round: u32) -> Duration {
    let pause = PAUSE_MIN.saturating_mul(1 << round.min(10)).min(PAUSE_MAX);
    pause.mul_f64(0.75 + 0.5 * fastrand::f64())
}

/// As etcd's client.
const PAUSE_MIN: Duration = Duration::from_millis(25);

/// Short beside the least time that an election takes.
const PAUSE_MAX: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_allows_a_burst_and_then_a_rate() {
        let start = Instant::now();
        let config =
            config::Retry { read_limit: Duration::ZERO, budget_rate: 10, budget_burst: 3, hedge_after: None };
        let budget = Budget::new(start);
        let granted = |now| (0..5).filter(|_| budget.withdraw(&config, now)).count();
        assert_eq!(granted(start), 3);
        assert_eq!(granted(start + Duration::from_millis(200)), 2);
        assert_eq!(granted(start + Duration::from_secs(60)), 3);
    }

    #[test]
    fn pauses_grow_to_a_limit() {
        assert!(pause(0) < Duration::from_millis(32));
        assert!(pause(2) > pause(0));
        assert!(pause(40) <= PAUSE_MAX.mul_f64(1.25));
    }
}
