//! The one message of the wire, whose type says which of its fields count.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

use super::DecodeError;
use super::field::{Value, field_len, next_field, put_field};
use super::record::{Record, member, put_record, put_some_bytes, record_len, some_bytes_len};
use crate::raft::entry::Entry;
use crate::raft::index::{EntryId, LogIndex};
use crate::raft::message::{
    Append, AppendResponse, Ballot, Body, Message, MessageType, VoteRequest, VoteResponse,
};
use crate::raft::snapshot::Snapshot;
use crate::types::ids::{MemberId, Term};

/// All fields by their names on the wire, of a message that is there or of one that was read; the two that only occur between threads of one process
/// (`vote` and `responses`) are neither written nor read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields<'a> {
    pub kind: MessageType,
    pub to: MemberId,
    pub from: MemberId,
    pub term: Term,
    pub log_term: Term,
    pub index: LogIndex,
    pub entries: Cow<'a, [Entry]>,
    pub commit: LogIndex,
    pub snapshot: Option<Cow<'a, Snapshot>>,
    pub reject: bool,
    pub reject_hint: LogIndex,
    pub context: Bytes,
}

/// The context of a vote that the leader wished for.
const TRANSFER: &[u8] = b"CampaignTransfer";

impl Message {
    /// As etcd 3.6 writes it.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let fields = Fields::from(self);
        let mut out = BytesMut::with_capacity(fields.encoded_len());
        fields.encode(&mut out);
        out.freeze()
    }

    /// As any version writes it. What another member must not or need not say is an error.
    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        Self::try_from(Fields::decode(bytes)?)
    }
}

impl Fields<'_> {
    fn empty(kind: MessageType, to: MemberId, from: MemberId, term: Term) -> Self {
        Self {
            kind,
            to,
            from,
            term,
            log_term: Term(0),
            index: LogIndex::ZERO,
            entries: Cow::default(),
            commit: LogIndex::ZERO,
            snapshot: None,
            reject: false,
            reject_hint: LogIndex::ZERO,
            context: Bytes::new(),
        }
    }

    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let entries: usize = self.entries.iter().map(record_len).sum();
        let snapshot = self.snapshot.as_deref().map_or(0, record_len);
        field_len(self.kind as u64)
            + field_len(self.to.0)
            + field_len(self.from.0)
            + field_len(self.term.0)
            + field_len(self.log_term.0)
            + field_len(self.index.0)
            + entries
            + field_len(self.commit.0)
            + snapshot
            + field_len(u64::from(self.reject))
            + field_len(self.reject_hint.0)
            + some_bytes_len(&self.context)
    }

    pub fn encode(&self, out: &mut BytesMut) {
        put_field(out, 1, self.kind as u64);
        put_field(out, 2, self.to.0);
        put_field(out, 3, self.from.0);
        put_field(out, 4, self.term.0);
        put_field(out, 5, self.log_term.0);
        put_field(out, 6, self.index.0);
        for entry in &*self.entries {
            put_record(out, 7, entry);
        }
        put_field(out, 8, self.commit.0);
        if let Some(snapshot) = &self.snapshot {
            put_record(out, 9, &**snapshot);
        }
        put_field(out, 10, u64::from(self.reject));
        put_field(out, 11, self.reject_hint.0);
        put_some_bytes(out, 12, &self.context);
    }

    pub fn decode(mut bytes: Bytes) -> Result<Self, DecodeError> {
        let mut kind = 0;
        let nobody = MemberId(0);
        let mut fields = Self::empty(MessageType::MsgHup, nobody, nobody, Term(0));
        while let Some((field, value)) = next_field(&mut bytes)? {
            match field {
                1 => kind = value.number()?,
                _ => fields.set(field, value)?,
            }
        }
        let kind = usize::try_from(kind).ok().and_then(|at| MessageType::ALL.get(at)).ok_or(kind);
        fields.kind = *kind.map_err(DecodeError::UnknownType)?;
        Ok(fields)
    }

    fn set(&mut self, field: u64, value: Value) -> Result<(), DecodeError> {
        match field {
            2 => self.to = MemberId(value.number()?),
            3 => self.from = MemberId(value.number()?),
            4 => self.term = Term(value.number()?),
            5 => self.log_term = Term(value.number()?),
            6 => self.index = LogIndex(value.number()?),
            7 => self.entries.to_mut().push(Entry::decode(value.bytes()?)?),
            8 => self.commit = LogIndex(value.number()?),
            9 => self.snapshot = Some(Cow::Owned(Snapshot::decode(value.bytes()?)?)),
            10 => self.reject = value.number()? != 0,
            11 => self.reject_hint = LogIndex(value.number()?),
            12 => self.context = value.bytes()?,
            _ => {}
        }
        Ok(())
    }

    fn request(&self) -> Result<Bytes, DecodeError> {
        match &*self.entries {
            [entry] => Ok(entry.data.clone()),
            other => Err(DecodeError::ReadCount(other.len())),
        }
    }
}

