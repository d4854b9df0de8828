//! What is looked at.

use super::Environment;
use super::commands::Outcome;
use super::printout::is_quiet;
use crate::describe::{progress_by_id, role};
use crate::transcript::Command;

impl Environment {
    pub(super) fn raft_log(&mut self, command: &Command) -> Outcome {
        let log = self.only(command).log();
        self.printout.put(log);
        Ok(())
    }

    pub(super) fn raft_state(&mut self, _: &Command) -> Outcome {
        for member in &self.members {
            let status = member.node.status();
            let (id, term) = (status.id, status.hard_state.term);
            let votes = if status.membership.voters.contains(id) { "Voter" } else { "Non-Voter" };
            let (role, leader) =
                (role(status.soft_state.role), status.soft_state.leader.map_or(0, |id| id.0));
            self.printout.put(format_args!("{}: {role} ({votes}) Term:{term} Lead:{leader}", id.0));
        }
        Ok(())
    }

    pub(super) fn status(&mut self, command: &Command) -> Outcome {
        let status = self.only(command).node.status();
        self.printout.put(progress_by_id(&status.progress, &status.membership));
        Ok(())
    }

    pub(super) fn log_level(&mut self, command: &Command) -> Outcome {
        let words: Vec<&str> = command.bare().collect();
        let [level] = words[..] else { panic!("it takes a level") };
        self.printout.quiet = is_quiet(level)?;
        Ok(())
    }
}
