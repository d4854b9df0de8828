//! What is known of the members, in numbers.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};

use super::core::{News, Probe};
use crate::telemetry::metrics::Metrics;
use crate::upstream::view::{Leader, Reason, View};

#[derive(Clone)]
pub struct HealthMetrics {
    ejections: IntCounterVec,
    elections: IntCounter,
    has_leader: IntGauge,
    healthy: IntGaugeVec,
    leaders: IntGaugeVec,
    members: IntGauge,
    probes: IntCounterVec,
    term: IntGauge,
}

impl HealthMetrics {
    pub fn new(metrics: &Metrics) -> Self {
        let gauge = |name: &str, help: &str| metrics.register(IntGauge::new(name, help));
        let by_endpoint =
            |name: &str, help: &str| metrics.register(IntGaugeVec::new(Opts::new(name, help), &["endpoint"]));
        Self {
            ejections: metrics.register(IntCounterVec::new(
                Opts::new("etcdlet_member_ejections_total", "Members put out of rotation, by reason."),
                &["endpoint", "reason"],
            )),
            elections: metrics.register(IntCounter::new(
                "etcdlet_elections_total",
                "Changes of the leader that were seen.",
            )),
            has_leader: gauge("etcdlet_cluster_has_leader", "1 while a leader is known."),
            healthy: by_endpoint("etcdlet_member_healthy", "1 while the member is in rotation."),
            leaders: by_endpoint("etcdlet_member_leader", "1 for the leader."),
            members: gauge("etcdlet_members", "Endpoints known."),
            probes: metrics.register(IntCounterVec::new(
                Opts::new("etcdlet_probes_total", "Probes sent, by kind."),
                &["endpoint", "kind"],
            )),
            term: gauge("etcdlet_cluster_term", "Raft term of the last known leader."),
        }
    }

    pub(super) fn on_probe(&self, endpoint: &str, probe: Probe) {
        let kind = match probe {
            Probe::Members => "members",
            Probe::Read => "read",
            Probe::Status => "status",
        };
        self.probes.with_label_values(&[endpoint, kind]).inc();
    }

    pub(super) fn on_news(&self, news: &News) {
        match news {
            News::Ejected { endpoint, reason, .. } => {
                self.ejections.with_label_values(&[&endpoint.address.to_string(), reason.text()]).inc();
            }
            News::Elected { first: false, .. } => self.elections.inc(),
            News::Removed(endpoint) => {
                let label = endpoint.address.to_string();
                // Absent where it was never in a view.
                let _absent = self.healthy.remove_label_values(&[&label]);
                let _absent = self.leaders.remove_label_values(&[&label]);
                for kind in ["members", "read", "status"] {
                    let _absent = self.probes.remove_label_values(&[&label, kind]);
                }
                for reason in Reason::ALL {
                    let _absent = self.ejections.remove_label_values(&[&label, reason.text()]);
                }
            }
            News::Elected { .. }
            | News::LeaderLost { .. }
            | News::Pinned(_)
            | News::Replaced { .. }
            | News::Returned(_) => {}
        }
    }

    pub(super) fn on_view(&self, view: &View) {
        self.members.set(view.members.len() as i64);
        self.term.set(view.term.0 as i64);
        self.has_leader.set(i64::from(matches!(view.leader, Leader::Behind | Leader::Known(_))));
        for (place, member) in view.members.iter().enumerate() {
            let label = member.endpoint.address.to_string();
            self.healthy.with_label_values(&[&label]).set(member.is_healthy().into());
            self.leaders.with_label_values(&[&label]).set((view.leader == Leader::Known(place)).into());
        }
    }
}
