//! Messages under way.

use etcdlet::raft::wire::Fields;
use etcdlet::raft::{Apply, ApplyAck, Message, MessageType, Persist, PersistAck};
use etcdlet::types::ids::MemberId;

use crate::describe::{APPEND_THREAD, APPLY_THREAD, MessageText};

/// A message, or what etcd-io/raft has as one: an acknowledgement of a storage thread.
pub(super) struct Parcel {
    from: MemberId,
    to: MemberId,
    kind: MessageType,
    pub text: String,
    pub content: Content,
}

pub(super) enum Content {
    Applied(ApplyAck),
    Message(Message),
    Persisted(PersistAck),
}

impl Parcel {
    /// It arrives as it was read from the wire.
    pub(super) fn new(message: &Message) -> Self {
        let arrived = Message::decode(message.to_bytes()).expect("what the core writes it can read");
        assert_eq!(arrived, *message, "a message arrives as it was sent");
        let fields = Fields::from(message);
        let (from, to, kind) = (fields.from, fields.to, fields.kind);
        let text = MessageText::from(&fields).to_string();
        Self { from, to, kind, text, content: Content::Message(arrived) }
    }

    pub(super) fn applied(to: MemberId, apply: &Apply) -> Option<Self> {
        let content = Content::Applied(apply.ack.clone()?);
        let (from, kind) = (APPLY_THREAD, MessageType::MsgStorageApplyResp);
        let text = MessageText { entries: &apply.entries, ..MessageText::new(kind, from, to) }.to_string();
        Some(Self { from, to, kind, text, content })
    }

    pub(super) fn persisted(to: MemberId, persist: &Persist) -> Option<Self> {
        let ack = persist.ack.clone()?;
        let (from, kind) = (APPEND_THREAD, MessageType::MsgStorageAppendResp);
        let mut text = MessageText::new(kind, from, to);
        text.hard_state.term = ack.term();
        text.log = ack.last().unwrap_or_default();
        text.snapshot = persist.snapshot.as_deref();
        let text = text.to_string();
        Some(Self { from, to, kind, text, content: Content::Persisted(ack) })
    }

    fn is_local(&self) -> bool {
        self.from == self.to || [APPEND_THREAD, APPLY_THREAD].contains(&self.from)
    }
}

/// In the order in which they were sent.
#[derive(Default)]
pub(super) struct Network(Vec<Parcel>);

/// Which of the messages under way.
#[derive(Clone, Copy)]
pub(super) struct Choice {
    pub to: MemberId,
    /// All of them, if there is none.
    pub kind: Option<MessageType>,
    /// They get lost; those of a node to itself cannot.
    pub drop: bool,
}

impl Choice {
    fn is(&self, parcel: &Parcel) -> bool {
        let Self { to, kind, drop } = *self;
        parcel.to == to && kind.is_none_or(|kind| kind == parcel.kind) && !(drop && parcel.is_local())
    }
}

impl Network {
    pub(super) fn send(&mut self, parcels: Vec<Parcel>) {
        self.0.extend(parcels);
    }

    pub(super) fn has(&self, choice: Choice) -> bool {
        self.0.iter().any(|it| choice.is(it))
    }

    pub(super) fn take(&mut self, choice: Choice) -> Vec<Parcel> {
        self.0.extract_if(.., |it| choice.is(it)).collect()
    }
}
