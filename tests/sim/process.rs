//! A node with its disk and its state machine: what a driver does, with the times left to the world.
//!
//! ```text
//!   tick, step, propose, read        Effect::Write ──> world: some time later ──> handle_written
//!          │                            ^                                            │ sync, responses, ack
//!          v                            │                                            v
//!        Node ──── poll_output ──> Process ── Effect::Apply ──> … ──> handle_applied: entries, ack
//! ```
//!
//! Without asynchronous storage the outputs of one poll are a batch: all written, then applied, then `advance`.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use etcdlet::raft::index::EntryId;
use etcdlet::raft::{
    Apply, ConfState, Config, Entry, Error, LogIndex, Message, Node, Output, Persist, ReadState, Snapshot,
    Status,
};

use super::disk::Disk;
use super::event::{Event, Vitals};
use super::linearizable::Answer;
use super::state_machine::{Command, RequestId, StateMachine};

#[derive(Debug)]
pub(crate) struct Process {
    node: Node<Disk>,
    machine: StateMachine,
    /// After the last entry that is applied.
    membership: ConfState,
    asynchronous: bool,
    reads_unsynced: bool,
    status: Status,
    /// Under way, the oldest first.
    writes: VecDeque<Write>,
    applies: VecDeque<Apply>,
    batch: Option<Batch>,
    /// Requests of clients that this member has proposed.
    proposals: BTreeMap<u64, RequestId>,
    queries: BTreeMap<RequestId, Command>,
    /// Confirmed, and waiting for their index.
    reads: Vec<ReadState>,
    effects: Vec<Effect>,
}

/// What the world has to do for a member.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Give [`Process::handle_applied`] some time later, in order.
    Apply,
    Event(Event),
    Send(Rc<Message>),
    /// Give [`Process::handle_written`] some time later, in order.
    Write,
}

#[derive(Debug)]
enum Write {
    Checkpoint(Snapshot),
    Persist(Rc<Persist>),
}

/// Without asynchronous storage: what is left to do of one poll.
#[derive(Debug)]
struct Batch {
    writes: bool,
    apply: Option<Apply>,
}

impl Process {
    /// Begins from what the disk holds.
    pub(crate) fn start(
        mut config: Config,
        disk: Disk,
        reads_unsynced: bool,
        seed: u64,
    ) -> Result<Self, Error> {
        let snapshot = disk.written().snapshot.clone();
        config.applied = snapshot.last.index;
        let machine = StateMachine::decode(&snapshot.data);
        let asynchronous = config.asynchronous_storage;
        let node = Node::try_new(config, disk, seed)?;
        let status = node.status();
        Ok(Self {
            node,
            machine,
            membership: snapshot.conf_state,
            asynchronous,
            reads_unsynced,
            status,
            writes: VecDeque::new(),
            applies: VecDeque::new(),
            batch: None,
            proposals: BTreeMap::new(),
            queries: BTreeMap::new(),
            reads: Vec::new(),
            effects: Vec::new(),
        })
    }

    /// What the disk has in its cache, and what was on the way to it.
    pub(crate) fn into_disk(mut self) -> Disk {
        let mut disk = std::mem::take(self.node.storage_mut());
        if !self.reads_unsynced {
            self.writes.iter().for_each(|write| write.begin(&mut disk));
        }
        disk
    }

    pub(crate) const fn status(&self) -> &Status {
        &self.status
    }

    pub(crate) const fn disk(&self) -> &Disk {
        self.node.storage()
    }

    pub(crate) const fn disk_mut(&mut self) -> &mut Disk {
        self.node.storage_mut()
    }

    pub(crate) const fn machine(&self) -> &StateMachine {
        &self.machine
    }

    /// An input, and everything that follows from it at once.
    pub(crate) fn input<T>(&mut self, give: impl FnOnce(&mut Node<Disk>) -> T) -> T {
        let result = give(&mut self.node);
        self.follow_up();
        result
    }

    pub(crate) fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    pub(crate) fn propose(&mut self, command: &Command) -> Result<(), Error> {
        self.proposals.insert(command.id.client, command.id);
        let payload = command.to_bytes();
        let result = self.input(|node| node.propose(vec![payload]));
        if result.is_err() {
            self.proposals.remove(&command.id.client);
        }
        result
    }

    pub(crate) fn read(&mut self, command: Command) {
        let context = command.id.to_bytes();
        self.queries.insert(command.id, command);
        self.input(|node| node.read_index(context));
    }

    fn follow_up(&mut self) {
        self.note_status();
        while self.batch.is_none() && self.node.has_output() {
            self.poll();
            self.note_status();
        }
        self.answer_reads();
    }

    fn note_status(&mut self) {
        let status = self.node.status();
        let (before, after) = (Vitals::from(&self.status), Vitals::from(&status));
        let member = status.id;
        self.status = status;
        if before != after {
            self.effects.push(Effect::Event(Event::Changed { member, before, after }));
        }
    }

