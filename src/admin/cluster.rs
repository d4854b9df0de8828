//! `/cluster`: the view that calls are decided by, in JSON.

use std::time::Instant;

use serde_json::{Value, json};

use crate::proxy::Watermark;
use crate::upstream::view::{Leader, Member, Standing, View};

pub(super) fn render(view: &View, watermark: &Watermark) -> String {
    let leader = match view.leader {
        Leader::Known(place) => view.members[place].id().map(|id| id.to_string()),
        Leader::Behind | Leader::None | Leader::Unknown => None,
    };
    let members: Vec<Value> =
        view.members.iter().enumerate().map(|(place, member)| describe(view, place, member)).collect();
    let cluster = json!({
        "cluster_id": view.cluster_id.map(|id| id.to_string()),
        "term": view.term.0,
        "leader": leader,
        "leader_state": match view.leader {
            Leader::Behind => "not reachable from here",
            Leader::Known(_) => "known",
            Leader::None => "none",
            Leader::Unknown => "unknown",
        },
        "suspicion": view.suspicion,
        "watermark": watermark.revision(),
        "discovery_error": view.discovery_error,
        "members": members,
    });
    format!("{cluster:#}\n")
}

fn describe(view: &View, place: usize, member: &Member) -> Value {
    let (state, reason) = match member.standing {
        Standing::Healthy => ("healthy", None),
        Standing::Out(reason) => ("out", Some(reason.text())),
        Standing::Unproven => ("unproven", None),
    };
    let report = member.report.as_ref();
    json!({
        "endpoint": member.endpoint.address.to_string(),
        "source": member.endpoint.source.to_string(),
        "priority": member.endpoint.priority,
        "weight": member.endpoint.weight,
        "id": member.id().map(|id| id.to_string()),
        "name": member.name,
        "state": state,
        "reason": reason,
        "detail": Some(&member.detail).filter(|detail| !detail.is_empty()),
        "since_seconds": Instant::now().saturating_duration_since(member.since).as_secs_f64(),
        "leader": view.leader == Leader::Known(place),
        "sticky": view.sticky == Some(place),
        "learner": report.is_some_and(|report| report.learner),
        "version": report.map(|report| &report.version),
        "term": report.map(|report| report.term.0),
        "applied_index": report.map(|report| report.applied_index),
        "alarms": report.map_or(&[][..], |report| &report.errors),
        "latency_ms": member.vitals.latency().map(|latency| latency.as_secs_f64() * 1e3),
        "in_flight": member.vitals.in_flight(),
    })
}
