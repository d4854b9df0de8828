//! The messages of `LeaseKeepAlive`.

use super::fields::{Fields, Value};
use super::frame::message;

/// The lease of a keep-alive request, from its gRPC frame. `None` if the frame says anything more
/// than that: a field that is not known, a field twice, what etcd may refuse.
pub(crate) fn keep_alive(frame: &[u8]) -> Option<i64> {
    let mut fields = Fields(message(frame)?);
    match (fields.next(), fields.next()) {
        (None, _) => Some(0),
        (Some(Ok((1, Value::Varint(lease)))), None) => Some(lease.cast_signed()),
        _ => None,
    }
}

/// The lease that a keep-alive answer is about, from its gRPC frame.
pub(crate) fn kept_alive(frame: &[u8]) -> Option<i64> {
    let mut lease = 0;
    for field in Fields(message(frame)?) {
        match field.ok()? {
            // The last one counts.
            (2, Value::Varint(value)) => lease = value.cast_signed(),
            (2, _) => return None,
            _ => {}
        }
    }
    Some(lease)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::etcdserverpb as pb;
    use prost::Message;

    fn frame(message: &[u8]) -> Vec<u8> {
        [&[0], &(message.len() as u32).to_be_bytes()[..], message].concat()
    }

    #[test]
    fn the_lease_of_a_request_is_read() {
        for id in [0, 1, 127, 128, i64::MAX, -1, i64::MIN] {
            let request = pb::LeaseKeepAliveRequest { id };
            assert_eq!(keep_alive(&frame(&request.encode_to_vec())), Some(id));
        }
        assert_eq!(keep_alive(&frame(&[0x08, 0])), Some(0));
    }

    #[test]
    fn a_request_that_is_anything_else_is_not_read() {
        for (what, bytes) in [
            ("an unknown field", frame(&[0x08, 7, 0x10, 1])),
            ("the field twice", frame(&[0x08, 7, 0x08, 8])),
            ("another type", frame(&[0x0a, 0])),
            ("cut in its value", frame(&[0x08, 0x87])),
            ("compressed", vec![1, 0, 0, 0, 2, 0x08, 7]),
            ("two frames", [frame(&[0x08, 7]), frame(&[0x08, 7])].concat()),
            ("no frame", vec![0, 0, 0]),
        ] {
            assert_eq!(keep_alive(&bytes), None, "{what}");
        }
    }

    #[test]
    fn the_lease_of_an_answer_is_read() {
        let header = pb::ResponseHeader { cluster_id: 1, member_id: 2, revision: 3, raft_term: 4 };
        let answer = pb::LeaseKeepAliveResponse { header: Some(header), id: 77, ttl: 5 };
        assert_eq!(kept_alive(&frame(&answer.encode_to_vec())), Some(77));
        assert_eq!(kept_alive(&frame(&[])), Some(0));
        assert_eq!(kept_alive(&frame(&[0x12, 0])), None);
        assert_eq!(kept_alive(&frame(&[0x10])), None);
    }
}
