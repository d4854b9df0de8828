//! A cluster, a sidecar in front of it, load through the sidecar; and the judgement at the end.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{AFTERMATH, CALM, WARM_UP};
use crate::support::control::Control;
use crate::support::etcd::Cluster;
use crate::support::load::{Class, Fate, Load, Report, Streams, audit};
use crate::support::sidecar::Sidecar;

pub(super) struct Scene {
    load: Load,
    sidecar: Sidecar,
    pub(super) cluster: Cluster,
    pub(super) leader: usize,
}

/// A fault that has just begun.
pub(super) struct Fault {
    at: Instant,
    /// When it was complete.
    done: Instant,
    pub(super) election: Duration,
}

/// What was measured, and every promise that it breaks.
pub(super) struct Verdict {
    report: Report,
    sidecar_log: String,
    broken: Vec<String>,
}

impl Scene {
    pub(super) fn start() -> Self {
        Self::of(Cluster::start(3))
    }

    /// Returns when the load has run for long enough that the sidecar knows the cluster.
    pub(super) fn of(cluster: Cluster) -> Self {
        Self::with_streams(cluster, Streams::default())
    }

    /// The same, with these in the load.
    pub(super) fn with_streams(mut cluster: Cluster, streams: Streams) -> Self {
        let sidecar = Sidecar::start(&cluster.endpoints());
        let load = Load::with_streams(&sidecar.url(), streams);
        sleep(WARM_UP);
        let leader = cluster.leader();
        Self { load, sidecar, cluster, leader }
    }

    /// A member that does not lead, the first or the second one.
    pub(super) fn follower(&self, number: usize) -> usize {
        (self.leader + 1 + number) % self.cluster.members.len()
    }

    /// Lets `fault` happen, waits until the members without `lost` can write, and then for the aftermath.
    pub(super) fn suffer(&mut self, lost: usize, fault: impl FnOnce(&mut Cluster)) -> Fault {
        let at = Instant::now();
        fault(&mut self.cluster);
        let done = Instant::now();
        let mut survivors = self.cluster.endpoints();
        survivors.remove(lost);
        let election = Control::start(survivors).first_success(at);
        sleep(AFTERMATH);
        Fault { at, done, election }
    }

    /// Waits until the cluster is whole again, ends the load, and compares what was acked with what is there.
    pub(super) fn conclude(mut self, what: &str, fault: Option<&Fault>) -> Verdict {
        self.cluster.wait_healthy();
        sleep(CALM);
        let report = self.load.stop();
        println!("\n{what}");
        if let Some(Fault { at, done: _, election }) = fault {
            let after = at.saturating_duration_since(report.started).as_secs_f64();
            println!("fault at {after:.1} s, writable again after {:.3} s", election.as_secs_f64());
        }
        println!("{report}");
        let broken = audit(&self.cluster.members[0].endpoint(), &report);
        let mut verdict = Verdict { report, sidecar_log: self.sidecar.log(), broken };
        let panicked = verdict.sidecar_log.contains("panic");
        verdict.expect(!panicked, || "the sidecar panicked".into());
        let hung = verdict.report.without_status();
        verdict.expect(hung == 0, || format!("{hung} calls ended without a status or with a stale answer"));
        verdict
    }
}

