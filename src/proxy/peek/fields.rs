//! The fields of a protobuf message as they stand on the wire.

/// Fields in the order of the wire. Ends after the first malformed one.
pub(crate) struct Fields<'a>(pub &'a [u8]);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Bytes(&'a [u8]),
    /// Of a fixed size, which no field has that matters here.
    Other,
    Varint(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = field(&mut self.0).ok_or(Malformed);
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// A field with its bytes as they stand there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawField<'a> {
    pub number: u32,
    /// Tag and value.
    pub raw: &'a [u8],
    /// The value of one that has a length.
    pub bytes: Option<&'a [u8]>,
}

/// The same as [`Fields`], to be copied; `None` is a malformed one and the end.
pub(crate) fn raw_fields(mut message: &[u8]) -> impl Iterator<Item = Option<RawField<'_>>> {
    std::iter::from_fn(move || {
        let before = message;
        if before.is_empty() {
            return None;
        }
        let Some((number, value)) = field(&mut message) else {
            message = &[];
            return Some(None);
        };
        let bytes = match value {
            Value::Bytes(bytes) => Some(bytes),
            Value::Other | Value::Varint(_) => None,
        };
        let raw = &before[..before.len() - message.len()];
        Some(Some(RawField { number, raw, bytes }))
    })
}

fn field<'a>(bytes: &mut &'a [u8]) -> Option<(u32, Value<'a>)> {
    // Not a longer one: etcd up to 3.6 cuts the number to 32 bits, and would see another field.
    let tag = u32::try_from(varint(bytes)?).ok()?;
    let value = match tag & 7 {
        0 => Value::Varint(varint(bytes)?),
        1 => {
            *bytes = bytes.get(8..)?;
            Value::Other
        }
        2 => {
            let length = usize::try_from(varint(bytes)?).ok()?;
            let (value, rest) = bytes.split_at_checked(length)?;
            *bytes = rest;
            Value::Bytes(value)
        }
        5 => {
            *bytes = bytes.get(4..)?;
            Value::Other
        }
        // Groups, which proto3 does not have.
        _ => return None,
    };
    // Zero is no field number.
    (tag >= 8).then_some((tag >> 3, value))
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for (at, &byte) in bytes.iter().take(VARINT_MAX).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            *bytes = &bytes[at + 1..];
            return Some(value);
        }
    }
    None
}

/// Bytes of the longest number.
const VARINT_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(bytes: &[u8]) -> Vec<Result<(u32, Value<'_>), Malformed>> {
        Fields(bytes).collect()
    }

    #[test]
    fn every_wire_type_of_proto3_is_read() {
        let bytes = [0x08, 0x96, 0x01, 0x12, 2, 7, 8, 0x19, 1, 2, 3, 4, 5, 6, 7, 8, 0x25, 1, 2, 3, 4];
        let expected = [
            Ok((1, Value::Varint(150))),
            Ok((2, Value::Bytes(&[7, 8]))),
            Ok((3, Value::Other)),
            Ok((4, Value::Other)),
        ];
        assert_eq!(fields(&bytes), expected);
        assert_eq!(fields(&[]), []);
        let largest = [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(fields(&largest), [Ok((1, Value::Varint(u64::MAX)))]);
    }

    #[test]
    fn the_first_malformed_field_is_the_last() {
        let malformed: [(&str, &[u8]); 8] = [
            ("cut in its tag", &[0x88]),
            ("without a value", &[0x08]),
            ("cut in its value", &[0x08, 0x96]),
            ("longer than the message", &[0x12, 2, 0]),
            ("as long as the address space", &[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
            ("a group", &[0x0b, 0x0c]),
            ("number zero", &[0x00, 0x01]),
            ("a number of more than 32 bits", &[0x90, 0x80, 0x80, 0x80, 0x80, 0x01, 0]),
        ];
        for (what, bytes) in malformed {
            assert_eq!(fields(bytes), [Err(Malformed)], "{what}");
            let mut behind = vec![0x08, 1];
            behind.extend_from_slice(bytes);
            assert_eq!(fields(&behind), [Ok((1, Value::Varint(1))), Err(Malformed)], "{what}");
        }
        assert_eq!(fields(&[0xff; 32]), [Err(Malformed)]);
    }
}
