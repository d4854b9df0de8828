use std::fmt;

use crate::contender::Contender;
use crate::report::short;
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
    /// So many times the figure of another.
    LeastTimes {
        factor: f64,
        contender: Contender,
    },
    Most(f64),
    /// So many times the figure of another, and so much more.
    MostTimes {
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
        let times_of = |contender, factor, plus| {
            let figures = results.rounds(self.workload, self.metric, contender);
            figures.iter().map(|figure| figure * factor + plus).collect()
        };
        let bounds: Vec<f64> = match self.bound {
            Bound::Most(bound) => vec![bound; own.len()],
            Bound::LeastTimes { factor, contender } => times_of(contender, factor, 0.0),
            Bound::MostTimes { factor, contender, plus } => times_of(contender, factor, plus),
        };
        let sign = if matches!(self.bound, Bound::LeastTimes { .. }) { -1.0 } else { 1.0 };
        // The machine's mood in a round concerns both sides of it.
        let excess = own.iter().zip(&bounds).map(|(own, bound)| (own - bound) * sign).collect();
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
        let Limit { workload, metric, bound, reason } = self.limit;
        let (holds, breaks) = match bound {
            Bound::LeastTimes { .. } => (">=", "<"),
            Bound::Most(_) | Bound::MostTimes { .. } => ("<=", ">"),
        };
        let figures = |figure, sign, bound| format!("{} {sign} {}", short(figure), short(bound));
        let (word, figures) = match self.outcome {
            Outcome::Broken { figure, bound } => ("BROKEN", figures(figure, breaks, bound)),
            Outcome::Held { figure, bound } => ("held", figures(figure, holds, bound)),
            Outcome::Skipped => ("skipped", "not measured".to_owned()),
        };
        let bound = match bound {
            Bound::LeastTimes { factor, contender } => format!("at least {factor} x {contender}"),
            Bound::Most(bound) => format!("at most {bound}"),
            Bound::MostTimes { factor, contender, plus: 0.0 } => format!("at most {factor} x {contender}"),
            Bound::MostTimes { factor, contender, plus } => {
                format!("at most {factor} x {contender} + {plus}")
            }
        };
        let subject = format!("{workload}: {} {bound}", metric.title());
        write!(formatter, "{word:<8}{subject:<66}{figures:<20}{reason}")
    }
}

/// What a sidecar that knows its cluster may cost beyond one that only forwards: it tells a read from a
/// write, keeps a copy to send again, and chooses a member.
const KNOWING_CPU_US: f64 = 4.0;

const LIMITS: [Limit; 21] = [
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
        bound: Bound::Most(20.0),
        reason: "it runs on every node, used or not",
    },
    Limit {
        workload: Workload::Memory,
        metric: Metric::WatchesResidentMib,
        bound: Bound::Most(60.0),
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
    Limit {
        workload: Workload::Watch,
        metric: Metric::ProxyCpuEventUs,
        bound: Bound::Most(1.5),
        reason: "an event for many is received once and written many times, not forwarded many times",
    },
    Limit {
        workload: Workload::Watch,
        metric: Metric::EtcdCpuAddedUs,
        bound: Bound::Most(0.3),
        reason: "etcd must hardly notice how many watch",
    },
    Limit {
        workload: Workload::Watch,
        metric: Metric::EventsPerSecond,
        bound: Bound::LeastTimes { factor: 1.5, contender: Contender::Direct },
        reason: "who watches hears of it sooner than without a proxy",
    },
    Limit {
        workload: Workload::WatchNested,
        metric: Metric::ProxyCpuEventUs,
        bound: Bound::Most(2.0),
        reason: "as for watch, where the ranges have to be told apart",
    },
    Limit {
        workload: Workload::WatchMany,
        metric: Metric::CreatedSecs,
        bound: Bound::Most(10.0),
        reason: "after a restart of the proxy all its clients come at once",
    },
    Limit {
        workload: Workload::WatchMany,
        metric: Metric::UpstreamWatches,
        bound: Bound::Most(100.0),
        reason: "one for each thing that is watched, however many watch it",
    },
    Limit {
        workload: Workload::WatchMany,
        metric: Metric::WatchesResidentMib,
        bound: Bound::Most(200.0),
        reason: "20 KiB a watch at most",
    },
    Limit {
        workload: Workload::KeepAlive,
        metric: Metric::CallsPerSecond,
        bound: Bound::LeastTimes { factor: 1.0, contender: Contender::HaproxyTcp },
        reason: "who shares a renewal waits no longer for it than with one of his own",
    },
    Limit {
        workload: Workload::KeepAlive,
        metric: Metric::ProxyCpuUs,
        bound: times(2.0, Contender::HaproxyTcp),
        reason: "it reads and answers each message, where haproxy only copies bytes",
    },
];

const fn times(factor: f64, contender: Contender) -> Bound {
    Bound::MostTimes { factor, contender, plus: 0.0 }
}

const fn cpu_of(factor: f64, contender: Contender) -> Bound {
    Bound::MostTimes { factor, contender, plus: KNOWING_CPU_US }
}
