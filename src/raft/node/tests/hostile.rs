//! Messages that no honest member sends: they may be believed, but never take the node down.

use bytes::Bytes;
use fastrand::Rng;

use super::harness::*;
use crate::raft::confchange::{ConfChange, ConfChangeSingle, ConfChangeType, ConfChangeV2};
use crate::raft::entry::{Entry, EntryType};
use crate::raft::index::{EntryId, LogIndex};
use crate::raft::memory::MemoryStorage;
use crate::raft::message::{Append, AppendResponse, Ballot, Body, Message, VoteRequest, VoteResponse};
use crate::raft::output::Output;
use crate::raft::snapshot::{ConfState, Snapshot};
use crate::raft::storage::Storage;
use crate::raft::wire::Record;
use crate::raft::{Config, Error, Node, ReadMode, RoleName, Status};
use crate::types::ids::Term;

#[test]
fn no_message_takes_a_node_down() {
    let mut led = 0;
    for seed in 0..2_000 {
        let mut chance = Rng::with_seed(seed);
        let conf_state = ConfState { learners: vec![id(4)], ..members(3) };
        let config = any_config(&mut chance);
        let mut node = Node::try_new(config, MemoryStorage::new(conf_state), seed).unwrap();
        for _ in 0..200 {
            if matches!(
                step(&mut chance, &mut node),
                Err(Error::CommitBeyondLog { .. } | Error::CommittedConflict { .. })
            ) {
                break;
            }
            led += u32::from(node.status().soft_state.role == RoleName::Leader);
            if chance.bool() {
                work(&mut node);
            }
        }
    }
    assert!(led > 10_000, "only {led} steps were a leader's");
}

fn step(chance: &mut Rng, node: &mut TestNode) -> Result<(), Error> {
    match chance.u8(..10) {
        0 => (0..chance.u8(..4)).for_each(|_| node.tick()),
        1 => node.campaign(),
        2 => drop(node.propose(vec![Bytes::from_static(b"x"); chance.usize(..3)])),
        3 => node.read_index(Bytes::from_static(b"r")),
        4 => node.transfer_leader(id(chance.u64(..6))),
        5 => node.report_snapshot(id(chance.u64(..6)), chance.bool()),
        6 if chance.u8(..8) == 0 => compact(node),
        _ => {
            let message = any_message(chance, node);
            return node.step(message);
        }
    }
    Ok(())
}

fn work(node: &mut TestNode) {
    while node.has_output() {
        while let Some(output) = node.poll_output() {
            match output {
                Output::Apply(apply) => {
                    let changes = apply.entries.iter().filter_map(|entry| entry.conf_change().ok().flatten());
                    // An illegal one is for the server to deal with.
                    changes.for_each(|change| drop(node.apply_conf_change(&change)));
                    apply.ack.iter().for_each(|ack| node.handle_applied(ack));
                }
                Output::Persist(persist) => {
                    node.storage_mut().persist(&persist);
                    let own = persist.responses.into_iter().filter(|response| response.to == id(1));
                    own.for_each(|response| drop(node.step(response)));
                    persist.ack.iter().for_each(|ack| node.handle_persisted(ack));
                }
                Output::Read(_) | Output::Send(_) | Output::State(_) => {}
            }
        }
        node.advance();
    }
}

/// Up to what is applied, so that who lags needs a snapshot.
fn compact(node: &mut TestNode) {
    let Status { applied, membership, .. } = node.status();
    if let Ok(term) = node.storage().term(applied)
        && node.storage_mut().compact(applied).is_ok()
    {
        let last = EntryId { term, index: applied };
        let conf_state = membership.conf_state();
        node.storage_mut().create_snapshot(Snapshot { data: Bytes::new(), conf_state, last });
    }
}

fn any_config(chance: &mut Rng) -> Config {
    let leases = chance.bool();
    Config {
        asynchronous_storage: chance.bool(),
        pre_vote: chance.bool(),
        check_quorum: leases || chance.bool(),
        read_mode: if leases { ReadMode::LeaseBased } else { ReadMode::Safe },
        conf_change_validation: chance.bool(),
        step_down_on_removal: chance.bool(),
        inflight_messages_max: chance.usize(1..4),
        pending_reads_max: 2,
        ..plain(1)
    }
}

