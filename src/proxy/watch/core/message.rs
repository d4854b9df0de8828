//! `WatchRequest` and `WatchResponse` as they stand on the wire.
//!
//! An event is never decoded: it stays the bytes that the member sent, and only its key, its
//! revision and its kind are looked at. Fields that are not known here are passed over, as etcd
//! does.

use std::ops::Range as Span;

use bytes::{BufMut, Bytes, BytesMut};

use super::batch::{Batch, Event, Kind};
use crate::proxy::peek::{Fields, Value};

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    Cancel {
        watch_id: i64,
    },
    Create(Create),
    /// Nothing that etcd knows; it ignores it.
    Nothing,
    Progress,
}

/// A `WatchCreateRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Create {
    pub key: Bytes,
    pub range_end: Bytes,
    pub start_revision: i64,
    pub progress_notify: bool,
    pub filters: Filters,
    pub prev_kv: bool,
    pub watch_id: i64,
    pub fragment: bool,
}

/// Kinds of events that a watcher does not want.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Filters {
    pub no_put: bool,
    pub no_delete: bool,
}

impl Filters {
    pub fn pass(self, kind: Kind) -> bool {
        match kind {
            Kind::Delete => !self.no_delete,
            Kind::Put => !self.no_put,
        }
    }
}

/// etcd's `ResponseHeader`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    pub cluster_id: u64,
    pub member_id: u64,
    pub revision: i64,
    pub raft_term: u64,
}

/// What a member says.
#[derive(Clone, Debug, Default)]
pub struct Response {
    pub header: Header,
    pub watch_id: i64,
    pub created: bool,
    pub canceled: bool,
    pub compact_revision: i64,
    pub cancel_reason: String,
    pub fragment: bool,
    pub batch: Batch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a message of etcd's watch")]
pub struct Malformed;

impl Request {
    /// Of the message inside a gRPC frame.
    pub fn read(message: &[u8]) -> Result<Self, Malformed> {
        let mut request = Self::Nothing;
        for field in Fields(message) {
            request = match field.map_err(|_| Malformed)? {
                (1, Value::Bytes(create)) => Self::Create(Create::read(create)?),
                (2, Value::Bytes(cancel)) => Self::Cancel { watch_id: read_cancel(cancel)? },
                (3, Value::Bytes(_)) => Self::Progress,
                (1..=3, _) => return Err(Malformed),
                _ => request,
            };
        }
        Ok(request)
    }
}

impl Create {
    fn read(message: &[u8]) -> Result<Self, Malformed> {
        let mut create = Self::default();
        for field in Fields(message) {
            match field.map_err(|_| Malformed)? {
                (1, Value::Bytes(key)) => create.key = Bytes::copy_from_slice(key),
                (2, Value::Bytes(end)) => create.range_end = Bytes::copy_from_slice(end),
                (3, Value::Varint(revision)) => create.start_revision = revision.cast_signed(),
                (4, Value::Varint(flag)) => create.progress_notify = flag != 0,
                (5, Value::Varint(filter)) => create.filters.add(filter),
                (5, Value::Bytes(packed)) => create.filters.read(packed)?,
                (6, Value::Varint(flag)) => create.prev_kv = flag != 0,
                (7, Value::Varint(id)) => create.watch_id = id.cast_signed(),
                (8, Value::Varint(flag)) => create.fragment = flag != 0,
                (1..=8, _) => return Err(Malformed),
                _ => {}
            }
        }
        Ok(create)
    }
}

impl Filters {
    /// A value that etcd does not know filters nothing.
    fn add(&mut self, filter: u64) {
        match filter {
            0 => self.no_put = true,
            1 => self.no_delete = true,
            _ => {}
        }
    }

