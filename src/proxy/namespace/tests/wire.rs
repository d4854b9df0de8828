//! Byte by byte.

use prost::Message as _;

use super::super::edit::{Flaw, edited};
use super::requests::{answer, edit, namespace, request};
use crate::proto::etcdserverpb as pb;

const RANGE: &str = "/etcdserverpb.KV/Range";
const WATCH: &str = "/etcdserverpb.Watch/Watch";

#[test]
fn fields_that_are_no_keys_pass_byte_for_byte_in_order() {
    // The limit in more bytes than it needs, a field of tomorrow, the key, one more of tomorrow.
    let before = [b"\x18\x85\x80\x00".as_slice(), b"\x7a\x02hi", b"\x0a\x01k", b"\xf8\x07\x01"];
    let after = [before[0], before[1], b"\x0a\x07/team/k", before[3]];
    assert_eq!(edit(request(RANGE), &before.concat()), Ok(after.concat()));
    // The same inside of an answer, and around its keys.
    let kv = [b"\x7a\x02hi".as_slice(), b"\x0a\x07/team/k", b"\x2a\x00"].concat();
    let before = [b"\x0a\x02\x08\x01".as_slice(), &[0x12, kv.len() as u8], &kv, b"\x7a\x01x"].concat();
    let expected = b"\x0a\x02\x08\x01\x12\x09\x7a\x02hi\x0a\x01k\x2a\x00\x7a\x01x".to_vec();
    assert_eq!(edit(answer(RANGE), &before), Ok(expected));
}

#[test]
fn a_message_without_keys_is_not_even_copied() {
    let header = Some(pb::ResponseHeader { revision: 7, ..Default::default() });
    let put = pb::PutResponse { header, prev_kv: None }.encode_to_vec();
    assert_eq!(edited(&namespace(), answer("/etcdserverpb.KV/Put"), &put, 8), Ok(None));
    assert_eq!(edited(&namespace(), request(WATCH), b"\x1a\x00", 8), Ok(None), "asks for progress");
}

#[test]
fn a_field_that_is_there_twice_is_edited_twice() {
    let twice = b"\x0a\x01a\x0a\x01b";
    assert_eq!(edit(request(RANGE), twice), Ok(b"\x0a\x07/team/a\x0a\x07/team/b".to_vec()));
    // The last one counts: etcd refuses it.
    assert_eq!(edit(request(RANGE), b"\x0a\x01a\x0a\x00"), Ok(b"\x0a\x07/team/a\x0a\x00".to_vec()));
}

#[test]
fn every_piece_of_a_watch_has_a_key() {
    let smallest = b"\x0a\x09\x0a\x07/team/\0";
    assert_eq!(edit(request(WATCH), b"\x0a\x00"), Ok(smallest.to_vec()));
    assert_eq!(edit(request(WATCH), b"\x0a\x02\x0a\x00"), Ok(smallest.to_vec()));
    let pieces = edit(request(WATCH), b"\x0a\x03\x0a\x01a\x0a\x03\x12\x01\0").unwrap();
    assert_eq!(pieces, b"\x0a\x09\x0a\x07/team/a\x0a\x11\x12\x06/team0\x0a\x07/team/\0");
}

#[test]
fn a_name_that_is_missing_is_the_namespace() {
    let lock = request("/v3lockpb.Lock/Lock");
    assert_eq!(edit(lock, b""), Ok(b"\x0a\x06/team/".to_vec()));
    assert_eq!(edit(lock, b"\x10\x07"), Ok(b"\x10\x07\x0a\x06/team/".to_vec()));
    // For whoever skips a field of another type there is none.
    assert_eq!(edit(lock, b"\x08\x07"), Ok(b"\x08\x07\x0a\x06/team/".to_vec()));
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let malformed: [(&str, &[u8]); 7] = [
        ("cut in its value", b"\x0a\x02a"),
        ("a group", b"\x0a\x01a\x7b\x7c"),
        ("a key in a group", b"\x0b\x0a\x01a\x0c"),
        ("the end of a group", b"\x0a\x01a\x0c"),
        ("number zero", b"\x02\x01a"),
        ("a number of more than 32 bits", b"\x8a\x80\x80\x80\x80\x01\x01a"),
        ("an unknown wire type", b"\x0e"),
    ];
    for (what, bytes) in malformed {
        assert_eq!(edit(request(RANGE), bytes), Err(Flaw::Malformed), "{what}");
    }
}

#[test]
fn messages_in_messages_end_somewhere() {
    let nested = |levels: usize| {
        let mut message = Vec::new();
        for _ in 0..levels {
            for field in [0x22, 0x12] {
                let mut outer = vec![field];
                prost::encoding::encode_varint(message.len() as u64, &mut outer);
                outer.extend_from_slice(&message);
                message = outer;
            }
        }
        message
    };
    let txn = request("/etcdserverpb.KV/Txn");
    assert!(edited(&namespace(), txn, &nested(255), 512).is_ok());
    assert_eq!(edited(&namespace(), txn, &nested(256), 512), Err(Flaw::TooDeep));
    assert_eq!(edited(&namespace(), txn, &nested(100_000), 512), Err(Flaw::TooDeep));
}

#[test]
fn an_answer_of_others_is_not_shown() {
    let of_others = b"\x12\x0a\x0a\x05/them\x10\x07";
    assert_eq!(edit(answer(RANGE), &of_others[..]), Err(Flaw::Malformed), "cut");
    assert_eq!(edit(answer(RANGE), b"\x12\x09\x0a\x05/them\x10\x07"), Err(Flaw::Outside));
}
