//! Messages between members, and between a node and its storage threads.

use std::fmt;

use etcdlet::raft::wire::Fields;
use etcdlet::raft::{Entry, EntryId, HardState, LogIndex, MessageType, Snapshot};
use etcdlet::types::ids::MemberId;

use super::entry::{entries, entry};
use super::state::snapshot;

/// What is printed of a message.
pub(crate) struct MessageText<'a> {
    pub kind: MessageType,
    pub from: MemberId,
    pub to: MemberId,
    pub hard_state: HardState,
    pub log: EntryId,
    pub reject_hint: Option<LogIndex>,
    pub entries: &'a [Entry],
    pub snapshot: Option<&'a Snapshot>,
    /// As they are printed themselves.
    pub responses: Vec<&'a str>,
}

impl<'a> MessageText<'a> {
    /// With nothing else in it.
    pub(crate) fn new(kind: MessageType, from: MemberId, to: MemberId) -> Self {
        Self {
            kind,
            from,
            to,
            hard_state: HardState::default(),
            log: EntryId::ZERO,
            reject_hint: None,
            entries: &[],
            snapshot: None,
            responses: Vec::new(),
        }
    }
}

impl<'a> From<&'a Fields<'_>> for MessageText<'a> {
    fn from(fields: &'a Fields<'_>) -> Self {
        Self {
            hard_state: HardState { term: fields.term, vote: None, commit: fields.commit },
            log: EntryId { term: fields.log_term, index: fields.index },
            reject_hint: fields.reject.then_some(fields.reject_hint),
            entries: &fields.entries,
            snapshot: fields.snapshot.as_deref(),
            ..Self::new(fields.kind, fields.from, fields.to)
        }
    }
}

impl fmt::Display for MessageText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, from, to, hard_state, log, .. } = self;
        let HardState { term, vote, commit } = hard_state;
        write!(f, "{}->{} {kind:?} Term:{term} Log:{log}", name(*from), name(*to))?;
        if let Some(hint) = self.reject_hint {
            write!(f, " Rejected (Hint: {hint})")?;
        }
        if *commit != LogIndex::ZERO {
            write!(f, " Commit:{commit}")?;
        }
        if let Some(vote) = vote {
            write!(f, " Vote:{}", vote.0)?;
        }
        match self.entries {
            [] => {}
            [one] => write!(f, " Entries:[{}]", entry(one))?,
            several => write!(f, " Entries:[\n{}]", indented(&entries(several)))?,
        }
        if let Some(it) = self.snapshot.filter(|it| it.last.index != LogIndex::ZERO) {
            write!(f, "\n  Snapshot: {}", snapshot(it))?;
        }
        if !self.responses.is_empty() {
            write!(f, " Responses:[\n{}]", indented(&self.responses.join("\n")))?;
        }
        Ok(())
    }
}

fn indented(lines: &str) -> String {
    lines.lines().map(|line| format!("  {line}\n")).collect()
}

fn name(id: MemberId) -> String {
    match id {
        APPEND_THREAD => String::from("AppendThread"),
        APPLY_THREAD => String::from("ApplyThread"),
        MemberId(0) => String::from("None"),
        _ => id.to_string(),
    }
}

/// Whom etcd-io/raft sends what is to be made durable.
pub(crate) const APPEND_THREAD: MemberId = MemberId(u64::MAX);
/// Whom it sends what is to be applied.
pub(crate) const APPLY_THREAD: MemberId = MemberId(u64::MAX - 1);
