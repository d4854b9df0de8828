//! A look at a few protobuf fields of a request, without decoding it.

/// Fields of a message as they stand on the wire; stops at the first malformed one, which is
/// for etcd to refuse.
struct Fields<'a>(&'a [u8]);

enum Value<'a> {
    Bytes(&'a [u8]),
    Other,
    Varint(u64),
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let tag = varint(&mut self.0)?;
        let value = match tag & 7 {
            0 => Value::Varint(varint(&mut self.0)?),
            1 => {
                self.0 = self.0.get(8..)?;
                Value::Other
            }
            2 => {
                let length = usize::try_from(varint(&mut self.0)?).ok()?;
                let (bytes, rest) = self.0.split_at_checked(length)?;
                self.0 = rest;
                Value::Bytes(bytes)
            }
            5 => {
                self.0 = self.0.get(4..)?;
                Value::Other
            }
            _ => return None,
        };
        Some((tag >> 3, value))
    }
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// The message of a request that is one uncompressed gRPC frame.
pub(super) fn message(body: &[u8]) -> Option<&[u8]> {
    let (header, message) = body.split_first_chunk::<5>()?;
    let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
    (header[0] == 0 && message.len() == length as usize).then_some(message)
}

/// The length of the first gRPC frame, its header included, once that is there.
pub(super) fn frame_length(body: &[u8]) -> Option<usize> {
    let header = body.first_chunk::<5>()?;
    Some(header.len() + u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize)
}

/// Whether a `RangeRequest` may have a long answer: many keys, with neither a small limit nor
/// only their count.
pub(super) fn is_long_range(request: &[u8]) -> bool {
    const RANGE_END: u64 = 2;
    const LIMIT: u64 = 3;
    const COUNT_ONLY: u64 = 9;
    let (mut ranges, mut limit, mut counts) = (false, 0, false);
    for (field, value) in Fields(request) {
        match (field, value) {
            (RANGE_END, Value::Bytes(end)) => ranges = !end.is_empty(),
            (LIMIT, Value::Varint(value)) => limit = value,
            (COUNT_ONLY, Value::Varint(value)) => counts = value != 0,
            _ => {}
        }
    }
    ranges && !counts && (limit == 0 || limit > SHORT_LIMIT)
}

/// Answers of up to so many keys go with the small calls.
const SHORT_LIMIT: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::etcdserverpb::RangeRequest;
    use prost::Message;

    fn is_long(request: &RangeRequest) -> bool {
        is_long_range(&request.encode_to_vec())
    }

    #[test]
    fn a_range_over_many_keys_is_long() {
        let all = RangeRequest { key: "a".into(), range_end: "b".into(), ..Default::default() };
        assert!(is_long(&all));
        assert!(is_long(&RangeRequest { limit: 500, ..all.clone() }));
        assert!(is_long(&RangeRequest { keys_only: true, ..all.clone() }));
        assert!(!is_long(&RangeRequest { limit: 1, ..all.clone() }));
        assert!(!is_long(&RangeRequest { count_only: true, ..all.clone() }));
        assert!(!is_long(&RangeRequest { range_end: "".into(), ..all }));
    }

    #[test]
    fn garbage_is_looked_at_without_harm() {
        let mut seed = 1u32;
        for _ in 0..10_000 {
            let bytes: Vec<u8> = (0..24)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (seed >> 24) as u8
                })
                .collect();
            is_long_range(&bytes);
            message(&bytes);
        }
        assert!(!is_long_range(&[0x12, 0xff, 0xff, 0xff, 0xff, 0x0f]));
        assert!(!is_long_range(&[0xff; 32]));
    }

    #[test]
    fn a_message_is_exactly_one_plain_frame() {
        assert_eq!(message(&[0, 0, 0, 0, 2, 8, 1]), Some([8, 1].as_slice()));
        assert_eq!(message(&[1, 0, 0, 0, 2, 8, 1]), None, "compressed");
        assert_eq!(message(&[0, 0, 0, 0, 2, 8]), None, "short");
        assert_eq!(message(&[0, 0, 0, 0, 1, 8, 1]), None, "more than one frame");
        assert_eq!(frame_length(&[0, 0, 1, 0, 0]), Some(65541));
        assert_eq!(frame_length(&[0, 0, 1]), None);
    }
}
