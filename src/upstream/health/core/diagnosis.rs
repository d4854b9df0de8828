//! What speaks against a member, and what its open calls have to expect.

use std::time::{Duration, Instant};

use super::tracked::{Failure, Tracked};
use super::{Core, News, Output};
use crate::upstream::view::{Leader, Member, Reason, Source, Standing, Verdict, View};

impl Core {
    pub(super) fn assess_standings(&mut self, now: Instant) {
        for place in 0..self.members.len() {
            let diagnosis = self.diagnose(&self.members[place], now);
            let member = &mut self.members[place];
            let standing = match &diagnosis {
                Some((reason, _)) => Standing::Out(*reason),
                None => member.without_diagnosis(),
            };
            if let Some((reason, detail)) = diagnosis {
                member.fallen_at = now;
                if member.standing != standing {
                    let endpoint = member.endpoint.clone();
                    member.detail.clone_from(&detail);
                    self.outputs.push_back(Output::News(News::Ejected { endpoint, reason, detail }));
                }
            }
            if member.standing != standing {
                if standing == Standing::Healthy {
                    member.detail.clear();
                    if member.standing != Standing::Unproven {
                        member.vitals.forget_latency();
                    }
                    self.outputs.push_back(Output::News(News::Returned(member.endpoint.clone())));
                }
                let was_healthy = member.standing == Standing::Healthy;
                member.standing = standing;
                member.since = now;
                self.changed = true;
                self.sync.want(now);
                if was_healthy {
                    self.suspect(now);
                }
            }
            let verdict = self.verdict(&self.members[place], now);
            if self.members[place].verdict != verdict {
                self.members[place].verdict = verdict;
                self.changed = true;
            }
        }
    }

    fn diagnose(&self, member: &Tracked, now: Instant) -> Option<(Reason, String)> {
        let report = member.report.as_ref();
        if member.failure == Some(Failure::Loop) {
            return reason(Reason::Loop, "it leads back to this etcdlet");
        }
        // Before any failure: whose it is does not change by that.
        if let Some(report) = report.filter(|report| !self.is_ours(report.cluster_id)) {
            return reason(Reason::ForeignCluster, format!("its cluster is {}", report.cluster_id));
        }
        let expected = member.expected.filter(|expected| Some(*expected) != member.member_id());
        if let (Some(expected), Some(report)) = (expected, report) {
            let detail = format!("expected {expected}, found {}", report.member_id);
            return reason(Reason::AnotherMember, detail);
        }
        match &member.failure {
            Some(Failure::NotReady(why)) => return reason(Reason::NotReady, why),
            Some(Failure::Unreachable(why)) => return reason(Reason::Unreachable, why),
            Some(Failure::Loop) | None => {}
        }
        if let Some((sent, silence)) = member.status.silence(now)
            && silence >= self.config.silent_after
            && self.others(member).any(|other| other.alive_at().is_some_and(|at| at >= sent))
        {
            if member.pulse_at.is_some_and(|at| at >= sent) {
                return reason(Reason::Stuck, "its process runs, but it does not answer, others do");
            }
            return reason(Reason::Silent, "it does not answer, others do");
        }
        if report.is_some_and(|report| report.learner) {
            return reason(Reason::Learner, "it has no vote yet");
        }
        if let Some(diagnosis) = self.diagnose_leadership(member) {
            return Some(diagnosis);
        }
        if let Some((sent, silence)) = member.read.silence(now)
            && silence >= self.config.silent_after
            && self.others(member).any(|other| other.read.answered.is_some_and(|at| at >= sent))
        {
            return reason(Reason::Stuck, "it answers Status but no read, others do");
        }
        if member.lags_in_a_row >= LAGS_MIN {
            return reason(Reason::Lagging, format!("over {} entries behind", self.config.lag_entries_max));
        }
        None
    }

    /// It must know of the leader that the others have, some time after they were heard of it.
    fn diagnose_leadership(&self, member: &Tracked) -> Option<(Reason, String)> {
        let (report, claim) = (member.report.as_ref()?, self.claim.filter(|claim| claim.believed)?);
        if report.leader == Some(claim.leader) || report.sent_at <= claim.at + HEARING {
            return None;
        }
        match report.leader {
            None => reason(Reason::Leaderless, format!("the others follow {}", claim.leader)),
            Some(leader) => {
                reason(Reason::Partitioned, format!("it follows {leader}, the others {}", claim.leader))
            }
        }
    }

    fn others<'a>(&'a self, member: &'a Tracked) -> impl Iterator<Item = &'a Tracked> {
        self.members.iter().filter(|other| other.endpoint.id != member.endpoint.id)
    }

