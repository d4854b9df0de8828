//! What a request asks for.

use bytes::Bytes;

use super::fields::{Fields, Malformed, Value};
use super::frame::{extended, message};

/// What a request asks for, as far as routing and retry must know. From the strictest to the
/// laxest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Changes something, or could.
    Write,
    /// Must see everything that was acknowledged before it.
    LinearizableRead,
    /// Any member may answer.
    SerializableRead,
}

/// The kind of a `RangeRequest`.
pub(crate) fn range(message: &[u8]) -> Kind {
    match is_serializable(message) {
        Ok(true) => Kind::SerializableRead,
        Ok(false) | Err(Malformed) => Kind::LinearizableRead,
    }
}

/// Whether a `RangeRequest` certainly is, for whoever decodes it.
pub(crate) fn is_linearizable(message: &[u8]) -> bool {
    is_serializable(message) == Ok(false)
}

/// The kind of a `TxnRequest`, as etcd decides it (`IsTxnReadonly` and `IsTxnSerializable` of its
/// `server/etcdserver/txn`): a read if both branches have nothing but ranges, and serializable if
/// those all are, hence also where there are none. A nested transaction is a write even if it
/// only reads.
pub(crate) fn txn(message: &[u8]) -> Kind {
    try_txn(message).unwrap_or(Kind::Write)
}

fn try_txn(message: &[u8]) -> Result<Kind, Malformed> {
    const SUCCESS: u32 = 2;
    const FAILURE: u32 = 3;
    let mut kind = Kind::SerializableRead;
    for field in Fields(message) {
        match field? {
            (SUCCESS | FAILURE, Value::Bytes(operation)) => kind = kind.min(try_operation(operation)?),
            (SUCCESS | FAILURE, _) => return Err(Malformed),
            _ => {}
        }
        if kind == Kind::Write {
            break;
        }
    }
    Ok(kind)
}

/// The kind of a `RequestOp`. One that has several values counts as the strictest of them, because
/// decoders differ on whether the last one counts or the sum; so does one with a value that is not
/// known here. One with none is a write to etcd, which then refuses it.
fn try_operation(operation: &[u8]) -> Result<Kind, Malformed> {
    const RANGE: u32 = 1;
    let mut kind = None;
    for field in Fields(operation) {
        let (RANGE, Value::Bytes(request)) = field? else { return Ok(Kind::Write) };
        let read = if is_serializable(request)? { Kind::SerializableRead } else { Kind::LinearizableRead };
        kind = Some(kind.map_or(read, |kind: Kind| kind.min(read)));
    }
    Ok(kind.unwrap_or(Kind::Write))
}

/// The gRPC frame of a `RangeRequest`, made linearizable: of several values the last one counts. `None`
/// for one that is malformed: behind a field that is cut, what is added would be part of that.
pub(crate) fn linearizable(frame: &[u8]) -> Option<Bytes> {
    const NOT_SERIALIZABLE: [u8; 2] = [(SERIALIZABLE << 3) as u8, 0];
    let request = message(frame)?;
    is_serializable(request).ok()?;
    extended(request, &NOT_SERIALIZABLE)
}

/// `serializable` of a `RangeRequest`; of several the last one counts.
fn is_serializable(request: &[u8]) -> Result<bool, Malformed> {
    let mut serializable = false;
    for field in Fields(request) {
        match field? {
            (SERIALIZABLE, Value::Varint(value)) => serializable = value != 0,
            (SERIALIZABLE, _) => return Err(Malformed),
            _ => {}
        }
    }
    Ok(serializable)
}

/// The kind of an `AlarmRequest`: asking for the alarms goes through consensus like a change of
/// them, but may be repeated.
pub(crate) fn alarm(message: &[u8]) -> Kind {
    const ACTION: u32 = 1;
    const GET: u64 = 0;
    let mut action = GET;
    for field in Fields(message) {
        match field {
            Ok((ACTION, Value::Varint(value))) => action = value,
            Ok((ACTION, _)) | Err(Malformed) => return Kind::Write,
            Ok(_) => {}
        }
    }
    if action == GET { Kind::LinearizableRead } else { Kind::Write }
}

