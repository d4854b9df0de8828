use std::fmt;

use crate::contender::Contender;
use crate::results::{Metric, Results, Summary};
use crate::workload::Workload;

/// What etcdlet promises of itself, judged on the medians of rounds.
#[derive(Debug)]
pub(crate) struct Limit {
    workload: Workload,
    metric: Metric,
    bound: Bound,
    reason: &'static str,
}

#[derive(Debug)]
enum Bound {
    AtMost(f64),
    /// So many times the figure of another, and so much more.
    AtMostTimes {
        factor: f64,
        contender: Contender,
        plus: f64,
    },
}

#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) limit: &'static Limit,
    pub(crate) outcome: Outcome,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    Broken {
        figure: f64,
        bound: f64,
    },
    Held {
        figure: f64,
        bound: f64,
    },
    /// The options left out what it compares.
    Skipped,
}

pub(crate) fn judge(results: &Results) -> Vec<Verdict> {
    LIMITS.iter().map(|limit| Verdict { limit, outcome: limit.outcome(results) }).collect()
}

/// A run that judged nothing proves nothing.
pub(crate) fn hold(verdicts: &[Verdict]) -> bool {
    let judged = verdicts.iter().any(|verdict| matches!(verdict.outcome, Outcome::Held { .. }));
    let broken = verdicts.iter().any(|verdict| matches!(verdict.outcome, Outcome::Broken { .. }));
    judged && !broken
}

impl Limit {
    fn outcome(&self, results: &Results) -> Outcome {
        let own = results.rounds(self.workload, self.metric, Contender::Etcdlet);
        let bounds: Vec<f64> = match self.bound {
            Bound::AtMost(bound) => vec![bound; own.len()],
            Bound::AtMostTimes { factor, contender, plus } => results
                .rounds(self.workload, self.metric, contender)
                .iter()
                .map(|figure| figure * factor + plus)
                .collect(),
        };
        // The machine's mood in a round concerns both sides of it.
        let excess = own.iter().zip(&bounds).map(|(own, bound)| own - bound).collect();
        let (Some(excess), Some(figure), Some(bound)) =
            (Summary::of(excess), Summary::of(own.to_vec()), Summary::of(bounds))
        else {
            return Outcome::Skipped;
        };
        let (figure, bound) = (figure.median, bound.median);
        if excess.median <= 0.0 { Outcome::Held { figure, bound } } else { Outcome::Broken { figure, bound } }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, figures) = match self.outcome {
            Outcome::Broken { figure, bound } => ("BROKEN", format!("{figure:.1} > {bound:.1}")),
            Outcome::Held { figure, bound } => ("held", format!("{figure:.1} <= {bound:.1}")),
            Outcome::Skipped => ("skipped", "not measured".to_owned()),
        };
        let Limit { workload, metric, bound, reason } = self.limit;
        let bound = match bound {
            Bound::AtMost(bound) => bound.to_string(),
            Bound::AtMostTimes { factor, contender, plus: 0.0 } => format!("{factor} x {contender}"),
            Bound::AtMostTimes { factor, contender, plus } => format!("{factor} x {contender} + {plus}"),
        };
        let subject = format!("{workload}: {} at most {bound}", metric.title());
        write!(formatter, "{word:<8}{subject:<66}{figures:<20}{reason}")
    }
}

/// What a sidecar that knows its cluster may cost beyond one that only forwards: it tells a read from a
/// write, keeps a copy to send again, and chooses a member.
const KNOWING_CPU_US: f64 = 4.0;

const LIMITS: [Limit; 12] = [
    Limit {
        workload: Workload::Get,
        metric: Metric::ProxyCpuUs,
        bound: cpu_of(1.0, Contender::HaproxyH2),
        reason: "nobody should pay more than for the general-purpose proxy they run already",
    },
    Limit {
        workload: Workload::Get,
        metric: Metric::ProxyCpuUs,
        bound: cpu_of(0.25, Contender::GrpcProxy),
        reason: "a per-node agent in place of etcd's own proxy must be affordable on every node",
    },
    Limit {
        workload: Workload::Put,
        metric: Metric::ProxyCpuUs,
        bound: cpu_of(1.0, Contender::HaproxyH2),
        reason: "as for get",
    },
    Limit {
        workload: Workload::Put,
        metric: Metric::ProxyCpuUs,
        bound: cpu_of(0.33, Contender::GrpcProxy),
        reason: "as for get, with room for tracking a call that must not be sent twice",
    },
    Limit {
        workload: Workload::GetSerial,
        metric: Metric::P50AddedUs,
        bound: cpu_of(1.0, Contender::HaproxyH2),
        reason: "one caller that waits feels every wake-up that the proxy adds",
    },
    Limit {
        workload: Workload::PutSerial,
        metric: Metric::P50AddedUs,
        bound: cpu_of(1.0, Contender::HaproxyH2),
        reason: "as for get-serial",
    },
    Limit {
        workload: Workload::Range,
        metric: Metric::ProxyCpuUs,
        bound: times(0.3, Contender::GrpcProxy),
        reason: "large replies pass as bytes, never as decoded messages",
    },
    Limit {
        workload: Workload::Memory,
        metric: Metric::RestResidentMib,
        bound: Bound::AtMost(20.0),
        reason: "it runs on every node, used or not",
    },
    Limit {
        workload: Workload::Memory,
        metric: Metric::WatchesResidentMib,
        bound: Bound::AtMost(60.0),
        reason: "about 40 KiB a connection beyond rest, so that a busy node needs no larger request",
    },
    Limit {
        workload: Workload::ClusterPut,
        metric: Metric::P50Us,
        bound: times(1.0, Contender::Direct),
        reason: "the leader spares a put the way over a follower: a client is faster with it than without",
    },
    Limit {
        workload: Workload::ClusterGet,
        metric: Metric::ProxyCpuUs,
        bound: cpu_of(1.0, Contender::HaproxyH2),
        reason: "as for get: it chooses a member for each call, where haproxy takes the next one",
    },
    Limit {
        workload: Workload::ClusterPut,
        metric: Metric::ProxyCpuUs,
        bound: cpu_of(1.0, Contender::HaproxyH2),
        reason: "as for cluster-get",
    },
];

const fn times(factor: f64, contender: Contender) -> Bound {
    Bound::AtMostTimes { factor, contender, plus: 0.0 }
}

const fn cpu_of(factor: f64, contender: Contender) -> Bound {
    Bound::AtMostTimes { factor, contender, plus: KNOWING_CPU_US }
}