impl<'a> From<&'a Message> for Fields<'a> {
    fn from(message: &'a Message) -> Self {
        let mut fields = Self::empty(message.kind(), message.to, message.from, message.term);
        match &message.body {
            Body::Append(Append { previous, entries, commit }) => {
                (fields.log_term, fields.index) = (previous.term, previous.index);
                (fields.entries, fields.commit) = (Cow::Borrowed(&entries[..]), *commit);
            }
            Body::AppendResponse(AppendResponse::Accepted { index }) => fields.index = *index,
            Body::AppendResponse(AppendResponse::Rejected { index, hint, hint_term }) => {
                fields.reject = true;
                (fields.index, fields.reject_hint) = (*index, *hint);
                fields.log_term = hint_term.unwrap_or_default();
            }
            Body::Heartbeat { commit, context } => {
                (fields.commit, fields.context) = (*commit, context.clone());
            }
            Body::HeartbeatResponse { context } => fields.context = context.clone(),
            Body::Propose { entries } => fields.entries = Cow::Borrowed(entries),
            Body::ReadIndex { context } => fields.entries = request(context),
            Body::ReadIndexResponse { index, context } => {
                (fields.index, fields.entries) = (*index, request(context));
            }
            Body::Snapshot(snapshot) => fields.snapshot = Some(Cow::Borrowed(snapshot)),
            Body::TimeoutNow | Body::TransferLeader => {}
            Body::Vote(VoteRequest { ballot: _, last, transfer }) => {
                (fields.log_term, fields.index) = (last.term, last.index);
                if *transfer {
                    fields.context = Bytes::from_static(TRANSFER);
                }
            }
            Body::VoteResponse(VoteResponse { ballot: _, granted }) => fields.reject = !*granted,
        }
        fields
    }
}

/// A read is an entry with its context.
fn request(context: &Bytes) -> Cow<'static, [Entry]> {
    Cow::Owned(vec![Entry::normal(context.clone())])
}

impl TryFrom<Fields<'_>> for Message {
    type Error = DecodeError;

    fn try_from(fields: Fields<'_>) -> Result<Self, DecodeError> {
        let (Some(to), Some(from), term) = (member(fields.to.0), member(fields.from.0), fields.term) else {
            return Err(DecodeError::NoAddress);
        };
        let named = EntryId { term: fields.log_term, index: fields.index };
        let transfer = fields.context == TRANSFER;
        let body = match fields.kind {
            MessageType::MsgApp => {
                let (entries, commit) = (fields.entries.into_owned(), fields.commit);
                Body::Append(Append { previous: named, entries, commit })
            }
            MessageType::MsgAppResp if fields.reject => Body::AppendResponse(AppendResponse::Rejected {
                index: fields.index,
                hint: fields.reject_hint,
                hint_term: (fields.log_term != Term(0)).then_some(fields.log_term),
            }),
            MessageType::MsgAppResp => Body::AppendResponse(AppendResponse::Accepted { index: fields.index }),
            MessageType::MsgHeartbeat => Body::Heartbeat { commit: fields.commit, context: fields.context },
            MessageType::MsgHeartbeatResp => Body::HeartbeatResponse { context: fields.context },
            MessageType::MsgPreVote => {
                Body::Vote(VoteRequest { ballot: Ballot::PreElection, last: named, transfer })
            }
            MessageType::MsgPreVoteResp => {
                Body::VoteResponse(VoteResponse { ballot: Ballot::PreElection, granted: !fields.reject })
            }
            MessageType::MsgProp => Body::Propose { entries: fields.entries.into_owned() },
            MessageType::MsgReadIndex => Body::ReadIndex { context: fields.request()? },
            MessageType::MsgReadIndexResp => {
                Body::ReadIndexResponse { index: fields.index, context: fields.request()? }
            }
            MessageType::MsgSnap => {
                let snapshot = fields.snapshot.map(Cow::into_owned);
                Body::Snapshot(Box::new(snapshot.unwrap_or_default()))
            }
            MessageType::MsgTimeoutNow => Body::TimeoutNow,
            MessageType::MsgTransferLeader => Body::TransferLeader,
            MessageType::MsgVote => {
                Body::Vote(VoteRequest { ballot: Ballot::Election, last: named, transfer })
            }
            MessageType::MsgVoteResp => {
                Body::VoteResponse(VoteResponse { ballot: Ballot::Election, granted: !fields.reject })
            }
            MessageType::MsgBeat
            | MessageType::MsgCheckQuorum
            | MessageType::MsgForgetLeader
            | MessageType::MsgHup
            | MessageType::MsgSnapStatus
            | MessageType::MsgStorageAppend
            | MessageType::MsgStorageAppendResp
            | MessageType::MsgStorageApply
            | MessageType::MsgStorageApplyResp
            | MessageType::MsgUnreachable => return Err(DecodeError::Local(fields.kind)),
        };
        Ok(Self { from, to, term, body })
    }
}