fn any_message(chance: &mut Rng, node: &TestNode) -> Message {
    let term = node.status().hard_state.term.0;
    let term = match chance.u16(..4_000) {
        0 => u64::MAX,
        1 => chance.u64(..),
        2..=20 => term.saturating_sub(1),
        21..=60 => term.saturating_add(1),
        _ => term,
    };
    message(chance.u64(1..6), 1, term, any_body(chance, node))
}

fn any_index(chance: &mut Rng, node: &TestNode) -> LogIndex {
    let last = node.status().last.index.0;
    LogIndex(match chance.u8(..40) {
        0 => u64::MAX - chance.u64(..3),
        1 => chance.u64(..),
        2 => last + 1,
        3..=12 => chance.u64(..=last),
        _ => last,
    })
}

fn any_position(chance: &mut Rng, node: &TestNode) -> EntryId {
    if chance.bool() {
        return node.status().last;
    }
    EntryId { term: Term(chance.u64(..3)), index: any_index(chance, node) }
}

fn any_body(chance: &mut Rng, node: &TestNode) -> Body {
    let index = any_index(chance, node);
    let context = Bytes::copy_from_slice(&chance.u64(..4).to_le_bytes()[..chance.usize(7..9)]);
    let ballot = if chance.bool() { Ballot::Election } else { Ballot::PreElection };
    match chance.u8(..14) {
        0 | 1 => Body::Append(any_append(chance, node)),
        2 | 3 => Body::AppendResponse(AppendResponse::Accepted { index }),
        4 => {
            let hint_term = chance.bool().then_some(Term(chance.u64(..4)));
            Body::AppendResponse(AppendResponse::Rejected { index, hint: any_index(chance, node), hint_term })
        }
        5 => Body::Heartbeat { commit: index, context },
        6 => Body::HeartbeatResponse { context },
        7 => Body::Propose { entries: any_append(chance, node).entries },
        8 => Body::ReadIndex { context },
        9 => Body::ReadIndexResponse { index, context },
        10 => Body::Snapshot(Box::new(any_snapshot(chance, node))),
        11 => [Body::TimeoutNow, Body::TransferLeader][chance.usize(..2)].clone(),
        12 => Body::Vote(VoteRequest { ballot, last: any_position(chance, node), transfer: chance.bool() }),
        _ => Body::VoteResponse(VoteResponse { ballot, granted: chance.u8(..5) > 0 }),
    }
}

fn any_append(chance: &mut Rng, node: &TestNode) -> Append {
    let previous = any_position(chance, node);
    let count = chance.u64(..4);
    let entry = |distance: u64| {
        let skipped = u64::from(chance.u8(..40) == 0);
        let index = LogIndex(previous.index.0.saturating_add(distance + skipped));
        let term = Term(chance.u64(..4));
        any_entry(chance, EntryId { term, index })
    };
    let entries = (1..=count).map(entry).collect();
    Append { previous, entries, commit: any_index(chance, node) }
}

fn any_entry(chance: &mut Rng, at: EntryId) -> Entry {
    let kinds = [ConfChangeType::AddNode, ConfChangeType::RemoveNode, ConfChangeType::AddLearnerNode];
    let change = ConfChangeSingle { kind: kinds[chance.usize(..3)], node: Some(id(chance.u64(1..6))) };
    let several = ConfChangeV2 { changes: vec![change; 2], ..ConfChangeV2::default() };
    let (kind, data) = match chance.u8(..10) {
        0 => (EntryType::ConfChange, ConfChange { change, ..ConfChange::default() }.to_bytes()),
        1 => (EntryType::ConfChange, Bytes::from_static(b"no change")),
        2 => (EntryType::ConfChangeV2, Bytes::new()),
        3 => (EntryType::ConfChangeV2, several.to_bytes()),
        _ => (EntryType::Normal, Bytes::from_static(b"x")),
    };
    Entry { kind, term: at.term, index: at.index, data }
}

fn any_snapshot(chance: &mut Rng, node: &TestNode) -> Snapshot {
    let voters = (1..=chance.u64(..5)).map(id).collect();
    let learners = (1..=chance.u64(..5)).filter(|_| chance.u8(..4) == 0).map(id).collect();
    let conf_state = ConfState { voters, learners, auto_leave: chance.u8(..9) == 0, ..ConfState::default() };
    Snapshot { data: Bytes::new(), conf_state, last: any_position(chance, node) }
}
