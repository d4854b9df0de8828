//! A node, its storage, and the work of its storage threads.

use std::collections::VecDeque;

use bytes::Bytes;
use etcdlet::raft::{
    Apply, Config, Entry, Error, MemoryStorage, Message, MessageType, Node, Persist, Snapshot, Storage,
};
use etcdlet::types::ids::MemberId;

use super::network::{Content, Parcel};
use crate::describe::{APPEND_THREAD, APPLY_THREAD, MessageText, Ready, entries};

pub(super) struct Member {
    pub node: Node<MemoryStorage>,
    pub config: Config,
    append_work: VecDeque<Work<Persist>>,
    apply_work: VecDeque<Work<Apply>>,
}

/// For a storage thread.
struct Work<T> {
    /// As it is printed without its responses.
    text: String,
    task: T,
    responses: Vec<Parcel>,
}

impl Member {
    pub(super) fn try_new(config: Config, storage: MemoryStorage) -> Result<Self, Error> {
        let node = Node::try_new(config.clone(), storage, config.id.0)?;
        Ok(Self { node, config, append_work: VecDeque::new(), apply_work: VecDeque::new() })
    }

    pub(super) fn id(&self) -> MemberId {
        self.config.id
    }

    pub(super) fn tick(&mut self, count: u32) {
        (0..count).for_each(|_| self.node.tick());
    }

    pub(super) fn receive(&mut self, content: Content) -> Result<(), Error> {
        match content {
            Content::Applied(ack) => self.node.handle_applied(&ack),
            Content::Message(message) => self.node.step(message)?,
            Content::Persisted(ack) => self.node.handle_persisted(&ack),
        }
        Ok(())
    }

    /// Does what the node wants done, or leaves it to the threads; gives that, and what is to be sent.
    pub(super) fn process_ready(&mut self) -> (String, Vec<Parcel>) {
        let ready = Ready::poll(&mut self.node);
        let mut parcels: Vec<Parcel> = ready.messages.iter().map(Parcel::new).collect();
        let mut to_threads = Vec::new();
        if self.config.asynchronous_storage {
            let mut persist = ready.persist.clone();
            // etcd-io/raft sends them before the candidacy is durable, and its files have them there.
            let asked = persist.iter_mut().flat_map(|it| it.responses.extract_if(.., asks_for_a_vote));
            parcels.extend(asked.map(|message| Parcel::new(&message)));
            to_threads.extend(persist.map(|persist| self.leave_append(persist)));
            to_threads.extend(ready.apply.clone().map(|apply| self.leave_apply(apply)));
        } else {
            if let Some(persist) = &ready.persist {
                self.node.storage_mut().persist(persist);
                parcels.extend(persist.responses.iter().map(Parcel::new));
            }
            if let Some(apply) = &ready.apply {
                self.apply(&apply.entries);
            }
            self.node.advance();
        }
        let told: Vec<String> = parcels.iter().map(|it| it.text.clone()).chain(to_threads).collect();
        (ready.text(&told), parcels)
    }

    /// Gives what the node tells its thread by that.
    fn leave_append(&mut self, persist: Persist) -> String {
        let mut responses: Vec<Parcel> = persist.responses.iter().map(Parcel::new).collect();
        responses.extend(Parcel::persisted(self.id(), &persist));
        let mut text = MessageText::new(MessageType::MsgStorageAppend, self.id(), APPEND_THREAD);
        text.hard_state = persist.hard_state.unwrap_or_default();
        text.entries = &persist.entries;
        text.snapshot = persist.snapshot.as_deref();
        let (alone, told) = with_responses(text, &responses);
        self.append_work.push_back(Work { text: alone, task: persist, responses });
        told
    }

    fn leave_apply(&mut self, apply: Apply) -> String {
        let responses = Vec::from_iter(Parcel::applied(self.id(), &apply));
        let mut text = MessageText::new(MessageType::MsgStorageApply, self.id(), APPLY_THREAD);
        text.entries = &apply.entries;
        let (alone, told) = with_responses(text, &responses);
        self.apply_work.push_back(Work { text: alone, task: apply, responses });
        told
    }

    pub(super) fn has_work(&self, thread: Thread) -> bool {
        match thread {
            Thread::Append => !self.append_work.is_empty(),
            Thread::Apply => !self.apply_work.is_empty(),
        }
    }

    /// One piece of it.
    pub(super) fn process_work(&mut self, thread: Thread) -> Option<(String, Vec<Parcel>)> {
        let (text, responses) = match thread {
            Thread::Append => {
                let Work { text, task, responses } = self.append_work.pop_front()?;
                self.node.storage_mut().persist(&task);
                (text, responses)
            }
            Thread::Apply => {
                let Work { text, task, responses } = self.apply_work.pop_front()?;
                self.apply(&task.entries);
                (text, responses)
            }
        };
        let told: String = responses.iter().map(|it| format!("{}\n", it.text)).collect();
        Some((format!("Processing:\n{text}\nResponses:\n{told}"), responses))
    }

    /// The state machine is all payloads, one after the other; there is a snapshot after every entry.
    fn apply(&mut self, entries: &[Entry]) {
        // A snapshot that came later may have been written first.
        let before = self.snapshot().last.index;
        for entry in entries.iter().filter(|it| it.index > before) {
            let Snapshot { data, mut conf_state, .. } = self.snapshot();
            let added = match entry.conf_change().expect("the core wrote it") {
                Some(change) => {
                    conf_state = self.node.apply_conf_change(&change).expect("what is proposed is legal");
                    change.context
                }
                None => entry.data.clone(),
            };
            let data = Bytes::from([data, added].concat());
            self.node.storage_mut().create_snapshot(Snapshot { data, conf_state, last: entry.id() });
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.node.storage().snapshot().expect("there is always one in memory")
    }

    /// The log on its disk.
    pub(super) fn log(&self) -> String {
        let storage = self.node.storage();
        let (first, last) = (storage.first_index(), storage.last_index());
        if last < first {
            return format!("log is empty: first index={first}, last index={last}");
        }
        entries(&storage.entries(first..last.next(), u64::MAX).expect("they are there"))
    }
}

fn asks_for_a_vote(message: &mut Message) -> bool {
    message.kind() == MessageType::MsgVote
}

/// What is printed of a message to a thread: without its responses, and with them.
fn with_responses<'a>(mut text: MessageText<'a>, responses: &'a [Parcel]) -> (String, String) {
    let alone = text.to_string();
    text.responses = responses.iter().map(|it| it.text.as_str()).collect();
    (alone, text.to_string())
}

#[derive(Clone, Copy)]
pub(super) enum Thread {
    Append,
    Apply,
}

impl Thread {
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Append => "processing append thread",
            Self::Apply => "processing apply thread",
        }
    }

    pub(super) const fn idle(self) -> &'static str {
        match self {
            Self::Append => "no append work to perform",
            Self::Apply => "no apply work to perform",
        }
    }
}