    fn poll(&mut self) {
        let asynchronous = self.asynchronous;
        let mut batch = Batch { writes: false, apply: None };
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Apply(apply) if asynchronous => {
                    self.applies.push_back(apply);
                    self.effects.push(Effect::Apply);
                }
                Output::Apply(apply) => batch.apply = Some(apply),
                Output::Persist(persist) => {
                    batch.writes = true;
                    let persist = Rc::new(persist);
                    let member = self.status.id;
                    self.effects.push(Effect::Event(Event::Persist { member, persist: Rc::clone(&persist) }));
                    self.begin_write(Write::Persist(persist));
                }
                Output::Read(read) => self.reads.push(read),
                Output::Send(message) => self.effects.push(Effect::Send(Rc::new(message))),
                Output::State(_) => {}
            }
        }
        if !asynchronous {
            self.continue_batch(batch);
        }
    }

    fn begin_write(&mut self, write: Write) {
        if self.reads_unsynced {
            write.begin(self.node.storage_mut());
        }
        self.writes.push_back(write);
        self.effects.push(Effect::Write);
    }

    /// The oldest write has reached the disk.
    pub(crate) fn handle_written(&mut self) {
        let write = self.writes.pop_front().expect("each write is done once");
        if !self.reads_unsynced {
            write.begin(self.node.storage_mut());
        }
        match write {
            Write::Checkpoint(snapshot) => self.node.storage_mut().write_checkpoint(&snapshot),
            Write::Persist(persist) => self.handle_persisted(&persist),
        }
        self.follow_up();
    }

    fn handle_persisted(&mut self, persist: &Persist) {
        if persist.must_sync || persist.snapshot.is_some() {
            self.node.storage_mut().sync();
            self.effects.push(Effect::Event(Event::Durable { member: self.status.id }));
        }
        if let Some(snapshot) = &persist.snapshot {
            self.restore(snapshot);
        }
        for response in &persist.responses {
            if response.to == self.status.id {
                // Of a node that is no longer a member they count for nothing.
                drop(self.node.step(response.clone()));
            } else {
                self.effects.push(Effect::Send(Rc::new(response.clone())));
            }
        }
        if let Some(ack) = &persist.ack {
            self.node.handle_persisted(ack);
        }
        if let Some(batch) = self.batch.take() {
            self.continue_batch(Batch { writes: false, ..batch });
        }
    }

    fn restore(&mut self, snapshot: &Snapshot) {
        self.machine = StateMachine::decode(&snapshot.data);
        self.membership = snapshot.conf_state.clone();
        self.effects.push(Effect::Event(Event::Restored {
            member: self.status.id,
            last: snapshot.last,
            digest: self.machine.digest(),
            membership: snapshot.conf_state.clone(),
        }));
    }

    fn continue_batch(&mut self, mut batch: Batch) {
        if batch.writes {
            self.batch = Some(batch);
        } else if let Some(apply) = batch.apply.take() {
            self.applies.push_back(apply);
            self.effects.push(Effect::Apply);
            self.batch = Some(batch);
        } else {
            self.node.advance();
        }
    }

    /// The oldest entries that were to be applied are.
    pub(crate) fn handle_applied(&mut self) {
        let Apply { entries, ack } = self.applies.pop_front().expect("each hand-out is applied once");
        for entry in entries {
            // A snapshot that came in between covers it.
            if entry.index > self.machine.applied() {
                self.apply(entry);
            }
        }
        match ack {
            Some(ack) => self.node.handle_applied(&ack),
            None => {
                self.batch = None;
                self.node.advance();
            }
        }
        self.follow_up();
    }

    fn apply(&mut self, entry: Entry) {
        let member = self.status.id;
        let answered = self.machine.apply(&entry);
        let change = entry.conf_change().expect("what is committed can be read");
        let membership = change.map(|change| {
            // One that is illegal changes nothing.
            if let Ok(membership) = self.node.apply_conf_change(&change) {
                self.membership = membership;
            }
            self.membership.clone()
        });
        let digest = self.machine.digest();
        self.effects.push(Effect::Event(Event::Applied { member, entry, digest, membership }));
        if let Some((id, answer)) = answered
            && self.proposals.get(&id.client) == Some(&id)
        {
            self.proposals.remove(&id.client);
            self.effects.push(Effect::Event(Event::Answered { member, id, answer }));
        }
    }

    fn answer_reads(&mut self) {
        let applied = self.machine.applied();
        for read in self.reads.extract_if(.., |read| read.index <= applied) {
            // It may come twice, as messages do.
            if let Some(command) = self.queries.remove(&RequestId::decode(&read.context)) {
                let answer = Answer::Found(self.machine.value(&command.key));
                let event = Event::Answered { member: self.status.id, id: command.id, answer };
                self.effects.push(Effect::Event(event));
            }
        }
    }

    pub(crate) const fn membership(&self) -> &ConfState {
        &self.membership
    }

    pub(crate) fn is_checkpointing(&self) -> bool {
        self.writes.iter().any(|write| matches!(write, Write::Checkpoint(_)))
    }

    /// A snapshot of the state machine as it is, to be compacted by when it is durable.
    pub(crate) fn begin_checkpoint(&mut self) {
        let index = self.machine.applied();
        let Some(term) = self.disk().written().term(index) else { return };
        let (data, conf_state) = (self.machine.to_bytes(), self.membership.clone());
        self.begin_write(Write::Checkpoint(Snapshot { data, conf_state, last: EntryId { term, index } }));
    }

    pub(crate) fn compact(&mut self, index: LogIndex) {
        self.node.storage_mut().compact(index);
    }
}

impl Write {
    /// It goes to the disk's cache; a checkpoint is not seen before it is done.
    fn begin(&self, disk: &mut Disk) {
        match self {
            Self::Checkpoint(_) => {}
            Self::Persist(persist) => disk.write(persist),
        }
    }
}
