//! Nothing is told, or applied, before it is durable: what others count on would be lost by a crash.

use etcdlet::raft::LogIndex;
use etcdlet::raft::message::{AppendResponse, Ballot, Body, Message, VoteResponse};
use etcdlet::types::ids::MemberId;

use super::{Invariant, View};
use crate::event::Event;

#[derive(Debug, Default)]
pub(super) struct Durability;

impl Invariant for Durability {
    fn name(&self) -> &'static str {
        "durability"
    }

    fn observe(&mut self, event: &Event, view: &View<'_>) -> Result<(), String> {
        let (from, message) = match event {
            Event::Applied { member, entry, .. } => return applied(*member, entry.index, view),
            Event::Sent { from, message } => (from, message),
            _ => return Ok(()),
        };
        match message.body {
            Body::VoteResponse(VoteResponse { ballot: Ballot::Election, granted: true }) => {
                vote(*from, message, view)
            }
            Body::AppendResponse(AppendResponse::Accepted { index }) => accepted(*from, index, message, view),
            _ => Ok(()),
        }
    }
}

fn vote(from: MemberId, message: &Message, view: &View<'_>) -> Result<(), String> {
    let stored = view.members[&from].disk().durable().hard_state;
    // A later write may have become durable with it.
    let holds = stored.term > message.term || stored.term == message.term && stored.vote == Some(message.to);
    if holds {
        Ok(())
    } else {
        Err(format!(
            "{from} tells {} of its vote in {}, and would forget it: {stored:?}",
            message.to, message.term
        ))
    }
}

/// A snapshot of the state machine must not be ahead of the log.
fn applied(member: MemberId, index: LogIndex, view: &View<'_>) -> Result<(), String> {
    let last = view.members[&member].disk().durable().last();
    if index <= last.index { Ok(()) } else { Err(format!("{member} applies {index}, and has {last}")) }
}

fn accepted(from: MemberId, index: LogIndex, message: &Message, view: &View<'_>) -> Result<(), String> {
    let disk = view.members[&from].disk().durable();
    let (term, last) = (disk.hard_state.term, disk.last());
    // In a later term what was accepted may have been replaced.
    if term > message.term || term == message.term && last.index >= index {
        Ok(())
    } else {
        Err(format!("{from} accepts up to {index} in {}, and would have {last} in {term}", message.term))
    }
}
