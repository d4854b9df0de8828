//! Which cluster it is, and who leads it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::tracked::Tracked;
use super::{Core, News, Output};
use crate::types::ids::{MemberId, Term};
use crate::upstream::view::{Leader, Reason, Report, Source, Standing};

/// Somebody's word on who leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub term: Term,
    pub leader: MemberId,
    /// Who led before.
    pub previous: Option<MemberId>,
    /// When it was first heard.
    pub at: Instant,
    /// No majority denies it.
    pub believed: bool,
}

impl Core {
    /// Another cluster takes the pinned one's place when every seed that answers agrees on it.
    pub(super) fn assess_pin(&mut self, now: Instant) {
        if self.pin.cluster.is_none() {
            return self.pin_first(now);
        }
        let Some(pinned) = self.pin.cluster.filter(|_| !self.pin.by_hand) else { return };
        let seeds = self.members.iter().filter(|member| member.is_seed());
        let mut clusters = seeds.filter_map(|seed| seed.voice()).map(|report| report.cluster_id);
        let first = clusters.next().filter(|first| *first != pinned);
        // Seeds may be fewer than members.
        let lives = self.members.iter().filter_map(Tracked::voice).any(|voice| voice.cluster_id == pinned);
        let Some(other) = first.filter(|first| !lives && clusters.all(|cluster| cluster == *first)) else {
            self.pin.other = None;
            return;
        };
        match self.pin.other {
            Some((cluster, since)) if cluster == other => {
                if now.saturating_duration_since(since) < REPLACED_AFTER {
                    return;
                }
                self.pin.cluster = Some(other);
                self.pin.other = None;
                self.pin.epoch += 1;
                self.claim = None;
                self.voters_listed = None;
                // They were found by the list of a cluster that is gone.
                self.remove_members(|member| member.endpoint.source == Source::Members);
                self.outputs.push_back(Output::News(News::Replaced { old: pinned, new: other }));
                self.changed = true;
            }
            _ => self.pin.other = Some((other, now)),
        }
    }

    /// The cluster of most of the seeds, when all were heard or have had their time.
    fn pin_first(&mut self, now: Instant) {
        let seeds = || self.members.iter().filter(|member| member.is_seed());
        let clusters = || seeds().filter_map(|seed| Some(seed.report.as_ref()?.cluster_id));
        if clusters().next().is_none() {
            return;
        }
        let since = *self.pin.asked_since.get_or_insert(now);
        let patient = now.saturating_duration_since(since) < SEEDS_HEARD_AFTER;
        if patient && !seeds().all(Tracked::was_heard) {
            return;
        }
        let votes = |cluster| clusters().filter(|other| *other == cluster).count();
        // Of equals the first: max_by_key takes the last.
        let most = clusters().rev().max_by_key(|cluster| votes(*cluster));
        if let Some(cluster) = most {
            self.pin.cluster = Some(cluster);
            self.outputs.push_back(Output::News(News::Pinned(cluster)));
            self.changed = true;
        }
    }

    pub(super) fn assess_claim(&mut self, now: Instant) {
        let best = self.voices().filter_map(|voice| Some((voice.term, voice.leader?))).max();
        let Some((term, leader)) = best else {
            if self.voices().next().is_none() {
                // Nobody tells any longer, as when authentication was enabled.
                if self.members.iter().any(|member| member.closed && member.failure.is_none()) {
                    self.changed |= self.claim.take().is_some();
                }
            } else if let Some(claim) = self.claim.filter(|claim| claim.believed) {
                self.disbelieve(claim, now);
            }
            return;
        };
        let believed = self.is_believed(term, leader);
        if self.claim.is_some_and(|claim| term < claim.term) && !self.is_agreed(term, leader) {
            // The word of one that was cut off. A restored cluster begins with a low term too, but
            // then a majority says so.
            if let Some(claim) = self.claim.filter(|claim| claim.believed) {
                self.disbelieve(claim, now);
            }
            return;
        }
        let is_new = self.claim.is_none_or(|claim| (claim.term, claim.leader) != (term, leader));
        if is_new {
            let first = self.claim.is_none();
            // The same leader is heard of with two terms where a member is just changing its own.
            let previous = match self.claim {
                Some(before) if before.leader == leader => before.previous,
                before => before.map(|before| before.leader),
            };
            self.claim = Some(Claim { term, leader, previous, at: now, believed });
            self.outputs.push_back(Output::News(News::Elected { leader, term, first }));
            self.changed = true;
            // Everybody is to be heard again: what they said was about another leader.
            self.suspicion = None;
            self.last_suspicion = None;
            self.suspect(now);
            return;
        }
        let Some(claim) = self.claim else { return };
        match (claim.believed, believed) {
            (true, false) => self.disbelieve(claim, now),
            (false, true) => {
                self.claim = Some(Claim { believed, ..claim });
                self.changed = true;
            }
            (true, true) | (false, false) => {}
        }
    }

