//! What etcd-io/raft hands its driver in one piece.

use etcdlet::raft::{Apply, Message, Node, Output, Persist, ReadState, SoftState, Storage};

use super::entry::entries;
use super::state::{hard_state, snapshot, soft_state};

/// A node's outputs up to where it waits, by what they are.
#[derive(Default)]
pub(crate) struct Ready {
    pub state: Option<SoftState>,
    pub reads: Vec<ReadState>,
    pub messages: Vec<Message>,
    pub persist: Option<Persist>,
    pub apply: Option<Apply>,
}

impl Ready {
    pub(crate) fn poll(node: &mut Node<impl Storage>) -> Self {
        let mut ready = Self::default();
        while let Some(output) = node.poll_output() {
            match output {
                Output::Apply(apply) => assert!(ready.apply.replace(apply).is_none(), "one piece to apply"),
                Output::Persist(it) => assert!(ready.persist.replace(it).is_none(), "one piece to write"),
                Output::Read(read) => ready.reads.push(read),
                Output::Send(message) => ready.messages.push(message),
                Output::State(state) => ready.state = Some(state),
            }
        }
        ready
    }

    /// With the printed forms of all messages, those to the threads too.
    pub(crate) fn text(&self, told: &[String]) -> String {
        let Self { state, reads, messages: _, persist, apply } = self;
        let persist = persist.as_ref();
        let mut text = String::new();
        if let Some(state) = state {
            text += &format!("{}\n", soft_state(*state));
        }
        if let Some(state) = persist.and_then(|it| it.hard_state) {
            text += &format!("HardState {}\n", hard_state(state));
        }
        if !reads.is_empty() {
            let reads: Vec<String> = reads.iter().map(read).collect();
            text += &format!("ReadStates [{}]\n", reads.join(" "));
        }
        if let Some(persist) = persist.filter(|it| !it.entries.is_empty()) {
            text += &format!("Entries:\n{}", entries(&persist.entries));
        }
        if let Some(it) = persist.and_then(|it| it.snapshot.as_deref()) {
            text += &format!("Snapshot {}\n", snapshot(it));
        }
        if let Some(apply) = apply {
            text += &format!("CommittedEntries:\n{}", entries(&apply.entries));
        }
        if !told.is_empty() {
            text += &format!("Messages:\n{}\n", told.join("\n"));
        }
        if text.is_empty() {
            return String::from("<empty Ready>");
        }
        let must_sync = persist.is_some_and(|it| it.must_sync);
        format!("Ready MustSync={must_sync}:\n{text}")
    }
}

/// As Go prints a struct of a number and bytes.
fn read(read: &ReadState) -> String {
    let bytes: Vec<String> = read.context.iter().map(u8::to_string).collect();
    format!("{{{} [{}]}}", read.index, bytes.join(" "))
}
