//! One node under test, with others only as names; and a few nodes that talk to each other.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::raft::entry::Entry;
use crate::raft::index::{EntryId, LogIndex};
use crate::raft::memory::MemoryStorage;
use crate::raft::message::{Append, AppendResponse, Ballot, Body, Message, VoteRequest, VoteResponse};
use crate::raft::output::{Output, Persist, ReadState};
use crate::raft::snapshot::ConfState;
use crate::raft::storage::Storage;
use crate::raft::{Config, Node};
use crate::types::ids::{MemberId, Term};

pub(super) type TestNode = Node<MemoryStorage>;

pub(super) const fn id(number: u64) -> MemberId {
    MemberId(number)
}

pub(super) const fn entry_id(term: u64, index: u64) -> EntryId {
    EntryId { term: Term(term), index: LogIndex(index) }
}

pub(super) fn entry(term: u64, index: u64, data: &'static str) -> Entry {
    Entry { data: Bytes::from_static(data.as_bytes()), ..empty_entry(term, index) }
}

pub(super) fn empty_entry(term: u64, index: u64) -> Entry {
    Entry { term: Term(term), index: LogIndex(index), ..Entry::default() }
}

pub(super) fn members(count: u64) -> ConfState {
    ConfState { voters: (1..=count).map(MemberId).collect(), ..ConfState::default() }
}

/// Short timeouts, and neither pre-votes nor leases.
pub(super) fn plain(number: u64) -> Config {
    Config { election_ticks: 3, check_quorum: false, pre_vote: false, ..Config::new(id(number)) }
}

pub(super) fn node(config: Config, conf_state: ConfState) -> TestNode {
    node_on(config, MemoryStorage::new(conf_state))
}

pub(super) fn node_on(config: Config, storage: MemoryStorage) -> TestNode {
    Node::try_new(config, storage, 1).unwrap()
}

/// A follower among three with this log, all of it committed up to `commit`.
pub(super) fn follower_with(config: Config, entries: &[Entry], term: u64, commit: u64) -> TestNode {
    let mut storage = MemoryStorage::new(members(3));
    storage.append(entries);
    let hard_state = crate::raft::HardState { term: Term(term), vote: None, commit: LogIndex(commit) };
    storage.set_hard_state(hard_state);
    node_on(config, storage)
}

/// What the node puts out, all of it done as it wants.
pub(super) fn outputs(node: &mut TestNode) -> Vec<Output> {
    let mut all = Vec::new();
    while node.has_output() {
        all.append(&mut batch(node));
    }
    all
}

/// As [`outputs`], but only what there is before any of it is done.
pub(super) fn batch(node: &mut TestNode) -> Vec<Output> {
    let mut all = Vec::new();
    while let Some(output) = node.poll_output() {
        if let Output::Persist(persist) = &output {
            node.storage_mut().persist(persist);
        }
        if let Output::Apply(apply) = &output {
            apply_changes(node, &apply.entries);
        }
        all.push(output);
    }
    node.advance();
    all
}

fn apply_changes(node: &mut TestNode, entries: &[Entry]) {
    for change in entries.iter().filter_map(|entry| entry.conf_change().unwrap()) {
        node.apply_conf_change(&change).unwrap();
    }
}

/// The messages among what the node puts out, at once or after a write.
pub(super) fn messages(node: &mut TestNode) -> Vec<Message> {
    sent(outputs(node))
}

pub(super) fn sent(outputs: Vec<Output>) -> Vec<Message> {
    outputs
        .into_iter()
        .flat_map(|output| match output {
            Output::Persist(Persist { responses, .. }) => responses,
            Output::Send(message) => vec![message],
            _ => Vec::new(),
        })
        .collect()
}

pub(super) fn reads(outputs: &[Output]) -> Vec<ReadState> {
    let read = |output: &Output| if let Output::Read(read) = output { Some(read.clone()) } else { None };
    outputs.iter().filter_map(read).collect()
}

pub(super) fn message(from: u64, to: u64, term: u64, body: Body) -> Message {
    Message { from: id(from), to: id(to), term: Term(term), body }
}