    fn read(&mut self, packed: &[u8]) -> Result<(), Malformed> {
        let (mut value, mut shift) = (0_u64, 0);
        for byte in packed {
            value |= u64::from(byte & 0x7f).checked_shl(shift).ok_or(Malformed)?;
            shift += 7;
            if byte & 0x80 == 0 {
                self.add(value);
                (value, shift) = (0, 0);
            }
        }
        if shift == 0 { Ok(()) } else { Err(Malformed) }
    }
}

fn read_cancel(message: &[u8]) -> Result<i64, Malformed> {
    let mut watch_id = 0;
    for field in Fields(message) {
        match field.map_err(|_| Malformed)? {
            (1, Value::Varint(id)) => watch_id = id.cast_signed(),
            (1, _) => return Err(Malformed),
            _ => {}
        }
    }
    Ok(watch_id)
}

impl Response {
    /// Of the message inside a gRPC frame, whose memory its events share.
    pub fn read(message: &Bytes) -> Result<Self, Malformed> {
        let mut response = Self::default();
        let mut events = Vec::new();
        let mut rest = Fields(message);
        loop {
            let at = message.len() - rest.0.len();
            let Some(field) = rest.next() else { break };
            match field.map_err(|_| Malformed)? {
                (1, Value::Bytes(header)) => response.header = Header::read(header)?,
                (2, Value::Varint(id)) => response.watch_id = id.cast_signed(),
                (3, Value::Varint(flag)) => response.created = flag != 0,
                (4, Value::Varint(flag)) => response.canceled = flag != 0,
                (5, Value::Varint(revision)) => response.compact_revision = revision.cast_signed(),
                (6, Value::Bytes(text)) => {
                    response.cancel_reason = String::from_utf8_lossy(text).into_owned();
                }
                (7, Value::Varint(flag)) => response.fragment = flag != 0,
                (EVENTS, Value::Bytes(event)) => {
                    let end = message.len() - rest.0.len();
                    events.push(read_event(message, event, at..end)?);
                }
                (1..=7 | EVENTS, _) => return Err(Malformed),
                _ => {}
            }
        }
        if !events.is_empty() {
            response.batch = Batch::new(message.clone(), events);
        }
        Ok(response)
    }
}

impl Header {
    fn read(message: &[u8]) -> Result<Self, Malformed> {
        let mut header = Self::default();
        for field in Fields(message) {
            match field.map_err(|_| Malformed)? {
                (1, Value::Varint(value)) => header.cluster_id = value,
                (2, Value::Varint(value)) => header.member_id = value,
                (3, Value::Varint(value)) => header.revision = value.cast_signed(),
                (4, Value::Varint(value)) => header.raft_term = value,
                (1..=4, _) => return Err(Malformed),
                _ => {}
            }
        }
        Ok(header)
    }
}

/// `raw` is where it stands in the message, its tag and length included.
fn read_event(message: &Bytes, event: &[u8], raw: Span<usize>) -> Result<Event, Malformed> {
    let mut kind = Kind::Put;
    let mut kv: Option<&[u8]> = None;
    for field in Fields(event) {
        match field.map_err(|_| Malformed)? {
            (1, Value::Varint(0)) => kind = Kind::Put,
            (1, Value::Varint(1)) => kind = Kind::Delete,
            (2, Value::Bytes(value)) => kv = Some(value),
            // A kind to come could not be filtered.
            (1..=2, _) => return Err(Malformed),
            _ => {}
        }
    }
    let (mut key, mut revision): (&[u8], _) = (&[], 0);
    for field in Fields(kv.ok_or(Malformed)?) {
        match field.map_err(|_| Malformed)? {
            (1, Value::Bytes(value)) => key = value,
            (3, Value::Varint(value)) => revision = value.cast_signed(),
            (1 | 3, _) => return Err(Malformed),
            _ => {}
        }
    }
    if revision <= 0 || key.is_empty() {
        return Err(Malformed);
    }
    let key_at = key.as_ptr() as usize - message.as_ptr() as usize;
    Ok(Event { revision, kind, piece: 0, raw: narrow(raw), key: narrow(key_at..key_at + key.len()) })
}

fn narrow(span: Span<usize>) -> (u32, u32) {
    let narrow = |at: usize| u32::try_from(at).expect("a gRPC frame has 32 bits for its length");
    (narrow(span.start), narrow(span.end))
}

/// Fields of a response that stand before its events.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fore<'a> {
    pub watch_id: i64,
    pub created: bool,
    pub canceled: bool,
    pub compact_revision: i64,
    pub cancel_reason: &'a str,
    pub fragment: bool,
}

/// The gRPC frame of a response up to its events, which have so many bytes.
pub(super) fn write_head(buffer: &mut BytesMut, header: &Header, fore: &Fore<'_>, events: usize) -> Bytes {
    let start = buffer.len();
    buffer.put_bytes(0, PREFIX);
    let Header { cluster_id, member_id, revision, raft_term } = *header;
    let numbers = [cluster_id, member_id, revision.cast_unsigned(), raft_term];
    buffer.put_slice(&[1 << 3 | 2, 0]);
    let header_start = buffer.len();
    for (field, number) in (1..).zip(numbers) {
        put_number(buffer, field, number);
    }
    // Four fields of at most eleven bytes.
    buffer[header_start - 1] = u8::try_from(buffer.len() - header_start).expect("44 bytes at most");
    put_number(buffer, 2, fore.watch_id.cast_unsigned());
    put_number(buffer, 3, u64::from(fore.created));
    put_number(buffer, 4, u64::from(fore.canceled));
    put_number(buffer, 5, fore.compact_revision.cast_unsigned());
    if !fore.cancel_reason.is_empty() {
        buffer.put_u8(6 << 3 | 2);
        put_varint(buffer, fore.cancel_reason.len() as u64);
        buffer.put_slice(fore.cancel_reason.as_bytes());
    }
    put_number(buffer, 7, u64::from(fore.fragment));
    let length = buffer.len() - start - PREFIX + events;
    let length = u32::try_from(length).expect("what came in a few frames of 32 bits is delivered in parts");
    buffer[start + 1..start + PREFIX].copy_from_slice(&length.to_be_bytes());
    buffer.split().freeze()
}

/// proto3 leaves out zeros.
fn put_number(buffer: &mut BytesMut, field: u8, value: u64) {
    if value != 0 {
        buffer.put_u8(field << 3);
        put_varint(buffer, value);
    }
}

fn put_varint(buffer: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        buffer.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    buffer.put_u8(value as u8);
}