    fn verdict(&self, member: &Tracked, now: Instant) -> Verdict {
        let Standing::Out(reason) = member.standing else { return Verdict::Stay };
        match reason {
            // A call that loops is refused by itself.
            Reason::Lagging | Reason::Learner | Reason::Loop | Reason::NotReady => Verdict::Stay,
            // What was sent to it while it led has no way to a majority.
            Reason::Stuck if self.has_led(member) => Verdict::CutAll,
            Reason::Stuck => Verdict::EvictReads,
            // The first that misses a leader who has just died is as good as those that come after.
            Reason::Leaderless
                if !self.has_led(member) && now.saturating_duration_since(member.since) < ELECTION =>
            {
                Verdict::EvictReads
            }
            Reason::AnotherMember | Reason::ForeignCluster | Reason::Leaderless | Reason::Partitioned => {
                Verdict::CutAll
            }
            Reason::Silent | Reason::Unreachable => {
                let lost_at = member.status.unanswered.unwrap_or(member.since);
                let heard = |other: &Tracked| other.alive_at().is_some_and(|at| at >= lost_at);
                // A leader that is only slow may still answer what it was sent.
                let replaced = self.claim.is_none_or(|claim| Some(claim.leader) != member.member_id());
                match (self.others(member).any(heard), replaced) {
                    (false, _) => Verdict::Stay,
                    (true, false) => Verdict::CutStreams,
                    (true, true) => Verdict::CutAll,
                }
            }
        }
    }

    /// Whether it led before the leader there is.
    fn has_led(&self, member: &Tracked) -> bool {
        let previous = self.claim.and_then(|claim| claim.previous);
        previous.is_some() && previous == member.member_id()
    }

    pub(super) fn view(&mut self, now: Instant) -> View {
        self.choose_sticky();
        let members: Vec<Member> = self
            .members
            .iter()
            .map(|member| Member {
                endpoint: member.endpoint.clone(),
                name: member.name.clone(),
                standing: member.standing,
                detail: member.detail.clone(),
                since: now.min(member.since),
                must_prove: self.must_prove(member),
                report: member.report.clone(),
                vitals: member.vitals.clone(),
                verdict: member.verdict,
            })
            .collect();
        let sticky = self.sticky.and_then(|id| members.iter().position(|member| member.endpoint.id == id));
        View {
            epoch: self.pin.epoch,
            cluster_id: self.pin.cluster,
            term: self.claim.map(|claim| claim.term).unwrap_or_default(),
            leader: self.leader(),
            members,
            sticky,
            suspicion: self.suspicion.is_some(),
            discovery_error: self.discovery_error.clone(),
        }
    }

    /// A URL that the cluster itself advertises may lead anywhere, and so may any when the cluster is
    /// named by hand. A seed whose Status is not for us can't prove more than that it lives.
    fn must_prove(&self, member: &Tracked) -> bool {
        member.report.is_none() && (!member.is_seed() || self.pin.by_hand && member.status.answered.is_none())
    }

    /// Keeps the one there is while it is healthy and none is older: clients enable features by
    /// the version that one member reports, and use them on all.
    fn choose_sticky(&mut self) {
        let healthy = || {
            let healthy = self.members.iter().filter(|member| member.standing == Standing::Healthy);
            healthy.map(|member| (member.version(), member.endpoint.id))
        };
        let Some(oldest) = healthy().map(|(version, _)| version).min() else { return };
        let candidates: Vec<_> =
            healthy().filter(|(version, _)| *version == oldest).map(|(_, id)| id).collect();
        if !self.sticky.is_some_and(|sticky| candidates.contains(&sticky)) {
            self.sticky = candidates.get(self.rng.usize(..candidates.len())).copied();
        }
    }

    /// Whether the view's leader serves.
    pub(super) fn is_led(&self) -> bool {
        match self.leader() {
            Leader::Behind | Leader::Known(_) => true,
            Leader::None => false,
            Leader::Unknown => self.voices().next().is_none(),
        }
    }
}

impl Tracked {
    /// Where nothing speaks against it.
    fn without_diagnosis(&self) -> Standing {
        match self.standing {
            Standing::Unproven if self.endpoint.source == Source::Members && self.report.is_none() => {
                Standing::Unproven
            }
            Standing::Unproven if self.alive_at().is_none() => Standing::Unproven,
            // Its report alone says it all.
            Standing::Healthy
            | Standing::Unproven
            | Standing::Out(
                Reason::AnotherMember
                | Reason::ForeignCluster
                | Reason::Lagging
                | Reason::Learner
                | Reason::Loop
                | Reason::NotReady,
            ) => Standing::Healthy,
            Standing::Out(_) if self.has_proved_itself() => Standing::Healthy,
            Standing::Out(reason) => Standing::Out(reason),
        }
    }

    /// By a read that went through the leader, sent after its fall.
    fn has_proved_itself(&self) -> bool {
        self.read.answered.is_some_and(|sent| sent >= self.fallen_at)
    }

    /// As numbers, so that 3.10 comes after 3.9.
    fn version(&self) -> Vec<u32> {
        let version = self.report.as_ref().map_or("", |report| &report.version);
        version.split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect()
    }
}

fn reason(reason: Reason, detail: impl Into<String>) -> Option<(Reason, String)> {
    Some((reason, detail.into()))
}

/// Reports in a row that must lag: one may have been asked at an unlucky moment.
const LAGS_MIN: u8 = 2;

/// Twice etcd's default election timeout: by then the others have noticed too.
const ELECTION: Duration = Duration::from_secs(2);

/// A new leader's first heartbeat is with everybody by then.
const HEARING: Duration = Duration::from_millis(200);
