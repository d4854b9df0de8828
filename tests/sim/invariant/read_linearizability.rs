//! What clients are told could come from one store that does one thing after the other; reads, too, see all that was
//! done before they were asked for (Raft thesis, section 6.4).

use std::collections::BTreeMap;

use etcdlet::raft::LogIndex;

use super::{Invariant, View};
use crate::event::Event;
use crate::linearizable::{History, OperationId, check};
use crate::member::Member;
use crate::state_machine::{Command, RequestId};

#[derive(Debug, Default)]
pub(super) struct ReadLinearizability {
    history: History,
    unanswered: BTreeMap<RequestId, Unanswered>,
    /// The last entry that any state machine has taken, ever.
    applied: LogIndex,
}

#[derive(Debug)]
struct Unanswered {
    operation: OperationId,
    /// What was applied somewhere when it was asked for first.
    applied_before: LogIndex,
    /// Members that were asked and have not refused.
    asked: u32,
}

impl Invariant for ReadLinearizability {
    fn name(&self) -> &'static str {
        "read linearizability"
    }

    fn observe(&mut self, event: &Event, view: &View<'_>) -> Result<(), String> {
        match event {
            Event::Answered { member, id, answer } => {
                let Some(Unanswered { operation, applied_before, .. }) = self.unanswered.remove(id) else {
                    return Ok(());
                };
                self.history.answer(operation, answer.clone());
                let process = view.members.get(member).and_then(Member::process);
                let applied = process.map(|process| process.machine().applied());
                if applied.is_some_and(|applied| applied < applied_before) {
                    return Err(format!(
                        "{member} answers {id:?} without entry {applied_before}, applied before it was asked for"
                    ));
                }
            }
            Event::Applied { entry, .. } => self.applied = self.applied.max(entry.index),
            Event::Called { command, .. } => self.call(command),
            Event::Refused { id, .. } => {
                self.unanswered.entry(*id).and_modify(|it| it.asked -= 1);
            }
            Event::Restored { last, .. } => self.applied = self.applied.max(last.index),
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, _view: &View<'_>) -> Result<(), String> {
        for Unanswered { operation, asked, .. } in self.unanswered.values() {
            if *asked == 0 {
                self.history.refuse(*operation);
            }
        }
        check(&self.history).map(drop).map_err(|fault| fault.to_string())
    }
}

impl ReadLinearizability {
    fn call(&mut self, command: &Command) {
        let Command { id, key, request } = command;
        let (history, applied_before) = (&mut self.history, self.applied);
        let unanswered = self.unanswered.entry(*id).or_insert_with(|| {
            let operation = history.call(id.client, key, request.clone());
            Unanswered { operation, applied_before, asked: 0 }
        });
        unanswered.asked += 1;
    }
}
