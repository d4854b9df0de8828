//! What is stored and sent besides messages.

use bytes::{BufMut, Bytes, BytesMut};

use super::DecodeError;
use super::field::{
    Value, bytes_len, field_len, next_field, number, number_len, put_bytes, put_field, put_length,
};
use crate::raft::confchange::{
    ConfChange, ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2,
};
use crate::raft::entry::{Entry, EntryType};
use crate::raft::index::LogIndex;
use crate::raft::output::HardState;
use crate::raft::snapshot::{ConfState, Snapshot};
use crate::types::ids::{MemberId, Term};

/// A value with a protobuf form of its own.
pub trait Record: Default {
    fn encoded_len(&self) -> usize;

    /// Appends exactly [`encoded_len`](Self::encoded_len) bytes.
    fn encode(&self, out: &mut BytesMut);

    /// Takes the value of one field; an unknown one changes nothing.
    #[doc(hidden)]
    fn set(&mut self, field: u64, value: RecordValue) -> Result<(), DecodeError>;

    fn decode(mut bytes: Bytes) -> Result<Self, DecodeError> {
        let mut record = Self::default();
        while let Some((field, value)) = next_field(&mut bytes)? {
            record.set(field, RecordValue(value))?;
        }
        Ok(record)
    }

    fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.encoded_len());
        self.encode(&mut out);
        out.freeze()
    }
}

/// The value of a field.
#[doc(hidden)]
pub struct RecordValue(Value);

impl RecordValue {
    fn number(self) -> Result<u64, DecodeError> {
        self.0.number()
    }

    fn bytes(self) -> Result<Bytes, DecodeError> {
        self.0.bytes()
    }
}

/// A field that holds a record.
pub(super) fn put_record(out: &mut BytesMut, field: u8, record: &impl Record) {
    put_length(out, field, record.encoded_len());
    record.encode(out);
}

pub(super) fn record_len(record: &impl Record) -> usize {
    bytes_len(record.encoded_len())
}

/// etcd writes no field for an empty payload or context.
pub(super) fn put_some_bytes(out: &mut impl BufMut, field: u8, bytes: &[u8]) {
    if !bytes.is_empty() {
        put_bytes(out, field, bytes);
    }
}

pub(super) fn some_bytes_len(bytes: &[u8]) -> usize {
    if bytes.is_empty() { 0 } else { bytes_len(bytes.len()) }
}

pub(super) fn member(number: u64) -> Option<MemberId> {
    (number != 0).then_some(MemberId(number))
}

fn member_number(id: Option<MemberId>) -> u64 {
    id.map_or(0, |id| id.0)
}

impl Record for Entry {
    fn encoded_len(&self) -> usize {
        2 + field_len(self.term.0) + field_len(self.index.0) + some_bytes_len(&self.data)
    }

    fn encode(&self, out: &mut BytesMut) {
        put_field(out, 1, self.kind as u64);
        put_field(out, 2, self.term.0);
        put_field(out, 3, self.index.0);
        put_some_bytes(out, 4, &self.data);
    }

    fn set(&mut self, field: u64, value: RecordValue) -> Result<(), DecodeError> {
        match field {
            1 => {
                self.kind = match value.number()? {
                    0 => EntryType::Normal,
                    1 => EntryType::ConfChange,
                    2 => EntryType::ConfChangeV2,
                    unknown => return Err(DecodeError::UnknownKind(unknown)),
                }
            }
            2 => self.term = Term(value.number()?),
            3 => self.index = LogIndex(value.number()?),
            4 => self.data = value.bytes()?,
            _ => {}
        }
        Ok(())
    }
}

impl Record for HardState {
    fn encoded_len(&self) -> usize {
        field_len(self.term.0) + field_len(member_number(self.vote)) + field_len(self.commit.0)
    }

    fn encode(&self, out: &mut BytesMut) {
        put_field(out, 1, self.term.0);
        put_field(out, 2, member_number(self.vote));
        put_field(out, 3, self.commit.0);
    }

    fn set(&mut self, field: u64, value: RecordValue) -> Result<(), DecodeError> {
        match field {
            1 => self.term = Term(value.number()?),
            2 => self.vote = member(value.number()?),
            3 => self.commit = LogIndex(value.number()?),
            _ => {}
        }
        Ok(())
    }
}

impl Record for ConfState {
    fn encoded_len(&self) -> usize {
        let ids = [&self.voters, &self.learners, &self.voters_outgoing, &self.learners_next];
        2 + ids.into_iter().flatten().map(|id| 1 + number_len(id.0)).sum::<usize>()
    }

    fn encode(&self, out: &mut BytesMut) {
        let ids = [&self.voters, &self.learners, &self.voters_outgoing, &self.learners_next];
        for (field, ids) in (1..).zip(ids) {
            for id in ids {
                put_field(out, field, id.0);
            }
        }
        put_field(out, 5, u64::from(self.auto_leave));
    }

    fn set(&mut self, field: u64, value: RecordValue) -> Result<(), DecodeError> {
        match field {
            1 => add_members(&mut self.voters, value)?,
            2 => add_members(&mut self.learners, value)?,
            3 => add_members(&mut self.voters_outgoing, value)?,
            4 => add_members(&mut self.learners_next, value)?,
            5 => self.auto_leave = value.number()? != 0,
            _ => {}
        }
        Ok(())
    }
}

