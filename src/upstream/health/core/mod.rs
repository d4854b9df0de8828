//! What is known of the members, and what follows from it.
//!
//! ```text
//!   seeds, member list ─> roster ─┐
//!   answers of probes ────────────┼─> tracked ─> claims (who leads?) ─> diagnosis ─> View
//!   silence of calls, failures ───┘                 └─ suspicion ─> schedule ─> Probe
//! ```
//!
//! Invariants: a member is out only for a reason that is said; whoever was out comes back only
//! by a read that went through the leader after its fall; a leader is believed by the highest
//! term and as long as no majority denies it; nobody is called silent by a node that hears from
//! nobody; failing discovery or probing removes no member.

mod claims;
mod diagnosis;
mod roster;
mod schedule;
mod tracked;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use roster::{ListedMember, Seed};

use super::config::Config;
use crate::types::ids::{ClusterId, EndpointId, MemberId, Term};
use crate::upstream::view::{Endpoint, Reason, Report, View};
use crate::upstream::vitals::Path;
use claims::Claim;
use schedule::Suspicion;
use tracked::Tracked;

pub struct Core {
    config: Config,
    rng: fastrand::Rng,
    members: Vec<Tracked>,
    endpoints_made: u32,
    /// Voters by the last member list.
    voters_listed: Option<usize>,
    pin: Pin,
    claim: Option<Claim>,
    suspicion: Option<Suspicion>,
    /// When the last one began and ended.
    last_suspicion: Option<(Instant, Instant)>,
    sticky: Option<EndpointId>,
    discovery_error: Option<String>,
    sync: schedule::Sync,
    outputs: VecDeque<Output>,
    /// Something that the view shows has changed.
    changed: bool,
}

/// The cluster that calls go to.
struct Pin {
    cluster: Option<ClusterId>,
    by_hand: bool,
    /// The first report of a seed, while there is no cluster yet.
    asked_since: Option<Instant>,
    /// Every seed that answers says that it belongs to this one, since then.
    other: Option<(ClusterId, Instant)>,
    epoch: u64,
}

#[derive(Clone, Debug)]
pub enum Output {
    News(News),
    Probe(EndpointId, Probe),
    /// The endpoint is gone; its prober may go.
    Removed(EndpointId),
    View(Arc<View>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    Members,
    /// A linearizable read of nothing.
    Read,
    Status,
}

/// What an operator wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// `first` of this process: no change of the leader.
    Elected {
        leader: MemberId,
        term: Term,
        first: bool,
    },
    Ejected {
        endpoint: Endpoint,
        reason: Reason,
        detail: String,
    },
    LeaderLost {
        term: Term,
    },
    Pinned(ClusterId),
    Removed(Endpoint),
    Replaced {
        old: ClusterId,
        new: ClusterId,
    },
    Returned(Endpoint),
}

/// How a probe ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Not ended yet, but the process runs.
    Alive,
    /// It answers, but Status is not for us; its own health check may say more.
    Closed {
        not_ready: Option<String>,
    },
    /// No connection, or it was lost.
    Failed(String),
    /// It takes connections, but none has ever come to an answer: another protocol, or TLS fails.
    Garbled(String),
    /// The endpoint is this very process.
    Loop,
    /// By a member of this cluster.
    Members(ClusterId, Vec<ListedMember>),
    /// The read went through the leader.
    Read,
    /// An error that proves nothing but life.
    Refused(String),
    Status(Report),
    TimedOut,
}

impl Core {
    pub fn new(config: Config, seed: u64, now: Instant) -> Self {
        let pin = Pin {
            cluster: config.cluster_id,
            by_hand: config.cluster_id.is_some(),
            asked_since: None,
            other: None,
            epoch: 0,
        };
        Self {
            config,
            rng: fastrand::Rng::with_seed(seed),
            members: Vec::new(),
            endpoints_made: 0,
            voters_listed: None,
            pin,
            claim: None,
            suspicion: None,
            last_suspicion: None,
            sticky: None,
            discovery_error: None,
            sync: schedule::Sync::new(now),
            outputs: VecDeque::new(),
            changed: true,
        }
    }

    pub fn handle_outcome(
        &mut self,
        endpoint: EndpointId,
        probe: Probe,
        sent_at: Instant,
        outcome: Outcome,
        now: Instant,
    ) {
        let Some(place) = self.members.iter().position(|member| member.endpoint.id == endpoint) else {
            return;
        };
        let was_reachable = self.members[place].failure.is_none();
        match outcome {
            Outcome::Members(cluster, list) => {
                self.members[place].members.on_answer(sent_at);
                if self.is_ours(cluster) {
                    self.handle_member_list(&list, now);
                }
            }
            Outcome::Status(report) => self.handle_report(place, report),
            outcome => self.members[place].on_outcome(probe, sent_at, outcome),
        }
        if was_reachable && self.members.get(place).is_some_and(|member| member.failure.is_some()) {
            self.suspect(now);
        }
        self.assess(now);
    }

    /// A probe made the round trip on a connection that was open.
    pub fn handle_latency(&mut self, endpoint: EndpointId, latency: Duration) {
        if let Some(member) = self.members.iter().find(|member| member.endpoint.id == endpoint) {
            member.vitals.on_probe_latency(latency);
        }
    }

    /// Calls wait for this member, and none has been answered for so long.
    pub fn handle_silence(&mut self, endpoint: EndpointId, path: Path, silence: Duration, now: Instant) {
        let suspicion_after = self.config.suspicion_after;
        let Some(member) = self.members.iter_mut().find(|member| member.endpoint.id == endpoint) else {
            return;
        };
        if member.is_silence_news(path, silence, suspicion_after) {
            self.suspect(now);
            self.assess(now);
        }
    }

    /// A call met something that a healthy cluster does not do.
    pub fn handle_suspicion(&mut self, now: Instant) {
        self.suspect(now);
        self.assess(now);
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        self.assess(now);
        self.send_probes(now);
    }

    pub fn endpoint(&self, id: EndpointId) -> Option<&Endpoint> {
        self.members.iter().map(|member| &member.endpoint).find(|endpoint| endpoint.id == id)
    }

    pub fn poll_output(&mut self, now: Instant) -> Option<Output> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        std::mem::take(&mut self.changed).then(|| Output::View(Arc::new(self.view(now))))
    }

    fn handle_report(&mut self, place: usize, report: Report) {
        let others = self.members.iter().enumerate().filter(|(other, _)| *other != place);
        // What is gone may be of another life of the cluster, before a restore.
        let ahead = others.filter(|(_, other)| other.voice().is_some());
        let applied_elsewhere =
            ahead.filter_map(|(_, other)| other.applied_before(report.cluster_id, report.sent_at)).max();
        let lag = applied_elsewhere.unwrap_or(0).saturating_sub(report.applied_index);
        let lags = lag > self.config.lag_entries_max;
        self.members[place].on_report(report, lags);
        self.changed = true;
    }

    /// Draws the conclusions from all that is known.
    fn assess(&mut self, now: Instant) {
        self.assess_pin(now);
        self.assess_claim(now);
        self.assess_standings(now);
        self.assess_suspicion(now);
    }

    fn is_ours(&self, cluster: ClusterId) -> bool {
        self.pin.cluster.is_none_or(|pinned| pinned == cluster)
    }
}