impl Verdict {
    pub(super) fn expect(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.broken.push(otherwise());
        }
    }

    pub(super) fn no_failed_read(mut self) -> Self {
        for class in [Class::Linearizable, Class::Serializable] {
            let failed = self.report.of(class).failed;
            self.expect(failed == 0, || format!("{failed} × {} failed", class.name()));
        }
        self
    }

    pub(super) fn no_failed_call(self) -> Self {
        let mut verdict = self.no_failed_read();
        let failed = verdict.report.of(Class::Put).failed;
        verdict.expect(failed == 0, || format!("{failed} × put failed"));
        verdict
    }

    /// Of any class.
    pub(super) fn stall_max(mut self, max: Duration) -> Self {
        for class in Class::ALL {
            let stall = self.report.of(class).stall();
            self.expect(stall <= max, || {
                format!("{}: stalled for {stall:.3?}, allowed are {max:.3?}", class.name())
            });
        }
        self
    }

    /// A call that fails does so soon.
    pub(super) fn failures_within(mut self, max: Duration) -> Self {
        for class in Class::ALL {
            let longest = self.report.of(class).longest_failed.length;
            self.expect(longest <= max, || {
                format!("{}: a call failed only after {longest:.3?}, allowed are {max:.3?}", class.name())
            });
        }
        self
    }

    /// How many writes may have been on their way to the member that failed.
    pub(super) fn puts_in_flight(&self, fault: &Fault) -> usize {
        // The sidecar may write to a connection before it reads that it is gone.
        self.report.in_flight(Class::Put, fault.at, fault.done + NOTICE)
    }

    /// [`WORKERS`](crate::support::load::WORKERS) are ever in flight.
    pub(super) fn ambiguous_max(mut self, max: usize) -> Self {
        let ambiguous = self.report.count(Fate::Ambiguous);
        self.expect(ambiguous <= max, || format!("{ambiguous} ambiguous writes, allowed are {max}"));
        self
    }

    /// Elections take less time than writes are held.
    pub(super) fn none_refused(mut self) -> Self {
        let refused = self.report.count(Fate::Refused);
        self.expect(refused == 0, || format!("{refused} writes were refused"));
        self
    }

    /// Every failed put says exactly this.
    pub(super) fn puts_fail_only_by(mut self, code: u32, message: &str) -> Self {
        let summary = self.report.of(Class::Put);
        let others = summary
            .failures
            .keys()
            .filter(|(found_code, found)| *found_code != Some(code) || found != message);
        let others: Vec<_> = others.cloned().collect();
        self.expect(others.is_empty(), || format!("puts failed otherwise than by {message:?}: {others:?}"));
        self
    }

    /// Every watcher saw every acked write, once and in order, and every lease lives.
    pub(super) fn nothing_lost(mut self) -> Self {
        self.broken.extend(self.report.watch_violations());
        self.broken.extend(self.report.leases_lost());
        self
    }

    /// No stream ended more often than that.
    pub(super) fn breaks_max(mut self, watch: usize, keep_alive: usize) -> Self {
        for (what, breaks, max) in [
            ("watch", self.report.watch_breaks(), watch),
            ("keep-alive", self.report.keep_alive_breaks(), keep_alive),
        ] {
            let worst = breaks.iter().max().copied().unwrap_or_default();
            self.expect(worst <= max, || {
                format!("{what} streams broke so often: {breaks:?}, allowed is {max}")
            });
        }
        self
    }

    pub(super) fn keep_alive_stall_max(mut self, max: Duration) -> Self {
        let stall = self.report.keep_alive_stall();
        self.expect(stall.length <= max, || format!("a keep-alive took {stall}, allowed are {max:.3?}"));
        self
    }

    pub(super) fn watch_lag_max(mut self, max: Duration) -> Self {
        let lag = self.report.watch_lag();
        self.expect(lag <= max, || {
            format!("an acked write was shown after {lag:.3?}, allowed are {max:.3?}")
        });
        self
    }

    pub(super) fn pronounce(self) {
        let Self { report: _, sidecar_log, broken } = self;
        if broken.is_empty() {
            return;
        }
        let lines: Vec<&str> = sidecar_log.lines().collect();
        let tail = lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n");
        println!("the end of the sidecar's log:\n{tail}");
        let listed = broken[..broken.len().min(LISTED_MAX)].join("\n  ");
        panic!("{} promises broken:\n  {listed}", broken.len());
    }
}

/// A step of the scheduler on a busy machine.
const NOTICE: Duration = Duration::from_millis(20);
const LISTED_MAX: usize = 20;
const LOG_TAIL_LINES: usize = 40;