/// One of them, or several in one field.
fn add_members(members: &mut Vec<MemberId>, value: RecordValue) -> Result<(), DecodeError> {
    match value.0 {
        Value::Bytes(mut packed) => {
            while !packed.is_empty() {
                members.push(MemberId(number(&mut packed)?));
            }
        }
        Value::Number(id) => members.push(MemberId(id)),
        Value::Skipped => return Err(DecodeError::Malformed),
    }
    Ok(())
}

impl Record for Snapshot {
    fn encoded_len(&self) -> usize {
        some_bytes_len(&self.data) + bytes_len(metadata_len(self))
    }

    fn encode(&self, out: &mut BytesMut) {
        put_some_bytes(out, 1, &self.data);
        put_length(out, 2, metadata_len(self));
        put_record(out, 1, &self.conf_state);
        put_field(out, 2, self.last.index.0);
        put_field(out, 3, self.last.term.0);
    }

    fn set(&mut self, field: u64, value: RecordValue) -> Result<(), DecodeError> {
        match field {
            1 => self.data = value.bytes()?,
            2 => {
                let mut metadata = value.bytes()?;
                while let Some((field, value)) = next_field(&mut metadata)? {
                    match field {
                        1 => self.conf_state = ConfState::decode(value.bytes()?)?,
                        2 => self.last.index = LogIndex(value.number()?),
                        3 => self.last.term = Term(value.number()?),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn metadata_len(snapshot: &Snapshot) -> usize {
    record_len(&snapshot.conf_state) + field_len(snapshot.last.index.0) + field_len(snapshot.last.term.0)
}

impl Record for ConfChange {
    fn encoded_len(&self) -> usize {
        field_len(self.id)
            + field_len(self.change.kind as u64)
            + field_len(member_number(self.change.node))
            + some_bytes_len(&self.context)
    }

    fn encode(&self, out: &mut BytesMut) {
        put_field(out, 1, self.id);
        put_field(out, 2, self.change.kind as u64);
        put_field(out, 3, member_number(self.change.node));
        put_some_bytes(out, 4, &self.context);
    }

    fn set(&mut self, field: u64, value: RecordValue) -> Result<(), DecodeError> {
        match field {
            1 => self.id = value.number()?,
            2 => self.change.kind = change_type(value.number()?)?,
            3 => self.change.node = member(value.number()?),
            4 => self.context = value.bytes()?,
            _ => {}
        }
        Ok(())
    }
}

impl Record for ConfChangeSingle {
    fn encoded_len(&self) -> usize {
        field_len(self.kind as u64) + field_len(member_number(self.node))
    }

    fn encode(&self, out: &mut BytesMut) {
        put_field(out, 1, self.kind as u64);
        put_field(out, 2, member_number(self.node));
    }

    fn set(&mut self, field: u64, value: RecordValue) -> Result<(), DecodeError> {
        match field {
            1 => self.kind = change_type(value.number()?)?,
            2 => self.node = member(value.number()?),
            _ => {}
        }
        Ok(())
    }
}

impl Record for ConfChangeV2 {
    fn encoded_len(&self) -> usize {
        let changes: usize = self.changes.iter().map(record_len).sum();
        field_len(self.transition as u64) + changes + some_bytes_len(&self.context)
    }

    fn encode(&self, out: &mut BytesMut) {
        put_field(out, 1, self.transition as u64);
        for change in &self.changes {
            put_record(out, 2, change);
        }
        put_some_bytes(out, 3, &self.context);
    }

    fn set(&mut self, field: u64, value: RecordValue) -> Result<(), DecodeError> {
        match field {
            1 => {
                self.transition = match value.number()? {
                    0 => ConfChangeTransition::Auto,
                    1 => ConfChangeTransition::JointImplicit,
                    2 => ConfChangeTransition::JointExplicit,
                    unknown => return Err(DecodeError::UnknownKind(unknown)),
                }
            }
            2 => self.changes.push(ConfChangeSingle::decode(value.bytes()?)?),
            3 => self.context = value.bytes()?,
            _ => {}
        }
        Ok(())
    }
}

fn change_type(number: u64) -> Result<ConfChangeType, DecodeError> {
    match number {
        0 => Ok(ConfChangeType::AddNode),
        1 => Ok(ConfChangeType::RemoveNode),
        2 => Ok(ConfChangeType::UpdateNode),
        3 => Ok(ConfChangeType::AddLearnerNode),
        unknown => Err(DecodeError::UnknownKind(unknown)),
    }
}

impl Entry {
    /// The change that this entry holds; none if it is a normal one. An empty payload asks to leave
    /// a joint configuration.
    pub fn conf_change(&self) -> Result<Option<ConfChangeV2>, DecodeError> {
        match self.kind {
            EntryType::ConfChange => Ok(Some(ConfChange::decode(self.data.clone())?.into())),
            EntryType::ConfChangeV2 => ConfChangeV2::decode(self.data.clone()).map(Some),
            EntryType::Normal => Ok(None),
        }
    }
}

/// Encoded size, by which messages and hand-outs are limited.
pub(crate) fn encoded_bytes(entries: &[Entry]) -> u64 {
    entries.iter().map(|entry| entry.encoded_len() as u64).sum()
}

/// The first entries whose encoded sizes add up to no more than this; at least one, if there is one.
#[must_use]
pub fn within(entries: &[Entry], bytes_max: u64) -> &[Entry] {
    let mut bytes = 0_u64;
    let fits = |entry: &&Entry| {
        bytes = bytes.saturating_add(entry.encoded_len() as u64);
        bytes <= bytes_max
    };
    let count = entries.iter().take_while(fits).count();
    &entries[..count.max(1).min(entries.len())]
}
