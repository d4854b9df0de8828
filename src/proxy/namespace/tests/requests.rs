//! What is edited is what the model edits, and no request gets out of its namespace.

use bytes::Bytes;
use fastrand::Rng;
use prost::Message as _;

use super::super::edit::{Flaw, edited};
use super::super::messages::{self, Message};
use super::super::prefix::Namespace;
use super::model::{END, Model, PREFIX};
use super::random;
use crate::proto::etcdserverpb as pb;
use crate::proto::v3electionpb as election;
use crate::proto::v3lockpb as lock;

pub(super) fn namespace() -> Namespace {
    Namespace::new(&Bytes::from_static(PREFIX))
}

/// The bytes of the edited message.
pub(super) fn edit(of: &'static Message, message: &[u8]) -> Result<Vec<u8>, Flaw> {
    match edited(&namespace(), of, message, 64)? {
        None => Ok(message.to_vec()),
        Some(frame) => {
            assert_eq!(frame[0], 0);
            assert_eq!(frame[1..5], (frame.len() as u32 - 5).to_be_bytes());
            Ok(frame[5..].to_vec())
        }
    }
}

pub(super) fn request(path: &str) -> &'static Message {
    messages::of(path).expect("the test names a method with keys").0
}

pub(super) fn answer(path: &str) -> &'static Message {
    messages::of(path).expect("the test names a method with keys").1
}

fn agrees<M: Model>(of: &'static Message, mut message: M) {
    let bytes = edit(of, &message.encode_to_vec()).unwrap();
    let before = format!("{message:?}");
    message.edit();
    assert_eq!(M::decode(&bytes[..]).unwrap(), message, "{before}");
}

#[test]
fn messages_become_what_the_model_says() {
    const ELECTION: &str = "/v3electionpb.Election";
    let mut random = Rng::with_seed(1);
    let random = &mut random;
    for _ in 0..3_000 {
        let txn = random::txn(random, 3);
        for op in &txn.success {
            match op.request.clone() {
                Some(pb::request_op::Request::RequestRange(range)) => {
                    agrees(request("/etcdserverpb.KV/Range"), range);
                }
                Some(pb::request_op::Request::RequestPut(put)) => {
                    agrees(request("/etcdserverpb.KV/Put"), put)
                }
                Some(pb::request_op::Request::RequestDeleteRange(delete)) => {
                    agrees(request("/etcdserverpb.KV/DeleteRange"), delete);
                }
                _ => {}
            }
        }
        agrees(request("/etcdserverpb.KV/Txn"), txn);
        agrees(request("/etcdserverpb.Watch/Watch"), random::watch(random));
        let (lock, unlock, campaign) = random::named(random);
        agrees(request(&format!("{ELECTION}/Leader")), election::LeaderRequest { name: lock.name.clone() });
        agrees(request("/v3lockpb.Lock/Lock"), lock);
        agrees(request("/v3lockpb.Lock/Unlock"), unlock);
        agrees(request(&format!("{ELECTION}/Campaign")), campaign);
        agrees(request(&format!("{ELECTION}/Proclaim")), random::proclaim(random));

        agrees(answer("/etcdserverpb.KV/Range"), random::ranged(random));
        let range_response = Some(random::ranged(random));
        agrees(answer("/etcdserverpb.KV/RangeStream"), pb::RangeStreamResponse { range_response });
        agrees(answer("/etcdserverpb.KV/Put"), random::put_done(random));
        agrees(answer("/etcdserverpb.KV/DeleteRange"), random::deleted(random));
        agrees(answer("/etcdserverpb.KV/Txn"), random::txn_done(random, 3));
        agrees(answer("/etcdserverpb.Watch/Watch"), random::watched(random));
        agrees(answer("/etcdserverpb.Lease/LeaseTimeToLive"), random::time_to_live(random));
        agrees(answer(&format!("{ELECTION}/Campaign")), random::campaigned(random));
        agrees(answer(&format!("{ELECTION}/Observe")), random::led(random));
        let key = [PREFIX, b"x"].concat().into();
        agrees(answer("/v3lockpb.Lock/Lock"), lock::LockResponse { header: None, key });
    }
}

/// Whether etcd would do something outside of the namespace: an empty key it refuses.
fn stays(key: &[u8], end: &[u8]) -> bool {
    let inside = |key: &[u8]| key.starts_with(PREFIX);
    key.is_empty() || inside(key) && (end.is_empty() || inside(end) || end == END)
}

