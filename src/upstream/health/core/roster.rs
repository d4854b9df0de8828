//! Which endpoints there are: seeds, and what the cluster says of itself.

use std::time::Instant;

use super::tracked::Tracked;
use super::{Config, Core, News, Output};
use crate::net::address::Address;
use crate::types::ids::{EndpointId, MemberId};
use crate::upstream::balance::MEMBERS_MAX;
use crate::upstream::view::{Endpoint, Reason, Source, Standing};

/// An endpoint from the configuration, or from DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed {
    pub address: Address,
    pub server_name: Option<String>,
    pub source: Source,
    pub priority: u16,
    pub weight: u16,
}

/// A member by the cluster's own list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedMember {
    pub id: MemberId,
    /// Empty until it has started.
    pub name: String,
    pub client_urls: Vec<Address>,
    pub learner: bool,
}

impl Core {
    /// Replaces the seeds. Those that stay keep what is known of them.
    pub fn handle_seeds(&mut self, seeds: &[Seed], now: Instant) {
        self.discovery_error = None;
        let same = |member: &Tracked, seed: &Seed| {
            member.endpoint.address == seed.address && member.endpoint.server_name == seed.server_name
        };
        self.remove_members(|member| member.is_seed() && !seeds.iter().any(|seed| same(member, seed)));
        for seed in seeds {
            // A seed may have been found by the member list before.
            if let Some(place) = self.members.iter().position(|member| same(member, seed)) {
                let weight = self.weight(&seed.address, seed.weight);
                let member = &mut self.members[place];
                member.expected = None;
                let Endpoint { source, priority, .. } = &mut member.endpoint;
                (*source, *priority, member.endpoint.weight) = (seed.source, seed.priority, weight);
                continue;
            }
            let Seed { address, server_name, source, priority, weight } = seed.clone();
            let id = self.next_endpoint();
            self.add(Endpoint { id, address, server_name, source, priority, weight }, None, now);
        }
        self.changed = true;
        self.sync.want(now);
        self.assess(now);
    }

    /// Other intervals, limits and weights. Of another cluster nothing is believed: `cluster_id` stays.
    pub fn handle_config(&mut self, config: Config, now: Instant) {
        self.config = Config { cluster_id: self.config.cluster_id, ..config };
        if !self.config.sync_members {
            self.remove_members(|member| !member.is_seed());
        }
        for place in 0..self.members.len() {
            let member = &self.members[place];
            if !member.is_seed() {
                self.members[place].endpoint.weight = self.weight(&member.endpoint.address, 1);
            }
            // Whoever was to be asked late by the old interval is asked now.
            self.members[place].next_probe = now;
        }
        self.sync.want(now);
        self.changed = true;
    }

    /// Discovery failed: what is known stays.
    pub fn handle_discovery_error(&mut self, error: String) {
        self.discovery_error = Some(error);
        self.changed = true;
    }

    /// Learns names; adds the members that no seed leads to, and drops those that are listed no
    /// more. `list` is of a healthy member, through its leader.
    pub(super) fn handle_member_list(&mut self, list: &[ListedMember], now: Instant) {
        self.sync.on_answer(now);
        if list.iter().any(|listed| listed.name.is_empty()) {
            // It has joined, and not started yet.
            self.sync.want(now);
        }
        self.voters_listed = Some(list.iter().filter(|listed| !listed.learner).count());
        for member in &mut self.members {
            let listed = member.member_id().and_then(|id| list.iter().find(|listed| listed.id == id));
            let name = listed.map(|listed| listed.name.clone()).filter(|name| !name.is_empty());
            self.changed |= name != member.name;
            member.name = name;
        }
        if !self.config.sync_members {
            return;
        }
        let wanted: Vec<(MemberId, &Address)> = list
            .iter()
            .filter(|listed| !listed.learner && !self.is_covered(listed.id))
            .flat_map(|listed| listed.client_urls.iter().map(|url| (listed.id, url)))
            .collect();
        self.remove_members(|member| {
            let key = member.expected.map(|id| (id, &member.endpoint.address));
            !member.is_seed() && !key.is_some_and(|key| wanted.contains(&key))
        });
        for (id, address) in wanted {
            if self.members.iter().any(|member| member.endpoint.address == *address) {
                continue;
            }
            let endpoint = Endpoint {
                id: self.next_endpoint(),
                address: address.clone(),
                server_name: None,
                source: Source::Members,
                priority: 0,
                weight: 1,
            };
            self.add(endpoint, Some(id), now);
        }
    }

    /// Whether a seed leads to the member.
    fn is_covered(&self, id: MemberId) -> bool {
        let lost = |standing| matches!(standing, Standing::Out(Reason::Silent | Reason::Unreachable));
        self.members
            .iter()
            .any(|member| member.is_seed() && member.member_id() == Some(id) && !lost(member.standing))
    }

    fn next_endpoint(&mut self) -> EndpointId {
        self.endpoints_made += 1;
        EndpointId(self.endpoints_made)
    }

    /// By the DNS and by hand.
    fn weight(&self, address: &Address, discovered: u16) -> u16 {
        let by_hand = self.config.weights.iter().find(|weight| weight.applies_to(address));
        discovered.saturating_mul(by_hand.map_or(1, |weight| weight.weight))
    }

    fn add(&mut self, mut endpoint: Endpoint, expected: Option<MemberId>, now: Instant) {
        endpoint.weight = self.weight(&endpoint.address, endpoint.weight);
        if self.members.len() < MEMBERS_MAX {
            self.members.push(Tracked::new(endpoint, expected, now));
            self.changed = true;
            // Several rounds, so that its first latency is not that of a start.
            self.suspect(now);
        } else {
            self.discovery_error = Some(format!("only the first {MEMBERS_MAX} endpoints are used"));
        }
    }

    pub(super) fn remove_members(&mut self, is_gone: impl Fn(&Tracked) -> bool) {
        let (gone, stay) = std::mem::take(&mut self.members).into_iter().partition(is_gone);
        self.members = stay;
        let gone: Vec<Tracked> = gone;
        for member in gone {
            self.outputs.push_back(Output::Removed(member.endpoint.id));
            self.outputs.push_back(Output::News(News::Removed(member.endpoint)));
            self.changed = true;
        }
    }
}
