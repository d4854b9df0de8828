//! What clients ask of members.

use std::time::Duration;

use etcdlet::types::ids::MemberId;

use super::{Action, World};
use crate::event::Event;
use crate::linearizable::Answer;
use crate::state_machine::{Command, RequestId};

/// Why a member does not even try; the request has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is not there to be asked, and is not known to have heard of it.
    Down,
    /// It said so.
    Dropped,
}

impl World {
    /// Asks a member to put it into the log. The answer comes by [`take_answer`](Self::take_answer), or never.
    pub(crate) fn propose(&mut self, id: MemberId, command: &Command) -> Result<(), Refusal> {
        self.announce(&Event::Called { member: id, command: command.clone() });
        let result = self.process(id, None, |process| process.propose(command));
        let refusal = match result {
            None => Refusal::Down,
            Some(Ok(())) => return Ok(()),
            Some(Err(_)) => Refusal::Dropped,
        };
        self.announce(&Event::Refused { member: id, id: command.id });
        Err(refusal)
    }

    /// Asks a member for the value of the command's key, linearizably, without the log. As with
    /// [`propose`](Self::propose) there may be no answer; a read never has an effect.
    pub(crate) fn read(&mut self, id: MemberId, command: &Command) -> Result<(), Refusal> {
        self.announce(&Event::Called { member: id, command: command.clone() });
        if self.process(id, None, |process| process.read(command.clone())).is_some() {
            return Ok(());
        }
        self.announce(&Event::Refused { member: id, id: command.id });
        Err(Refusal::Down)
    }

    pub(crate) fn take_answer(&mut self) -> Option<(RequestId, Answer)> {
        self.answers.pop_front()
    }

    pub(crate) fn wake_client(&mut self, client: u64, delay: Duration) {
        self.after(delay, Action::Client(client));
    }
}