/// Whether a `RangeRequest` may have a long answer: many keys, with neither a small limit nor
/// only their count.
pub(crate) fn is_long_range(request: &[u8]) -> bool {
    const RANGE_END: u32 = 2;
    const LIMIT: u32 = 3;
    const COUNT_ONLY: u32 = 9;
    let (mut ranges, mut limit, mut counts) = (false, 0, false);
    for (field, value) in Fields(request).map_while(Result::ok) {
        match (field, value) {
            (RANGE_END, Value::Bytes(end)) => ranges = !end.is_empty(),
            (LIMIT, Value::Varint(value)) => limit = value,
            (COUNT_ONLY, Value::Varint(value)) => counts = value != 0,
            _ => {}
        }
    }
    ranges && !counts && (limit == 0 || limit > SHORT_LIMIT)
}

/// In a `RangeRequest`.
const SERIALIZABLE: u32 = 7;

/// Answers of up to so many keys go with the small calls.
const SHORT_LIMIT: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::etcdserverpb::request_op::Request;
    use crate::proto::etcdserverpb::{
        AlarmRequest, Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
    };
    use prost::Message;

    fn is_long(request: &RangeRequest) -> bool {
        is_long_range(&request.encode_to_vec())
    }

    #[test]
    fn a_serializable_range_becomes_linearizable_and_keeps_the_rest() {
        let asked = RangeRequest { key: "a".into(), limit: 7, serializable: true, ..Default::default() };
        let frame = extended(&asked.encode_to_vec(), &[]).unwrap();
        assert_eq!(range(message(&frame).unwrap()), Kind::SerializableRead);
        let changed = linearizable(&frame).unwrap();
        assert_eq!(range(message(&changed).unwrap()), Kind::LinearizableRead);
        let changed = RangeRequest::decode(message(&changed).unwrap()).unwrap();
        assert_eq!(changed, RangeRequest { serializable: false, ..asked });
        assert_eq!(linearizable(&frame[..frame.len() - 1]), None);
        let cut = extended(&[0x38, 1, 0x62, 2], &[]).unwrap();
        assert_eq!(linearizable(&cut), None, "the two new bytes would be the value of field 12");
    }

    #[test]
    fn a_range_over_many_keys_is_long() {
        let all = RangeRequest { key: "a".into(), range_end: "b".into(), ..Default::default() };
        assert!(is_long(&all));
        assert!(is_long(&RangeRequest { keys_only: true, ..all.clone() }));
        assert!(is_long(&RangeRequest { limit: 500, ..all.clone() }));
        assert!(is_long(&RangeRequest { limit: -1, ..all.clone() }));
        assert!(!is_long(&RangeRequest { limit: 1, ..all.clone() }));
        assert!(!is_long(&RangeRequest { count_only: true, ..all.clone() }));
        assert!(!is_long(&RangeRequest { range_end: "".into(), ..all }));
        assert!(!is_long_range(&[0x12, 0xff, 0xff, 0xff, 0xff, 0x0f]));
        assert!(!is_long_range(&[0xff; 32]));
    }

    fn get(serializable: bool) -> RangeRequest {
        RangeRequest { key: "key".into(), limit: 1, serializable, ..Default::default() }
    }

    fn operation(request: Request) -> RequestOp {
        RequestOp { request: Some(request) }
    }

    fn put() -> RequestOp {
        operation(Request::RequestPut(PutRequest { key: "key".into(), ..Default::default() }))
    }

    fn kind_of(success: &[&RequestOp], failure: &[&RequestOp]) -> Kind {
        let compare = vec![Compare { key: "key".into(), ..Default::default() }];
        let [success, failure] = [success, failure].map(|it| it.iter().copied().cloned().collect());
        txn(&TxnRequest { compare, success, failure }.encode_to_vec())
    }

    /// A field of bytes, its number and length below 16 and 128.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
    }

    #[test]
    fn a_range_is_serializable_only_where_it_says_so() {
        assert_eq!(range(&get(true).encode_to_vec()), Kind::SerializableRead);
        assert_eq!(range(&get(false).encode_to_vec()), Kind::LinearizableRead);
        assert_eq!(range(&[]), Kind::LinearizableRead);
        assert_eq!(range(&[0x38, 1, 0x38, 0]), Kind::LinearizableRead, "the last one counts");
        assert_eq!(range(&[0x38, 0, 0x38, 2]), Kind::SerializableRead, "every value but 0 is true");
        assert_eq!(range(&[0x38, 1, 0x12]), Kind::LinearizableRead, "malformed behind it");
        assert_eq!(range(&[0x38, 1, 0x3a, 0]), Kind::LinearizableRead, "of another type");
    }

    #[test]
    fn a_transaction_of_ranges_alone_is_a_read() {
        let [old, new] = [true, false].map(|it| operation(Request::RequestRange(get(it))));
        assert_eq!(kind_of(&[&old], &[&old, &old]), Kind::SerializableRead);
        assert_eq!(kind_of(&[&old], &[&old, &new]), Kind::LinearizableRead);
        assert_eq!(kind_of(&[&new, &old], &[]), Kind::LinearizableRead);
        assert_eq!(kind_of(&[], &[]), Kind::SerializableRead);
        assert_eq!(txn(&[]), Kind::SerializableRead);
        assert_eq!(kind_of(&[&old, &new], &[&put()]), Kind::Write);
        assert_eq!(kind_of(&[&put()], &[&new]), Kind::Write);
    }

    #[test]
    fn a_nested_transaction_and_an_unset_operation_are_writes() {
        let nested = operation(Request::RequestTxn(TxnRequest::default()));
        assert_eq!(kind_of(&[&nested], &[]), Kind::Write);
        assert_eq!(kind_of(&[], &[&nested]), Kind::Write);
        assert_eq!(kind_of(&[&RequestOp { request: None }], &[]), Kind::Write);
    }

    #[test]
    fn an_operation_with_several_values_is_the_strictest_of_them() {
        let [old, new] = [true, false].map(|it| field(1, &get(it).encode_to_vec()));
        let [put, unknown] = [field(2, b""), field(5, b"")];
        let of = |values: &[&[u8]]| txn(&field(2, &values.concat()));
        assert_eq!(of(&[&old, &old]), Kind::SerializableRead);
        assert_eq!(of(&[&old, &new]), Kind::LinearizableRead);
        assert_eq!(of(&[&new, &old]), Kind::LinearizableRead);
        assert_eq!(of(&[&put, &old]), Kind::Write);
        assert_eq!(of(&[&old, &put]), Kind::Write);
        assert_eq!(of(&[&old, &unknown]), Kind::Write);
    }

    #[test]
    fn a_malformed_transaction_is_a_write() {
        let old = field(2, &field(1, &get(true).encode_to_vec()));
        assert_eq!(txn(&old), Kind::SerializableRead);
        assert_eq!(txn(&old[..old.len() - 1]), Kind::Write, "cut");
        assert_eq!(txn(&[&old[..], &[0x10, 1]].concat()), Kind::Write, "an operation of another type");
        assert_eq!(txn(&[&old[..], &[0x0a, 9]].concat()), Kind::Write, "a comparison that is cut");
        // Up to 3.6, etcd sees field 2 here.
        let long_tag = [0x92, 0x80, 0x80, 0x80, 0x80, 0x01, 2, 0x12, 0];
        assert_eq!(txn(&[&old[..], &long_tag].concat()), Kind::Write, "a long field number");
    }

    #[test]
    fn only_asking_for_alarms_is_a_read() {
        let kinds = [0, 1, 2].map(|action| {
            let request = AlarmRequest { action, member_id: 7, ..Default::default() };
            alarm(&request.encode_to_vec())
        });
        assert_eq!(kinds, [Kind::LinearizableRead, Kind::Write, Kind::Write]);
        assert_eq!(alarm(&[]), Kind::LinearizableRead);
        assert_eq!(alarm(&[0x08, 1, 0x08, 0]), Kind::LinearizableRead, "the last one counts");
        assert_eq!(alarm(&[0x10]), Kind::Write, "malformed");
        assert_eq!(alarm(&[0x0a, 0]), Kind::Write, "of another type");
    }

    /// What etcd decides, from the decoded message.
    fn naive(request: &TxnRequest) -> Kind {
        let operations = || request.success.iter().chain(&request.failure);
        let all = |test: fn(&RangeRequest) -> bool| {
            operations().all(|it| matches!(&it.request, Some(Request::RequestRange(range)) if test(range)))
        };
        match (all(|_| true), all(|range| range.serializable)) {
            (false, _) => Kind::Write,
            (true, false) => Kind::LinearizableRead,
            (true, true) => Kind::SerializableRead,
        }
    }

    fn random_bytes(random: &mut fastrand::Rng) -> Vec<u8> {
        let length = if random.u8(..) < 16 { 300 } else { random.usize(..8) };
        (0..length).map(|_| random.u8(..)).collect()
    }

    fn random_operation(random: &mut fastrand::Rng, depth: usize) -> RequestOp {
        let key = random_bytes(random).into();
        // Mostly ranges, or nearly every transaction would be a write.
        let request = match random.u8(..40) {
            0 => Request::RequestPut(PutRequest { key, ..Default::default() }),
            1 => Request::RequestDeleteRange(DeleteRangeRequest { key, ..Default::default() }),
            2 if depth > 0 => Request::RequestTxn(random_txn(random, depth - 1)),
            3 => return RequestOp { request: None },
            _ => Request::RequestRange(RangeRequest {
                key,
                range_end: random_bytes(random).into(),
                limit: random.i64(-1..1000),
                serializable: random.u8(..8) > 0,
                keys_only: random.bool(),
                max_create_revision: random.i64(..) * i64::from(random.bool()),
                ..Default::default()
            }),
        };
        operation(request)
    }

    fn random_txn(random: &mut fastrand::Rng, depth: usize) -> TxnRequest {
        let compare = (0..random.usize(..3))
            .map(|_| Compare { key: random_bytes(random).into(), result: 2, ..Default::default() })
            .collect();
        let [success, failure] =
            [(); 2].map(|()| (0..random.usize(..4)).map(|_| random_operation(random, depth)).collect());
        TxnRequest { compare, success, failure }
    }

    #[test]
    fn a_transaction_is_what_a_decoder_finds() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut seen = [0; 3];
        for round in 0..20_000 {
            let request = random_txn(&mut random, 2);
            let kind = txn(&request.encode_to_vec());
            assert_eq!(kind, naive(&request), "round {round}: {request:?}");
            seen[kind as usize] += 1;
        }
        assert!(seen.iter().all(|&count| count > 2_000), "{seen:?}");
    }

    #[test]
    fn a_damaged_transaction_is_never_taken_for_less_than_a_decoder_finds() {
        let mut random = fastrand::Rng::with_seed(2);
        let mut decoded = 0;
        for round in 0..50_000 {
            let mut bytes = random_txn(&mut random, 1).encode_to_vec();
            for _ in 0..random.usize(1..4) {
                match random.usize(..=bytes.len()) {
                    at if at == bytes.len() => bytes.push(random.u8(..)),
                    at if random.bool() => bytes[at] = random.u8(..),
                    at => drop(bytes.remove(at)),
                }
            }
            let kind = txn(&bytes);
            if let Ok(request) = TxnRequest::decode(&*bytes) {
                assert!(kind <= naive(&request), "round {round}: {kind:?} for {request:?}");
                decoded += 1;
            }
        }
        assert!(decoded > 5_000, "{decoded}");
    }

    #[test]
    fn garbage_is_looked_at_without_harm() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..50_000 {
            let bytes: Vec<u8> = (0..random.usize(..32)).map(|_| random.u8(..)).collect();
            is_long_range(&bytes);
            alarm(&bytes);
            range(&bytes);
            txn(&bytes);
        }
    }
}
