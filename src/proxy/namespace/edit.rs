//! Editing the keys of a message where they stand.
//!
//! Protobuf takes the last of a field that is there twice, merges a message that is there in
//! pieces (or replaces it: decoders differ), and skips what it does not know. So nothing is
//! decided by a field that another could undo: each key is edited where it stands and by itself,
//! in each piece of each message, and what two decoders could read differently is refused.

use std::slice::Iter;

use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

use super::messages::{Field, Message};
use super::prefix::{Namespace, Outside};
use crate::proxy::peek::raw_fields;

/// Why a message cannot be edited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    Malformed,
    Outside,
    TooDeep,
}

impl From<Outside> for Flaw {
    fn from(Outside: Outside) -> Self {
        Self::Outside
    }
}

/// The gRPC frame of the message with its keys edited. `None` where it stays as it is. Messages may
/// stand in each other to this depth.
pub(super) fn edited(
    namespace: &Namespace,
    of: &Message,
    message: &[u8],
    depth_max: usize,
) -> Result<Option<Vec<u8>>, Flaw> {
    let mut measured = Measured { namespace, lengths: Vec::new(), changed: false };
    let length = measured.measure(message, of, depth_max)?;
    if !measured.changed {
        return Ok(None);
    }
    let announced = u32::try_from(length).map_err(|_| Flaw::Malformed)?;
    let mut frame = Vec::with_capacity(PREFIX + length);
    frame.push(0);
    frame.extend_from_slice(&announced.to_be_bytes());
    write(namespace, message, of, &mut measured.lengths.iter(), &mut frame);
    assert_eq!(frame.len(), PREFIX + length, "as measured");
    Ok(Some(frame))
}

struct Measured<'a> {
    namespace: &'a Namespace,
    /// Of the messages inside, in the order in which they begin.
    lengths: Vec<usize>,
    changed: bool,
}

impl Measured<'_> {
    /// The length that the message will have.
    fn measure(&mut self, message: &[u8], of: &Message, depth: usize) -> Result<usize, Flaw> {
        let depth = depth.checked_sub(1).ok_or(Flaw::TooDeep)?;
        let mut missing = of.required();
        let mut total = 0;
        for field in raw_fields(message) {
            let field = field.ok_or(Flaw::Malformed)?;
            total += match (of.field(field.number), field.bytes) {
                // A key that is no text is an unknown field, or an error, for everybody.
                (None, _) | (_, None) => field.raw.len(),
                (Some(Field::Key(key)), Some(value)) => {
                    self.changed = true;
                    missing = missing.filter(|(number, _)| *number != field.number);
                    match self.namespace.edit(key, value)? {
                        Some(parts) => field_length(field.number, length_of(&parts)),
                        None => 0,
                    }
                }
                (Some(Field::Message(inner)), Some(value)) => {
                    let place = self.lengths.len();
                    self.lengths.push(0);
                    let length = self.measure(value, inner, depth)?;
                    self.lengths[place] = length;
                    field_length(field.number, length)
                }
            };
        }
        if let Some((number, key)) = missing {
            self.changed = true;
            let parts = self.namespace.edit(key, b"")?.unwrap_or_default();
            total += field_length(number, length_of(&parts));
        }
        Ok(total)
    }
}

/// Writes a message that was measured, with these lengths.
fn write(
    namespace: &Namespace,
    message: &[u8],
    of: &Message,
    lengths: &mut Iter<'_, usize>,
    out: &mut Vec<u8>,
) {
    let mut missing = of.required();
    for field in raw_fields(message).flatten() {
        match (of.field(field.number), field.bytes) {
            (None, _) | (_, None) => out.extend_from_slice(field.raw),
            (Some(Field::Key(key)), Some(value)) => {
                missing = missing.filter(|(number, _)| *number != field.number);
                if let Ok(Some(parts)) = namespace.edit(key, value) {
                    put(out, field.number, &parts);
                }
            }
            (Some(Field::Message(inner)), Some(value)) => {
                let length = lengths.next().expect("it was measured");
                begin(out, field.number, *length);
                write(namespace, value, inner, lengths, out);
            }
        }
    }
    if let Some((number, key)) = missing
        && let Ok(Some(parts)) = namespace.edit(key, b"")
    {
        put(out, number, &parts);
    }
}

fn put(out: &mut Vec<u8>, number: u32, parts: &[&[u8]; 2]) {
    begin(out, number, length_of(parts));
    out.extend_from_slice(parts[0]);
    out.extend_from_slice(parts[1]);
}

/// Of a field with a length.
fn begin(out: &mut Vec<u8>, number: u32, length: usize) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(length as u64, out);
}

fn field_length(number: u32, length: usize) -> usize {
    key_len(number) + encoded_len_varint(length as u64) + length
}

fn length_of(parts: &[&[u8]; 2]) -> usize {
    parts[0].len() + parts[1].len()
}

/// gRPC's own bytes before a message.
const PREFIX: usize = 5;