const EVENTS: u32 = 11;

/// gRPC's own bytes before a message.
const PREFIX: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::etcdserverpb::watch_request::RequestUnion;
    use crate::proto::etcdserverpb::{
        ResponseHeader, WatchCancelRequest, WatchCreateRequest, WatchProgressRequest, WatchRequest,
        WatchResponse,
    };
    use crate::proto::mvccpb;
    use prost::Message;

    fn read(union: Option<RequestUnion>) -> Request {
        Request::read(&WatchRequest { request_union: union }.encode_to_vec()).unwrap()
    }

    #[test]
    fn every_request_is_read() {
        let create = WatchCreateRequest {
            key: "k".into(),
            range_end: "l".into(),
            start_revision: -4,
            progress_notify: true,
            filters: vec![1, 0, 7],
            prev_kv: true,
            watch_id: 9,
            fragment: true,
        };
        let expected = Create {
            key: "k".into(),
            range_end: "l".into(),
            start_revision: -4,
            progress_notify: true,
            filters: Filters { no_put: true, no_delete: true },
            prev_kv: true,
            watch_id: 9,
            fragment: true,
        };
        assert_eq!(read(Some(RequestUnion::CreateRequest(create))), Request::Create(expected));
        let empty = WatchCreateRequest::default();
        assert_eq!(read(Some(RequestUnion::CreateRequest(empty))), Request::Create(Create::default()));
        let cancel = WatchCancelRequest { watch_id: 3 };
        assert_eq!(read(Some(RequestUnion::CancelRequest(cancel))), Request::Cancel { watch_id: 3 });
        let progress = WatchProgressRequest {};
        assert_eq!(read(Some(RequestUnion::ProgressRequest(progress))), Request::Progress);
        assert_eq!(read(None), Request::Nothing);
        assert_eq!(Request::read(&[0x0a, 2, 0x28, 1]).map(|it| matches!(it, Request::Create(_))), Ok(true));
        for malformed in [&[0x0a, 9][..], &[0x08, 1], &[0x0a, 3, 0x2a, 1, 0x80]] {
            assert_eq!(Request::read(malformed), Err(Malformed), "{malformed:?}");
        }
    }

    fn event(key: &str, revision: i64, kind: i32) -> mvccpb::Event {
        let kv = mvccpb::KeyValue {
            key: Bytes::copy_from_slice(key.as_bytes()),
            mod_revision: revision,
            value: "v".into(),
            ..Default::default()
        };
        mvccpb::Event { r#type: kind, kv: Some(kv), prev_kv: None }
    }

    #[test]
    fn a_response_is_written_as_it_was_read() {
        let mut wanted = WatchResponse {
            header: Some(ResponseHeader { cluster_id: u64::MAX, member_id: 2, revision: 700, raft_term: 4 }),
            watch_id: 300,
            fragment: true,
            events: vec![event("a", 5, 0), event("b", 5, 1), event("c", 6, 0)],
            ..Default::default()
        };
        let message = Bytes::from(wanted.encode_to_vec());
        let response = Response::read(&message).unwrap();
        let batch = &response.batch;
        let seen: Vec<_> = batch.events().iter().map(|it| (batch.key(it), it.revision, it.kind)).collect();
        let expected: [(&[u8], _, _); 3] =
            [(b"a", 5, Kind::Put), (b"b", 5, Kind::Delete), (b"c", 6, Kind::Put)];
        assert_eq!(seen, expected);
        assert!(response.fragment);

        let mut buffer = BytesMut::new();
        for canceled in [false, true] {
            let fore = Fore {
                watch_id: 300,
                canceled,
                created: canceled,
                compact_revision: 9 * i64::from(canceled),
                cancel_reason: if canceled { "why" } else { "" },
                fragment: true,
            };
            let events = batch.bytes_of(&[0, 2]);
            let head = write_head(&mut buffer, &response.header, &fore, events.len());
            let frame = [&head[..], &events.concat()].concat();
            assert_eq!(frame[0], 0);
            assert_eq!(u32::from_be_bytes(frame[1..5].try_into().unwrap()) as usize, frame.len() - 5);
            wanted.events = vec![event("a", 5, 0), event("c", 6, 0)];
            (wanted.canceled, wanted.created) = (canceled, canceled);
            wanted.compact_revision = fore.compact_revision;
            wanted.cancel_reason = fore.cancel_reason.into();
            assert_eq!(WatchResponse::decode(&frame[5..]).unwrap(), wanted);
        }
    }

    #[test]
    fn a_malformed_response_is_an_error() {
        let good = WatchResponse { events: vec![event("a", 5, 0)], ..Default::default() }.encode_to_vec();
        for length in 1..good.len() {
            assert!(Response::read(&Bytes::copy_from_slice(&good[..length])).is_err(), "{length}");
        }
        for bad in [event("", 5, 0), event("a", 0, 0), event("a", 5, 2), mvccpb::Event::default()] {
            let message = WatchResponse { events: vec![bad], ..Default::default() }.encode_to_vec();
            assert!(Response::read(&message.into()).is_err());
        }
    }
}
