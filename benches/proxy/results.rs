use std::collections::BTreeMap;

use crate::contender::Contender;
use crate::options::Options;
use crate::workload::Workload;

/// The order is that of the rows.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Metric {
    ProxyCpuUs,
    EtcdCpuUs,
    CallsPerSecond,
    P50Us,
    P99Us,
    P50AddedUs,
    ProxyCpuEventUs,
    EtcdCpuEventUs,
    EtcdCpuAddedUs,
    EventsPerSecond,
    CreatedSecs,
    UpstreamWatches,
    RenewalsPart,
    RestResidentMib,
    RestAnonymousMib,
    WatchesResidentMib,
    WatchesAnonymousMib,
}

/// Every figure of a run, by round.
#[derive(Debug)]
pub(crate) struct Results {
    pub(crate) contenders: Vec<Contender>,
    pub(crate) workloads: Vec<Workload>,
    figures: BTreeMap<(Workload, Metric, Contender), Vec<f64>>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Metric {
    pub(crate) const ALL: [Self; 17] = [
        Self::ProxyCpuUs,
        Self::EtcdCpuUs,
        Self::CallsPerSecond,
        Self::P50Us,
        Self::P99Us,
        Self::P50AddedUs,
        Self::ProxyCpuEventUs,
        Self::EtcdCpuEventUs,
        Self::EtcdCpuAddedUs,
        Self::EventsPerSecond,
        Self::CreatedSecs,
        Self::UpstreamWatches,
        Self::RenewalsPart,
        Self::RestResidentMib,
        Self::RestAnonymousMib,
        Self::WatchesResidentMib,
        Self::WatchesAnonymousMib,
    ];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::ProxyCpuUs => "proxy CPU per call, us",
            Self::EtcdCpuUs => "etcd CPU per call, us",
            Self::CallsPerSecond => "calls per second",
            Self::P50Us => "p50, us",
            Self::P99Us => "p99, us",
            Self::P50AddedUs => "p50 added to direct, us",
            Self::ProxyCpuEventUs => "proxy CPU per event, us",
            Self::EtcdCpuEventUs => "etcd CPU per event, us",
            Self::EtcdCpuAddedUs => "etcd CPU per event above one watch, us",
            Self::EventsPerSecond => "events per second",
            Self::CreatedSecs => "until all are created, s",
            Self::UpstreamWatches => "watches at the member",
            Self::RenewalsPart => "renewals per keep-alive",
            Self::RestResidentMib => "resident at rest, MiB",
            Self::RestAnonymousMib => "anonymous at rest, MiB",
            Self::WatchesResidentMib => "resident with watches, MiB",
            Self::WatchesAnonymousMib => "anonymous with watches, MiB",
        }
    }

    /// The name in machine-readable output.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::ProxyCpuUs => "proxy_cpu_us",
            Self::EtcdCpuUs => "etcd_cpu_us",
            Self::CallsPerSecond => "calls_per_second",
            Self::P50Us => "p50_us",
            Self::P99Us => "p99_us",
            Self::P50AddedUs => "p50_added_us",
            Self::ProxyCpuEventUs => "proxy_cpu_event_us",
            Self::EtcdCpuEventUs => "etcd_cpu_event_us",
            Self::EtcdCpuAddedUs => "etcd_cpu_added_event_us",
            Self::EventsPerSecond => "events_per_second",
            Self::CreatedSecs => "created_secs",
            Self::UpstreamWatches => "upstream_watches",
            Self::RenewalsPart => "renewals_part",
            Self::RestResidentMib => "rest_resident_mib",
            Self::RestAnonymousMib => "rest_anonymous_mib",
            Self::WatchesResidentMib => "watches_resident_mib",
            Self::WatchesAnonymousMib => "watches_anonymous_mib",
        }
    }
}

impl Results {
    pub(crate) fn new(options: &Options) -> Self {
        Self { contenders: options.contenders(), workloads: options.workloads(), figures: BTreeMap::new() }
    }

    /// Adds the figure of the next round.
    pub(crate) fn add(&mut self, workload: Workload, metric: Metric, contender: Contender, figure: f64) {
        self.figures.entry((workload, metric, contender)).or_default().push(figure);
    }

    /// Figures in the order of rounds; empty when not measured.
    pub(crate) fn rounds(&self, workload: Workload, metric: Metric, contender: Contender) -> &[f64] {
        self.figures.get(&(workload, metric, contender)).map_or(&[], Vec::as_slice)
    }

    /// Those that were measured, in the order of the columns.
    pub(crate) fn contenders_of(&self, workload: Workload) -> Vec<Contender> {
        let measured =
            |contender: &Contender| self.figures.keys().any(|(of, _, by)| *of == workload && by == contender);
        self.contenders.iter().copied().filter(measured).collect()
    }

    pub(crate) fn summary(
        &self,
        workload: Workload,
        metric: Metric,
        contender: Contender,
    ) -> Option<Summary> {
        Summary::of(self.rounds(workload, metric, contender).to_vec())
    }

    /// Median of the ratios within each round; none unless all of them are meaningful.
    pub(crate) fn ratio(
        &self,
        workload: Workload,
        metric: Metric,
        above: Contender,
        below: Contender,
    ) -> Option<f64> {
        let above = self.rounds(workload, metric, above);
        let below = self.rounds(workload, metric, below);
        if below.iter().any(|figure| *figure <= 0.0) {
            return None;
        }
        let ratios = above.iter().zip(below).map(|(above, below)| above / below);
        Some(Summary::of(ratios.collect())?.median)
    }
}

impl Summary {
    pub(crate) fn of(mut figures: Vec<f64>) -> Option<Self> {
        figures.sort_by(f64::total_cmp);
        let (min, max) = (*figures.first()?, *figures.last()?);
        let middle = figures.len() / 2;
        let median = if figures.len().is_multiple_of(2) {
            f64::midpoint(figures[middle - 1], figures[middle])
        } else {
            figures[middle]
        };
        Some(Self { median, min, max })
    }
}
