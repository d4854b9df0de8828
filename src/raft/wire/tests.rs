//! Bytes as etcd's versions write them.

use bytes::Bytes;
use fastrand::Rng;

use super::*;
use crate::raft::confchange::{
    ConfChange, ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2,
};
use crate::raft::entry::{Entry, EntryType};
use crate::raft::index::{EntryId, LogIndex};
use crate::raft::message::{
    Append, AppendResponse, Ballot, Body, Message, MessageType, VoteRequest, VoteResponse,
};
use crate::raft::output::HardState;
use crate::raft::snapshot::{ConfState, Snapshot};
use crate::types::ids::{MemberId, Term};

/// From hexadecimal digits, spaces apart.
fn bytes(text: &str) -> Bytes {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap()).collect()
}

fn message(body: Body) -> Message {
    Message { from: MemberId(2), to: MemberId(1), term: Term(3), body }
}

fn heartbeat() -> Message {
    message(Body::Heartbeat { commit: LogIndex(7), context: Bytes::new() })
}

const HEARTBEAT: &str = "0808 1001 1802 2003 2800 3000 4007 5000 5800";

#[test]
fn every_scalar_is_written_and_no_empty_snapshot() {
    assert_eq!(heartbeat().to_bytes(), bytes(HEARTBEAT));
}

#[test]
fn the_shapes_of_all_versions_are_read() {
    // 3.5 has an empty snapshot in every message, 3.7 leaves out zeros; fields may come in any
    // order, and unknown ones (here 20: a number, 21: bytes, 22 and 23: fixed) are skipped.
    for shape in [
        "0808 1001 1802 2003 2800 3000 4007 4a0a 1208 0a02 2800 1000 1800 5000 5800",
        "0808 1001 1802 2003 4007",
        "4007 2003 1802 1001 0808",
        "0808 1001 1802 2003 4007 a00105 aa01 02ffff b101 0000000000000000 bd01 00000000",
    ] {
        assert_eq!(Message::decode(bytes(shape)), Ok(heartbeat()), "{shape}");
    }
}

#[test]
fn an_entry_of_a_real_log_is_read_and_written_alike() {
    let stored = bytes("0800 1002 1805 2215 22060a0161120131 a2060a0883c687e19ac0a8d05e");
    let entry = Entry::decode(stored.clone()).unwrap();
    assert_eq!((entry.term, entry.index, entry.kind), (Term(2), LogIndex(5), EntryType::Normal));
    assert_eq!(entry.data, stored.slice(8..));
    assert_eq!(entry.to_bytes(), stored);
    assert_eq!(
        Entry { term: Term(2), index: LogIndex(5), ..Entry::default() }.to_bytes(),
        bytes("0800 1002 1805")
    );
    // 3.7 writes no type of a normal entry.
    assert_eq!(Entry::decode(bytes("1002 1805")).unwrap().to_bytes(), bytes("0800 1002 1805"));
}

#[test]
fn a_payload_is_not_copied() {
    let stored = Entry { data: Bytes::from_static(b"payload"), ..Entry::default() }.to_bytes();
    let data = Entry::decode(stored.clone()).unwrap().data;
    assert_eq!(data.as_ptr(), stored[stored.len() - 7..].as_ptr());
}

#[test]
fn a_hard_state_of_a_real_log_is_read_and_written_alike() {
    let text = "0802 10 b3bfbbf7c6eeff8182 01 180e";
    let state = HardState::decode(bytes(text)).unwrap();
    assert_eq!((state.term, state.commit), (Term(2), LogIndex(14)));
    assert!(state.vote.is_some());
    assert_eq!(state.to_bytes(), bytes(text));
    assert_eq!(HardState::default().to_bytes(), bytes("0800 1000 1800"));
}

#[test]
fn members_are_written_one_by_one_and_read_packed_too() {
    let state = ConfState { voters: vec![MemberId(1), MemberId(300)], ..ConfState::default() };
    assert_eq!(state.to_bytes(), bytes("0801 08ac02 2800"));
    assert_eq!(ConfState::decode(bytes("0a03 01ac02 2800")), Ok(state));
    assert_eq!(ConfState::default().to_bytes(), bytes("2800"));
}

#[test]
fn a_snapshot_always_has_its_metadata() {
    let conf_state = ConfState { voters: vec![MemberId(1)], ..ConfState::default() };
    let last = EntryId { term: Term(2), index: LogIndex(9) };
    let snapshot = Snapshot { data: Bytes::from_static(b"x"), conf_state, last };
    assert_eq!(snapshot.to_bytes(), bytes("0a01 78 120a 0a04 0801 2800 1009 1802"));
    assert_eq!(Snapshot::decode(snapshot.to_bytes()), Ok(snapshot));
    assert_eq!(Snapshot::default().to_bytes(), bytes("1208 0a02 2800 1000 1800"));
}