fn txn_stays(txn: &pb::TxnRequest) -> bool {
    use pb::request_op::Request;
    let mut ops = txn.success.iter().chain(&txn.failure);
    txn.compare.iter().all(|compare| stays(&compare.key, &compare.range_end))
        && ops.all(|op| match &op.request {
            None => true,
            Some(Request::RequestRange(range)) => stays(&range.key, &range.range_end),
            Some(Request::RequestPut(put)) => stays(&put.key, b""),
            Some(Request::RequestDeleteRange(delete)) => stays(&delete.key, &delete.range_end),
            Some(Request::RequestTxn(txn)) => txn_stays(txn),
        })
}

/// Some bytes changed, added, left out or moved: fields twice, messages in pieces, wrong types.
fn damaged(random: &mut Rng, mut bytes: Vec<u8>, other: &[u8]) -> Vec<u8> {
    for _ in 0..random.usize(..4) {
        match random.usize(..=bytes.len()) {
            at if at == bytes.len() => bytes.extend_from_slice(other),
            at => match random.u8(..3) {
                0 => bytes[at] = random.u8(..),
                1 => drop(bytes.remove(at)),
                _ => drop(bytes.splice(at..at, other.iter().copied())),
            },
        }
    }
    bytes
}

#[test]
fn no_damaged_transaction_gets_out() {
    let mut random = Rng::with_seed(2);
    let (mut decoded, of) = (0, request("/etcdserverpb.KV/Txn"));
    for round in 0..60_000 {
        let (one, other) = (random::txn(&mut random, 1), random::txn(&mut random, 0).encode_to_vec());
        let bytes = damaged(&mut random, one.encode_to_vec(), &other);
        let Ok(edited) = edit(of, &bytes) else { continue };
        if let Ok(txn) = pb::TxnRequest::decode(&edited[..]) {
            assert!(txn_stays(&txn), "round {round}: {bytes:?} became {txn:?}");
            decoded += 1;
        }
    }
    assert!(decoded > 10_000, "{decoded}");
}

#[test]
fn no_damaged_watch_gets_out_whether_its_pieces_are_merged_or_replaced() {
    let mut random = Rng::with_seed(3);
    let (mut decoded, of) = (0, request("/etcdserverpb.Watch/Watch"));
    for round in 0..60_000 {
        let (one, other) = (random::watch(&mut random), random::watch(&mut random).encode_to_vec());
        let bytes = damaged(&mut random, one.encode_to_vec(), &other);
        let Ok(edited) = edit(of, &bytes) else { continue };
        // etcd takes a watch without a key for one from the smallest.
        let creates_inside =
            |create: &pb::WatchCreateRequest| !create.key.is_empty() && stays(&create.key, &create.range_end);
        use pb::watch_request::RequestUnion::CreateRequest;
        if let Ok(pb::WatchRequest { request_union: Some(CreateRequest(create)) }) =
            pb::WatchRequest::decode(&edited[..])
        {
            assert!(creates_inside(&create), "round {round}: {bytes:?} became {create:?}");
            decoded += 1;
        }
        for piece in crate::proxy::peek::raw_fields(&edited).flatten().filter(|field| field.number == 1) {
            let Some(create) = piece.bytes.and_then(|bytes| pb::WatchCreateRequest::decode(bytes).ok())
            else {
                continue;
            };
            assert!(creates_inside(&create), "round {round}: a piece of {bytes:?} became {create:?}");
        }
    }
    assert!(decoded > 10_000, "{decoded}");
}

#[test]
fn no_damaged_name_gets_out() {
    let mut random = Rng::with_seed(4);
    for round in 0..60_000 {
        let (lock, _, campaign) = random::named(&mut random);
        let other = campaign.encode_to_vec();
        let bytes = damaged(&mut random, lock.encode_to_vec(), &other);
        if let Ok(edited) = edit(request("/v3lockpb.Lock/Lock"), &bytes)
            && let Ok(lock) = lock::LockRequest::decode(&edited[..])
        {
            assert!(lock.name.starts_with(PREFIX), "round {round}: {bytes:?} became {lock:?}");
        }
        let (one, other) = (random::proclaim(&mut random), random::proclaim(&mut random));
        let bytes = damaged(&mut random, one.encode_to_vec(), &other.encode_to_vec());
        if let Ok(edited) = edit(request("/v3electionpb.Election/Resign"), &bytes)
            && let Ok(election::ProclaimRequest { leader: Some(leader), .. }) =
                election::ProclaimRequest::decode(&edited[..])
        {
            assert!(leader.name.starts_with(PREFIX), "round {round}: {bytes:?} became {leader:?}");
            assert!(stays(&leader.key, b""), "round {round}: {bytes:?} became {leader:?}");
        }
    }
}
