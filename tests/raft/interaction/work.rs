//! Work goes on: by one member at a time, or by all of them until none is left.

use etcdlet::raft::{Body, Message, MessageType};
use etcdlet::types::ids::MemberId;

use super::Environment;
use super::commands::Outcome;
use super::member::Thread;
use super::network::{Choice, Parcel};
use super::printout::is_quiet;
use crate::transcript::Command;

impl Environment {
    pub(super) fn process_ready(&mut self, command: &Command) -> Outcome {
        self.each(command, "handling Ready", Self::handle_ready);
        Ok(())
    }

    pub(super) fn process_thread(&mut self, command: &Command, thread: Thread) -> Outcome {
        self.each(command, thread.title(), |it, id| it.work(id, thread));
        Ok(())
    }

    /// Several members have a title each.
    fn each(&mut self, command: &Command, title: &str, work: impl Fn(&mut Self, u64)) {
        match command.numbers()[..] {
            [id] => work(self, id),
            ref ids => ids.iter().for_each(|id| self.titled(*id, title, |it| work(it, *id))),
        }
    }

    pub(super) fn deliver_msgs(&mut self, command: &Command) -> Outcome {
        let kind = command.value::<String>("type").map(|name| {
            let kind = MessageType::ALL.into_iter().find(|it| format!("{it:?}") == name);
            kind.unwrap_or_else(|| panic!("type={name}: there is no such message"))
        });
        let mut count = 0;
        for argument in &command.arguments {
            let parse = |it: &String| it.parse().unwrap_or_else(|error| panic!("{it}: {error}"));
            let choice = |id, drop| Choice { to: MemberId(id), kind, drop };
            match argument.key.as_str() {
                "drop" => {
                    for id in &argument.values {
                        count += self.deliver(choice(parse(id), true));
                    }
                }
                "type" => {}
                _ => count += self.deliver(choice(parse(&argument.key), false)),
            }
        }
        if count == 0 {
            self.printout.put("no messages");
        }
        Ok(())
    }

    pub(super) fn send_snapshot(&mut self, command: &Command) -> Outcome {
        let [from, to] = command.exactly();
        let member = self.member(from);
        let (from, to, term) = (member.id(), MemberId(to), member.node.status().hard_state.term);
        let body = Body::Snapshot(Box::new(member.snapshot()));
        let parcel = Parcel::new(&Message { from, to, term, body });
        self.printout.put(&parcel.text);
        self.network.send(vec![parcel]);
        Ok(())
    }

    pub(super) fn stabilize(&mut self, command: &Command) -> Outcome {
        let before = self.printout.quiet;
        if let Some(level) = command.value::<String>("log-level") {
            self.printout.quiet = is_quiet(&level)?;
        }
        let mut ids = command.numbers();
        if ids.is_empty() {
            ids = (1..=self.members.len() as u64).collect();
        }
        while self.work_once(&ids) {}
        self.printout.quiet = before;
        Ok(())
    }
}

impl Environment {
    fn handle_ready(&mut self, id: u64) {
        let (text, parcels) = self.member(id).process_ready();
        self.printout.put(text);
        self.network.send(parcels);
    }

    fn work(&mut self, id: u64, thread: Thread) {
        match self.member(id).process_work(thread) {
            Some((text, parcels)) => {
                self.printout.put(text);
                self.network.send(parcels);
            }
            None => self.printout.put(thread.idle()),
        }
    }

    /// Gives how many messages there were.
    fn deliver(&mut self, choice: Choice) -> usize {
        let parcels = self.network.take(choice);
        let count = parcels.len();
        for parcel in parcels {
            if choice.drop {
                self.printout.put(format_args!("dropped: {}", parcel.text));
                continue;
            }
            self.printout.put(parcel.text);
            if let Err(error) = self.member(choice.to.0).receive(parcel.content) {
                self.printout.put(error);
            }
        }
        count
    }

    /// Gives whether there was anything to do.
    fn work_once(&mut self, ids: &[u64]) -> bool {
        let mut busy = false;
        for id in ids {
            if self.member(*id).node.has_output() {
                busy = true;
                self.titled(*id, "handling Ready", |it| it.handle_ready(*id));
            }
        }
        for id in ids {
            let choice = Choice { to: MemberId(*id), kind: None, drop: false };
            if self.network.has(choice) {
                busy = true;
                self.titled(*id, "receiving messages", |it| {
                    it.deliver(choice);
                });
            }
        }
        for thread in [Thread::Append, Thread::Apply] {
            for id in ids {
                if self.member(*id).has_work(thread) {
                    busy = true;
                    self.titled(*id, thread.title(), |it| {
                        while it.member(*id).has_work(thread) {
                            it.work(*id, thread);
                        }
                    });
                }
            }
        }
        busy
    }

    /// What is printed by this stands below a line.
    fn titled(&mut self, id: u64, title: &str, print: impl FnOnce(&mut Self)) {
        self.printout.begin(format_args!("> {id} {title}"));
        print(self);
        self.printout.end();
    }
}
