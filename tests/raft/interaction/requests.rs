//! What is asked of a node.

use bytes::Bytes;
use etcdlet::raft::LogIndex;
use etcdlet::raft::confchange::{ConfChange, ConfChangeTransition, ConfChangeV2};
use etcdlet::types::ids::MemberId;

use super::Environment;
use super::commands::Outcome;
use super::member::Member;
use crate::describe::changes;
use crate::transcript::Command;

impl Environment {
    pub(super) fn campaign(&mut self, command: &Command) -> Outcome {
        self.only(command).node.campaign();
        Ok(())
    }

    pub(super) fn compact(&mut self, command: &Command) -> Outcome {
        let [id, index] = command.exactly();
        let member = self.member(id);
        member.node.storage_mut().compact(LogIndex(index))?;
        let log = member.log();
        self.printout.put(log);
        Ok(())
    }

    pub(super) fn forget_leader(&mut self, command: &Command) -> Outcome {
        self.only(command).node.forget_leader();
        Ok(())
    }

    pub(super) fn propose(&mut self, command: &Command) -> Outcome {
        let (member, data) = self.with_word(command);
        member.node.propose(vec![data])?;
        Ok(())
    }

    pub(super) fn propose_conf_change(&mut self, command: &Command) -> Outcome {
        let node = &mut self.only(command).node;
        let changes = changes(&command.input);
        let transition = match command.value::<String>("transition").as_deref() {
            None | Some("auto") => ConfChangeTransition::Auto,
            Some("explicit") => ConfChangeTransition::JointExplicit,
            Some("implicit") => ConfChangeTransition::JointImplicit,
            Some(other) => panic!("transition={other}: it is auto, explicit or implicit"),
        };
        let is_v1: bool = command.value("v1").unwrap_or_default();
        if !is_v1 {
            node.propose_conf_change_v2(&ConfChangeV2 { transition, changes, ..ConfChangeV2::default() })?;
        } else if let ([change], ConfChangeTransition::Auto) = (&changes[..], transition) {
            node.propose_conf_change(&ConfChange { change: *change, ..ConfChange::default() })?;
        } else {
            return Err("v1 conf change can only have one operation and no transition".into());
        }
        Ok(())
    }

    pub(super) fn read_index(&mut self, command: &Command) -> Outcome {
        let (member, context) = self.with_word(command);
        member.node.read_index(context);
        Ok(())
    }

    pub(super) fn report_snapshot(&mut self, command: &Command) -> Outcome {
        let [id, to] = command.exactly();
        let received = command.value("received").expect("it takes received=");
        self.member(id).node.report_snapshot(MemberId(to), received);
        Ok(())
    }

    pub(super) fn report_unreachable(&mut self, command: &Command) -> Outcome {
        let [id, to] = command.exactly();
        self.member(id).node.report_unreachable(MemberId(to));
        Ok(())
    }

    pub(super) fn set_randomized_election_timeout(&mut self, command: &Command) -> Outcome {
        let ticks = command.value("timeout").expect("it takes timeout=");
        self.only(command).node.set_election_timeout(ticks);
        Ok(())
    }

    pub(super) fn tick_election(&mut self, command: &Command) -> Outcome {
        let member = self.only(command);
        member.tick(member.config.election_ticks);
        Ok(())
    }

    pub(super) fn tick_heartbeat(&mut self, command: &Command) -> Outcome {
        let member = self.only(command);
        member.tick(member.config.heartbeat_ticks);
        Ok(())
    }

    pub(super) fn transfer_leadership(&mut self, command: &Command) -> Outcome {
        let [from, to] = ["from", "to"].map(|key| command.value(key).expect("it takes from= and to="));
        self.member(from).node.transfer_leader(MemberId(to));
        Ok(())
    }

    /// The one member that the command names.
    pub(super) fn only(&mut self, command: &Command) -> &mut Member {
        let [id] = command.exactly();
        self.member(id)
    }

    /// A member, and a word for it.
    fn with_word(&mut self, command: &Command) -> (&mut Member, Bytes) {
        let words: Vec<&str> = command.bare().collect();
        let [id, word] = words[..] else { panic!("{} takes a node and a word", command.name) };
        let id = id.parse().unwrap_or_else(|error| panic!("{id}: {error}"));
        (self.member(id), Bytes::from(String::from(word)))
    }
}
