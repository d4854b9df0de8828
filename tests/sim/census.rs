//! How often what happened: a simulation in which nothing happens finds nothing.

use std::collections::BTreeMap;

use etcdlet::raft::RoleName;
use etcdlet::raft::message::{AppendResponse, Body};

use super::event::{Event, Vitals};

pub(crate) type Counts = BTreeMap<&'static str, u64>;

pub(crate) fn note(counts: &mut Counts, event: &Event) {
    if let Some(name) = name(event) {
        *counts.entry(name).or_default() += 1;
    }
}

fn name(event: &Event) -> Option<&'static str> {
    match event {
        Event::Applied { membership: Some(membership), .. } if membership.voters_outgoing.is_empty() => {
            Some("membership applied")
        }
        Event::Applied { membership: Some(_), .. } => Some("joint membership applied"),
        Event::Changed { before, after, .. } => change(before, after),
        Event::Delivered { message } => match &message.body {
            Body::AppendResponse(AppendResponse::Rejected { .. }) => Some("append rejected"),
            Body::Propose { .. } => Some("proposal forwarded"),
            Body::ReadIndex { .. } => Some("read forwarded"),
            Body::TimeoutNow => Some("handover"),
            _ => None,
        },
        Event::Refused { .. } => Some("request refused"),
        Event::Restored { .. } => Some("snapshot restored"),
        _ => None,
    }
}

fn change(before: &Vitals, after: &Vitals) -> Option<&'static str> {
    let (then, now) = (before.role, after.role);
    if now == RoleName::Leader && then != RoleName::Leader {
        return Some("election won");
    }
    if now != RoleName::Leader && then == RoleName::Leader {
        return Some("leader deposed");
    }
    // Of another leader, in place of what was never committed.
    (after.last.index <= before.last.index && after.last != before.last).then_some("log overwritten")
}

/// What a thousand seeds have at least, a good part of what they have usually.
const FLOORS: &[(&str, u64)] = &[
    ("append rejected", 40_000),
    ("busy disk", 1_000),
    ("campaign", 1_000),
    ("crash after an output", 900),
    ("crash of one", 1_000),
    ("cut", 1_000),
    ("doubled message", 30_000),
    ("election won", 2_000),
    ("failed sync", 1_000),
    ("failing disk", 1_000),
    ("forgotten leader", 1_000),
    ("handover", 600),
    ("joint membership applied", 3_000),
    ("leader deposed", 1_000),
    ("log overwritten", 200),
    ("lossy network", 1_000),
    ("lost message", 100_000),
    ("membership applied", 7_000),
    ("membership proposal", 2_000),
    ("newcomer", 800),
    ("one-way cut", 700),
    ("outage", 500),
    ("pause", 1_000),
    ("proposal forwarded", 30_000),
    ("read forwarded", 20_000),
    ("reads answered", 30_000),
    ("requests answered", 40_000),
    ("retired", 200),
    ("slow disk", 1_000),
    ("snapshot received", 1_000),
    ("snapshot restored", 1_000),
    ("snapshot taken", 10_000),
    ("stuck disk", 1_000),
    ("transfer", 4_000),
    ("unreachable", 50_000),
];

/// What they have at most.
const CEILINGS: &[(&str, u64)] = &[("stuck for want of a former voter", 3)];

/// What happens too rarely, or too often, in so many seeds; nothing if they are too few to say.
pub(crate) fn amiss(counts: &Counts, seeds: u64) -> Vec<String> {
    let found = |name: &str| counts.get(name).copied().unwrap_or_default();
    let low = FLOORS.iter().filter(|(name, floor)| found(name) * 1_000 < floor * seeds);
    let high = CEILINGS.iter().filter(|(name, ceiling)| found(name) * 1_000 > ceiling * seeds);
    if seeds < SEEDS_MIN {
        return Vec::new();
    }
    low.chain(high).map(|(name, bound)| format!("{name}: {} of {bound}", found(name))).collect()
}

const SEEDS_MIN: u64 = 500;