    fn disbelieve(&mut self, claim: Claim, now: Instant) {
        self.claim = Some(Claim { believed: false, ..claim });
        self.outputs.push_back(Output::News(News::LeaderLost { term: claim.term }));
        self.changed = true;
        self.suspect(now);
    }

    fn is_agreed(&self, term: Term, leader: MemberId) -> bool {
        let agreeing: BTreeSet<MemberId> = self
            .voices()
            .filter(|voice| (voice.term, voice.leader) == (term, Some(leader)))
            .map(|voice| voice.member_id)
            .collect();
        agreeing.len() >= self.majority()
    }

    fn majority(&self) -> usize {
        self.voters_listed.unwrap_or(self.members.len()).max(1) / 2 + 1
    }

    /// A leader is denied by its own word, or by a majority that knows no leader: a leader that is
    /// cut off believes in itself until its next election timeout.
    fn is_believed(&self, term: Term, leader: MemberId) -> bool {
        let own = self.voices().find(|voice| voice.member_id == leader);
        let denies_itself = own.is_some_and(|own| own.term >= term && own.leader != Some(leader));
        // Of members, however many endpoints lead to them.
        let deniers: BTreeSet<MemberId> = self
            .voices()
            .filter(|voice| voice.member_id != leader && denies(voice, term, leader))
            .map(|voice| voice.member_id)
            .collect();
        let deniers = deniers.len();
        !denies_itself && deniers < self.majority()
    }

    /// Reports that count: of voters of this cluster that answer.
    pub(super) fn voices(&self) -> impl Iterator<Item = &Report> {
        let voices = self.members.iter().filter_map(|member| member.voice());
        voices.filter(|report| self.is_ours(report.cluster_id) && !report.learner)
    }

    pub(super) fn leader(&self) -> Leader {
        let Some(claim) = self.claim else {
            return if self.voices().next().is_some() { Leader::None } else { Leader::Unknown };
        };
        if claim.believed {
            if let Some(place) = self.members.iter().position(|member| {
                let lost = matches!(
                    member.standing,
                    Standing::Out(
                        Reason::Silent
                            | Reason::Unreachable
                            | Reason::AnotherMember
                            | Reason::ForeignCluster
                            | Reason::Loop
                    )
                );
                member.member_id() == Some(claim.leader) && !lost
            }) {
                return Leader::Known(place);
            }
            if self.is_relayed(claim.leader) {
                return Leader::Behind;
            }
        }
        if self.members.iter().any(|member| member.failure.is_none() && member.alive_at().is_some()) {
            Leader::None
        } else {
            // Nobody answers: every attempt is as good as another.
            Leader::Unknown
        }
    }

    /// Whether a follower has a way to this leader, which we have not: whoever answers a
    /// linearizable read has reached it.
    fn is_relayed(&self, leader: MemberId) -> bool {
        let lost = self.members.iter().filter(|member| member.member_id() == Some(leader));
        let lost_at = lost.map(|member| member.since).max();
        self.members.iter().filter(|member| member.standing == Standing::Healthy).any(|member| {
            lost_at.is_none_or(|lost_at| member.read.answered.is_some_and(|sent| sent > lost_at))
        })
    }
}

fn denies(voice: &Report, term: Term, leader: MemberId) -> bool {
    voice.leader != Some(leader) && (voice.leader.is_none() || voice.term >= term)
}

/// Long enough for a restore that replaces the members one after another.
const REPLACED_AFTER: Duration = Duration::from_secs(10);

/// For seeds that are slower than the first.
const SEEDS_HEARD_AFTER: Duration = Duration::from_millis(500);
