//! Fields of protobuf: a number that says which and how it is written, then its value.

use bytes::{Buf, BufMut, Bytes};

use super::DecodeError;

/// The value of a field; groups and unknown kinds of encoding are malformed.
pub(super) enum Value {
    Bytes(Bytes),
    Number(u64),
    /// A fixed number, which no message of ours has.
    Skipped,
}

/// The next field; none at the end.
pub(super) fn next_field(buffer: &mut Bytes) -> Result<Option<(u64, Value)>, DecodeError> {
    if buffer.is_empty() {
        return Ok(None);
    }
    let key = number(buffer)?;
    let value = match key & 7 {
        0 => Value::Number(number(buffer)?),
        1 => skip(buffer, 8)?,
        2 => {
            let length = usize::try_from(number(buffer)?).map_err(|_| DecodeError::Truncated)?;
            if length > buffer.len() {
                return Err(DecodeError::Truncated);
            }
            Value::Bytes(buffer.split_to(length))
        }
        5 => skip(buffer, 4)?,
        _ => return Err(DecodeError::Malformed),
    };
    if key >> 3 == 0 { Err(DecodeError::Malformed) } else { Ok(Some((key >> 3, value))) }
}

fn skip(buffer: &mut Bytes, length: usize) -> Result<Value, DecodeError> {
    if length > buffer.len() {
        return Err(DecodeError::Truncated);
    }
    buffer.advance(length);
    Ok(Value::Skipped)
}

/// Seven bits a byte, the lowest first; what exceeds 64 bits is malformed.
pub(super) fn number(buffer: &mut Bytes) -> Result<u64, DecodeError> {
    let mut value = 0;
    for place in 0..10 {
        if buffer.is_empty() {
            return Err(DecodeError::Truncated);
        }
        let byte = buffer.get_u8();
        if place == 9 && byte > 1 {
            return Err(DecodeError::Malformed);
        }
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(DecodeError::Malformed)
}

impl Value {
    pub(super) fn number(self) -> Result<u64, DecodeError> {
        match self {
            Self::Number(number) => Ok(number),
            Self::Bytes(_) | Self::Skipped => Err(DecodeError::Malformed),
        }
    }

    pub(super) fn bytes(self) -> Result<Bytes, DecodeError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Number(_) | Self::Skipped => Err(DecodeError::Malformed),
        }
    }
}

pub(super) fn put_number(out: &mut impl BufMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

pub(super) const fn number_len(value: u64) -> usize {
    // One byte for every seven bits that are needed, and one for 0.
    (70 - (value | 1).leading_zeros() as usize) / 7
}

pub(super) fn put_field(out: &mut impl BufMut, field: u8, value: u64) {
    out.put_u8(field << 3);
    put_number(out, value);
}

pub(super) const fn field_len(value: u64) -> usize {
    1 + number_len(value)
}

pub(super) fn put_bytes(out: &mut impl BufMut, field: u8, bytes: &[u8]) {
    put_length(out, field, bytes.len());
    out.put_slice(bytes);
}

/// The head of a field of this many bytes, which follow.
pub(super) fn put_length(out: &mut impl BufMut, field: u8, length: usize) {
    out.put_u8(field << 3 | 2);
    put_number(out, length as u64);
}

pub(super) const fn bytes_len(length: usize) -> usize {
    1 + number_len(length as u64) + length
}
