//! What a stream of `WatchResponse` shows, counted without decoding more of it than that takes.

use bytes::{Buf, BytesMut};

use super::wire::{PREFIX_BYTES, first_message, take_varint};

/// Reads the frames of one stream, however they are cut into pieces.
#[derive(Debug, Default)]
pub(crate) struct Responses {
    /// The beginning of a frame whose end has not come yet.
    rest: BytesMut,
    /// By watch id: revision of the last event.
    last: Vec<u64>,
}

/// What came to an end in a piece.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Shown {
    pub(crate) created: u64,
    pub(crate) events: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Wrong {
    #[error("a watch was canceled")]
    Canceled,

    #[error("what came is no WatchResponse")]
    Malformed,

    #[error("an event of revision {after} came after one of revision {before}")]
    Order { before: u64, after: u64 },
}

/// One `WatchResponse`. Every event of it has a revision of its own, as puts have.
#[derive(Debug, Default)]
struct Message {
    watch_id: u64,
    created: bool,
    canceled: bool,
    events: u64,
    first: u64,
    last: u64,
}

impl Responses {
    pub(crate) fn read(&mut self, piece: &[u8]) -> Result<Shown, Wrong> {
        let mut shown = Shown::default();
        if self.rest.is_empty() {
            let used = read_all(&mut self.last, piece, &mut shown)?;
            self.rest.extend_from_slice(&piece[used..]);
        } else {
            self.rest.extend_from_slice(piece);
            let used = read_all(&mut self.last, &self.rest, &mut shown)?;
            self.rest.advance(used);
        }
        Ok(shown)
    }
}

/// Tells how many bytes are complete frames.
fn read_all(last: &mut Vec<u64>, bytes: &[u8], shown: &mut Shown) -> Result<usize, Wrong> {
    let mut used = 0;
    while let Some(message) = first_message(&bytes[used..]) {
        used += PREFIX_BYTES + message.len();
        let message = Message::read(message)?.ok_or(Wrong::Malformed)?;
        if message.canceled {
            return Err(Wrong::Canceled);
        }
        shown.created += u64::from(message.created);
        if message.events == 0 {
            continue;
        }
        shown.events += message.events;
        let at = usize::try_from(message.watch_id).ok().filter(|at| *at < WATCHES_MAX);
        let at = at.ok_or(Wrong::Malformed)?;
        if last.len() <= at {
            last.resize(at + 1, 0);
        }
        in_order(last[at], message.first)?;
        last[at] = message.last;
    }
    Ok(used)
}

impl Message {
    /// None when it is cut off or has a field of a kind that etcd's has not.
    fn read(mut bytes: &[u8]) -> Result<Option<Self>, Wrong> {
        let mut message = Self::default();
        while !bytes.is_empty() {
            let Some(field) = take_field(&mut bytes) else { return Ok(None) };
            match field {
                Field::Number(WATCH_ID, value) => message.watch_id = value,
                Field::Number(CREATED, value) => message.created = value != 0,
                Field::Number(CANCELED, value) => message.canceled = value != 0,
                Field::Bytes(EVENTS, event) => {
                    let Some(revision) = revision_of(event) else { return Ok(None) };
                    in_order(message.last, revision)?;
                    if message.events == 0 {
                        message.first = revision;
                    }
                    message.last = revision;
                    message.events += 1;
                }
                Field::Number(..) | Field::Bytes(..) => {}
            }
        }
        Ok(Some(message))
    }
}

/// Of an `Event`.
fn revision_of(mut event: &[u8]) -> Option<u64> {
    loop {
        if let Field::Bytes(EVENT_KV, mut pair) = take_field(&mut event)? {
            loop {
                if let Field::Number(KV_MOD_REVISION, revision) = take_field(&mut pair)? {
                    return Some(revision);
                }
            }
        }
    }
}

fn in_order(before: u64, after: u64) -> Result<(), Wrong> {
    if before < after { Ok(()) } else { Err(Wrong::Order { before, after }) }
}

enum Field<'a> {
    Bytes(u64, &'a [u8]),
    Number(u64, u64),
}

fn take_field<'a>(bytes: &mut &'a [u8]) -> Option<Field<'a>> {
    let tag = take_varint(bytes)?;
    let value = take_varint(bytes)?;
    match tag & 7 {
        0 => Some(Field::Number(tag >> 3, value)),
        2 => {
            let (field, rest) = bytes.split_at_checked(usize::try_from(value).ok()?)?;
            *bytes = rest;
            Some(Field::Bytes(tag >> 3, field))
        }
        _ => None,
    }
}

const WATCH_ID: u64 = 2;
const CREATED: u64 = 3;
const CANCELED: u64 = 4;
const EVENTS: u64 = 11;
const EVENT_KV: u64 = 2;
const KV_MOD_REVISION: u64 = 3;

/// On one stream; ids count up from 0.
const WATCHES_MAX: usize = 1_000;
