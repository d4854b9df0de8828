//! The few protobuf messages of etcd's API that the generator needs, as complete gRPC frames.

use bytes::{BufMut, Bytes, BytesMut};

/// A linearizable `RangeRequest` of one key, or of `[key, range_end)` when that is not empty.
pub(crate) fn range(key: &[u8], range_end: &[u8]) -> Bytes {
    let mut message = BytesMut::new();
    put_bytes(&mut message, 1, key);
    put_bytes(&mut message, 2, range_end);
    frame(&message)
}

/// A `PutRequest`.
pub(crate) fn put(key: &[u8], value: &[u8]) -> Bytes {
    let mut message = BytesMut::new();
    put_bytes(&mut message, 1, key);
    put_bytes(&mut message, 2, value);
    frame(&message)
}

/// A `LeaseGrantRequest` for a lease with this id.
pub(crate) fn lease_grant(id: u64, ttl_secs: u64) -> Bytes {
    let mut message = BytesMut::new();
    put_number(&mut message, 1, ttl_secs);
    put_number(&mut message, 2, id);
    frame(&message)
}

/// A `LeaseKeepAliveRequest`.
pub(crate) fn lease_keep_alive(id: u64) -> Bytes {
    let mut message = BytesMut::new();
    put_number(&mut message, 1, id);
    frame(&message)
}

/// A `WatchRequest` that creates a watch from now on, of one key or of `[key, range_end)` when that is
/// not empty.
pub(crate) fn watch_create(key: &[u8], range_end: &[u8]) -> Bytes {
    let mut create = BytesMut::new();
    put_bytes(&mut create, 1, key);
    put_bytes(&mut create, 2, range_end);
    let mut message = BytesMut::new();
    put_bytes(&mut message, 1, &create);
    frame(&message)
}

/// The first message of a gRPC body once it is complete.
pub(crate) fn first_message(body: &[u8]) -> Option<&[u8]> {
    let (prefix, rest) = body.split_at_checked(PREFIX_BYTES)?;
    let [_, length @ ..] = prefix else {
        return None;
    };
    let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    rest.get(..length)
}

/// Whether a `WatchResponse` says that the watch was created, and not canceled with the same breath.
pub(crate) fn says_created(message: &[u8]) -> bool {
    is_set(message, 3) && !is_set(message, 4)
}

/// Whether a `LeaseKeepAliveResponse` says that the lease lives.
pub(crate) fn says_alive(message: &[u8]) -> bool {
    is_set(message, 3)
}

/// Whether a field of a message without 32-bit and 64-bit fields is there and not 0.
fn is_set(mut message: &[u8], wanted: u64) -> bool {
    while let Some(tag) = take_varint(&mut message) {
        let Some(value) = take_varint(&mut message) else {
            return false;
        };
        match tag & 7 {
            0 if tag >> 3 == wanted => return value != 0,
            0 => {}
            2 => {
                let length = usize::try_from(value).unwrap_or(usize::MAX);
                message = message.get(length..).unwrap_or_default();
            }
            _ => return false,
        }
    }
    false
}

fn frame(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).expect("the generator's messages are small"));
    frame.put_slice(message);
    frame.freeze()
}

fn put_bytes(message: &mut BytesMut, field: u8, value: &[u8]) {
    if value.is_empty() {
        return;
    }
    message.put_u8(field << 3 | 2);
    put_varint(message, value.len() as u64);
    message.put_slice(value);
}

fn put_number(message: &mut BytesMut, field: u8, value: u64) {
    message.put_u8(field << 3);
    put_varint(message, value);
}

fn put_varint(message: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        message.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    message.put_u8(value as u8);
}

pub(super) fn take_varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Compression flag and length.
pub(crate) const PREFIX_BYTES: usize = 5;