#[test]
fn changes_of_the_membership_are_written_as_proposed() {
    let change = ConfChangeSingle { kind: ConfChangeType::AddLearnerNode, node: Some(MemberId(2)) };
    let single = ConfChange { id: 5, change, context: Bytes::from_static(b"c") };
    assert_eq!(single.to_bytes(), bytes("0805 1003 1802 2201 63"));
    assert_eq!(ConfChange::decode(single.to_bytes()), Ok(single));
    let transition = ConfChangeTransition::JointExplicit;
    let several = ConfChangeV2 { transition, changes: vec![change; 2], context: Bytes::new() };
    assert_eq!(several.to_bytes(), bytes("0802 1204 0803 1002 1204 0803 1002"));
    assert_eq!(ConfChangeV2::decode(several.to_bytes()), Ok(several));
    assert_eq!(ConfChangeV2::decode(Bytes::new()), Ok(ConfChangeV2::default()));
}

#[test]
fn what_no_member_may_say_is_refused() {
    for (text, error) in [
        ("0800 1001 1802", DecodeError::Local(MessageType::MsgHup)),
        ("0813 1001 1802", DecodeError::Local(MessageType::MsgStorageAppend)),
        ("0818 1001 1802", DecodeError::UnknownType(24)),
        ("0808 1802", DecodeError::NoAddress),
        ("080f 1001 1802", DecodeError::ReadCount(0)),
        ("080f 1001 1802 3a00 3a00", DecodeError::ReadCount(2)),
        ("0803 1001 1802 3a02 0809", DecodeError::UnknownKind(9)),
        ("0803 1001 1802 3a09 0809", DecodeError::Truncated),
        ("0803 10", DecodeError::Truncated),
        ("0803 1a01 31", DecodeError::Malformed),
        ("0b", DecodeError::Malformed),
        ("08 ffffffffffffffffff7f", DecodeError::Malformed),
    ] {
        assert_eq!(Message::decode(bytes(text)), Err(error), "{text}");
    }
}

fn any_entry(chance: &mut Rng) -> Entry {
    Entry {
        kind: [EntryType::Normal, EntryType::ConfChange, EntryType::ConfChangeV2][chance.usize(..3)],
        term: Term(chance.u64(..) >> chance.u32(..64)),
        index: LogIndex(chance.u64(..) >> chance.u32(..64)),
        data: any_bytes(chance),
    }
}

fn any_bytes(chance: &mut Rng) -> Bytes {
    (0..chance.usize(..20)).map(|_| chance.u8(..)).collect()
}

fn any_body(chance: &mut Rng) -> Body {
    let index = LogIndex(chance.u64(..) >> chance.u32(..64));
    let last = EntryId { term: Term(chance.u64(1..9)), index };
    let ballot = if chance.bool() { Ballot::Election } else { Ballot::PreElection };
    let entries = (0..chance.usize(..4)).map(|_| any_entry(chance)).collect();
    let context = any_bytes(chance);
    let voters = (0..chance.usize(..4)).map(|_| MemberId(chance.u64(1..))).collect();
    let conf_state = ConfState { voters, auto_leave: chance.bool(), ..ConfState::default() };
    match chance.u8(..13) {
        0 => Body::Append(Append { previous: last, entries, commit: index }),
        1 => Body::AppendResponse(AppendResponse::Accepted { index }),
        2 => {
            let hint_term = chance.bool().then_some(last.term);
            Body::AppendResponse(AppendResponse::Rejected { index, hint: index, hint_term })
        }
        3 => Body::Heartbeat { commit: index, context },
        4 => Body::HeartbeatResponse { context },
        5 => Body::Propose { entries },
        6 => Body::ReadIndex { context },
        7 => Body::ReadIndexResponse { index, context },
        8 => Body::Snapshot(Box::new(Snapshot { data: context, conf_state, last })),
        9 => Body::TimeoutNow,
        10 => Body::TransferLeader,
        11 => Body::Vote(VoteRequest { ballot, last, transfer: chance.bool() }),
        _ => Body::VoteResponse(VoteResponse { ballot, granted: chance.bool() }),
    }
}

#[test]
fn any_message_is_read_as_it_was_written() {
    let mut chance = Rng::with_seed(4);
    for _ in 0..20_000 {
        let message = Message {
            from: MemberId(chance.u64(1..)),
            to: MemberId(chance.u64(1..)),
            term: Term(chance.u64(..) >> chance.u32(..64)),
            body: any_body(&mut chance),
        };
        let written = message.to_bytes();
        assert_eq!(written.len(), Fields::from(&message).encoded_len());
        assert_eq!(Message::decode(written), Ok(message));
    }
}

#[test]
fn any_bytes_are_a_message_or_an_error() {
    let mut chance = Rng::with_seed(5);
    for _ in 0..50_000 {
        let message =
            Message { from: MemberId(1), to: MemberId(2), term: Term(3), body: any_body(&mut chance) };
        let mut written = message.to_bytes().to_vec();
        for _ in 0..chance.usize(1..4) {
            let at = chance.usize(..written.len());
            written[at] = chance.u8(..);
        }
        written.truncate(chance.usize(..=written.len()));
        drop(Message::decode(Bytes::from(written)));
    }
}
