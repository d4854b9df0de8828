//! `simple`, `enter-joint` and `leave-joint`: changes of a membership, and who is replicated to after each.
//!
//! The input is what changes: `v1 l2 r3 u4`. The leader's log has one entry more with every command,
//! so that `next` shows when a member was added.

use std::collections::BTreeMap;

use etcdlet::raft::LogIndex;
use etcdlet::raft::confchange::Membership;
use etcdlet::raft::progress::{Progress, adjust};
use etcdlet::types::ids::MemberId;

use crate::describe::{changes, membership, progress_by_id};
use crate::transcript::{Command, Interpreter};

#[derive(Default)]
pub(crate) struct ConfChangeInterpreter {
    membership: Membership,
    progress: BTreeMap<MemberId, Progress>,
    last: LogIndex,
}

impl Interpreter for ConfChangeInterpreter {
    fn run(&mut self, command: &Command) -> String {
        let changes = changes(&command.input);
        let changed = match command.name.as_str() {
            "enter-joint" => {
                command.takes_only(&["autoleave"]);
                self.membership.entered_joint(command.value("autoleave").unwrap_or_default(), &changes)
            }
            "leave-joint" => {
                assert!(changes.is_empty(), "this command takes no input");
                self.membership.left_joint()
            }
            "simple" => self.membership.changed_simply(&changes),
            name => unreachable!("{name} is of another kind"),
        };
        let last = self.last;
        self.last = last.next();
        match changed {
            Ok(changed) => {
                adjust(&mut self.progress, &changed.ids(), &changed.removed_by(&changes), last);
                self.membership = changed;
                let progress = progress_by_id(&self.progress, &self.membership);
                format!("{}\n{progress}", membership(&self.membership))
            }
            Err(error) => error.to_string(),
        }
    }
}
