//! Messages between members.

use std::rc::Rc;

use etcdlet::raft::{Body, Error, Message};
use etcdlet::types::ids::MemberId;

use super::{Action, World};
use crate::event::Event;
use crate::member::Member;

impl World {
    /// The message may be another's that is forwarded.
    pub(super) fn send(&mut self, from: MemberId, message: &Rc<Message>) {
        self.announce(&Event::Sent { from, message: Rc::clone(message) });
        let arrivals = self.network.arrivals(from, message.to);
        match arrivals.len() {
            0 => self.lose(from, message),
            1 => {}
            _ => self.count("doubled message"),
        }
        for delay in arrivals {
            self.after(delay, Action::Deliver { from, message: Rc::clone(message) });
        }
    }

    /// The sender may be told, and is if it was a snapshot: it would wait for it for ever.
    fn lose(&mut self, from: MemberId, message: &Rc<Message>) {
        self.count("lost message");
        let incarnation = self.members[&from].incarnation;
        if let Body::Snapshot(_) = message.body {
            let after = self.network.delay();
            self.after(after, Action::Snapshot { from, incarnation, to: message.to, received: false });
        } else if self.network.is_noticed() {
            let after = self.network.delay();
            self.after(after, Action::Unreachable { from, incarnation, to: message.to });
        }
    }

    pub(super) fn deliver(&mut self, from: MemberId, message: &Rc<Message>) {
        let to = message.to;
        if !self.members.get(&to).is_some_and(Member::is_up) {
            self.lose(from, message);
            return;
        }
        self.announce(&Event::Delivered { message: Rc::clone(message) });
        let received = if self.scenario.wire {
            Message::decode(message.to_bytes()).expect("what is written can be read")
        } else {
            (**message).clone()
        };
        let result = self.process(to, None, |process| process.input(|node| node.step(received)));
        if let Some(Err(error)) = result {
            self.judge(to, &error);
        }
        if let Body::Snapshot(_) = message.body {
            self.count("snapshot received");
            let incarnation = self.members[&from].incarnation;
            let after = self.network.delay();
            self.after(after, Action::Snapshot { from, incarnation, to, received: true });
        }
    }

    /// Some errors are about a message, others are the end.
    fn judge(&mut self, member: MemberId, error: &Error) {
        match error {
            Error::CommitBeyondLog { .. }
            | Error::CommittedConflict { .. }
            | Error::Gap(_)
            | Error::ImplausibleSnapshot(_)
            | Error::OwnName => {
                self.fail(format!("member {member} cannot go on: {error}"));
            }
            Error::Storage(_) => self.count("busy storage"),
            Error::ConfChange(_) | Error::Config(_) | Error::PeerNotFound(_) | Error::ProposalDropped(_) => {}
        }
    }
}