pub(super) fn append(previous: EntryId, entries: Vec<Entry>, commit: u64) -> Body {
    Body::Append(Append { previous, entries, commit: LogIndex(commit) })
}

pub(super) fn accepted(index: u64) -> Body {
    Body::AppendResponse(AppendResponse::Accepted { index: LogIndex(index) })
}

pub(super) fn rejected(index: u64, hint: u64, hint_term: Option<u64>) -> Body {
    Body::AppendResponse(AppendResponse::Rejected {
        index: LogIndex(index),
        hint: LogIndex(hint),
        hint_term: hint_term.map(Term),
    })
}

pub(super) fn heartbeat(commit: u64) -> Body {
    Body::Heartbeat { commit: LogIndex(commit), context: Bytes::new() }
}

pub(super) fn heartbeat_response() -> Body {
    Body::HeartbeatResponse { context: Bytes::new() }
}

pub(super) fn vote(ballot: Ballot, last: EntryId) -> Body {
    Body::Vote(VoteRequest { ballot, last, transfer: false })
}

pub(super) fn voted(ballot: Ballot, granted: bool) -> Body {
    Body::VoteResponse(VoteResponse { ballot, granted })
}

/// Node 1 of three, leading term 1 with its empty entry acknowledged by 2 and committed.
pub(super) fn leader(config: Config) -> TestNode {
    let mut node = node(config, members(3));
    node.campaign();
    outputs(&mut node);
    for ballot in [Ballot::PreElection, Ballot::Election] {
        let term = node.status().hard_state.term.0;
        let asked = if ballot == Ballot::PreElection { term + 1 } else { term };
        node.step(message(2, 1, asked.max(1), voted(ballot, true))).unwrap();
        outputs(&mut node);
    }
    node.step(message(2, 1, 1, accepted(1))).unwrap();
    outputs(&mut node);
    assert_eq!(node.status().hard_state.commit, LogIndex(1));
    node
}

/// Nodes that all do what they are told, and a network that loses nothing but what it is told to.
pub(super) struct Cluster {
    pub nodes: BTreeMap<MemberId, TestNode>,
    /// Nothing passes from the first to the second.
    pub cut: Vec<(u64, u64)>,
    pub reads: Vec<(MemberId, ReadState)>,
}

impl Cluster {
    pub(super) fn new(count: u64, config: impl Fn(u64) -> Config) -> Self {
        let nodes = (1..=count).map(|number| (id(number), node(config(number), members(count))));
        Self { nodes: nodes.collect(), cut: Vec::new(), reads: Vec::new() }
    }

    pub(super) fn node(&mut self, number: u64) -> &mut TestNode {
        self.nodes.get_mut(&id(number)).unwrap()
    }

    /// Until nobody has anything to say.
    pub(super) fn settle(&mut self) {
        loop {
            let mut under_way = Vec::new();
            for (own, node) in &mut self.nodes {
                let outputs = outputs(node);
                self.reads.extend(reads(&outputs).into_iter().map(|read| (*own, read)));
                under_way.extend(sent(outputs).into_iter().map(|message| (*own, message)));
            }
            if under_way.is_empty() {
                return;
            }
            for (from, message) in under_way {
                let cut = self.cut.contains(&(from.0, message.to.0));
                if let Some(node) = self.nodes.get_mut(&message.to).filter(|_| !cut) {
                    let bytes = message.to_bytes();
                    // Refused proposals and answers of the removed are part of the game.
                    drop(node.step(Message::decode(bytes).unwrap()));
                }
            }
        }
    }

    pub(super) fn tick(&mut self, number: u64, ticks: u32) {
        for _ in 0..ticks {
            self.node(number).tick();
            self.settle();
        }
    }

    pub(super) fn leader_of(&self, number: u64) -> Option<MemberId> {
        self.nodes[&id(number)].status().soft_state.leader
    }

    /// All logs, from their first entries on.
    pub(super) fn logs(&self) -> Vec<Vec<Entry>> {
        let log = |node: &TestNode| {
            let storage = node.storage();
            let range = storage.first_index()..storage.last_index().next();
            storage.entries(range, u64::MAX).unwrap()
        };
        self.nodes.values().map(log).collect()
    }
}
