//! What is read out of requests, against a decoder; and the lines that come of it.

mod calls;

use prost::Message as _;
use serde_json::{Value, json};

use super::about::{About, Fact, Is, Key, Limits, Message, Op};
use super::failure;
use super::line::Line;
use super::table::Row;
use super::tokens::{Holder, Tokens};
use crate::proto::etcdserverpb as pb;
use pb::request_op::Request;

const LIMITS: Limits = Limits { keys: 1000, key_bytes: 1000 };

fn read(path: &str, message: &[u8], namespace: &[u8], limits: &Limits) -> About {
    let mut about = About::default();
    about.read(Message::Wire(message), Row::of(path).request, namespace, limits);
    about
}

/// What is written of a request, and whether it may change something; everything else reads the same.
pub(crate) fn fuzzed(path: &str, input: &[u8]) -> (Value, bool) {
    let limits = Limits { keys: 3, key_bytes: 1 << 20 };
    if let Ok(request) = serde_json::from_slice(input) {
        let mut about = About::default();
        about.read(Message::Json(&request), Row::of(path).request, b"ns", &limits);
        written(&about);
    }
    failure::read(input);
    Holder::of(input, &Tokens::default());
    let about = read(path, input, b"", &limits);
    (written(&about), about.writes)
}

/// What is written of it, without the time.
fn written(about: &About) -> Value {
    let mut line = Line::new(std::time::UNIX_EPOCH);
    line.about(about);
    let mut line: Value = serde_json::from_slice(&line.end()).unwrap();
    assert_eq!(line.as_object_mut().unwrap().remove("time"), Some(json!("1970-01-01T00:00:00.000Z")));
    line
}

fn told(path: &str, message: &impl prost::Message) -> Value {
    written(&read(path, &message.encode_to_vec(), b"", &LIMITS))
}

#[test]
fn a_line_tells_keys_and_ids_and_no_values() {
    let put =
        pb::PutRequest { key: "/a\"b".into(), value: "secret".into(), lease: 0xabc, ..Default::default() };
    assert_eq!(told("/etcdserverpb.KV/Put", &put), json!({"key": "/a\"b", "lease": "abc"}));
    let range =
        pb::RangeRequest { key: "a".into(), range_end: "\0".into(), revision: 7, ..Default::default() };
    let expected = json!({"key": "a", "range_end_base64": "AA==", "at_revision": 7});
    assert_eq!(told("/etcdserverpb.KV/Range", &range), expected);
    let user =
        pb::AuthUserAddRequest { name: "alice".into(), password: "secret".into(), ..Default::default() };
    assert_eq!(told("/etcdserverpb.Auth/UserAdd", &user), json!({"target_user": "alice"}));
    let perm = crate::proto::authpb::Permission { perm_type: 2, key: "k".into(), range_end: "l".into() };
    let grant = pb::AuthRoleGrantPermissionRequest { name: "r".into(), perm: Some(perm) };
    let expected = json!({"target_role": "r", "permission": "READWRITE", "key": "k", "range_end": "l"});
    assert_eq!(told("/etcdserverpb.Auth/RoleGrantPermission", &grant), expected);
    let remove = pb::MemberRemoveRequest { id: u64::MAX };
    let expected = json!({"target_member": "ffffffffffffffff"});
    assert_eq!(told("/etcdserverpb.Cluster/MemberRemove", &remove), expected);
    let peers = ["http://a:2380", "http://b:2380"].map(str::to_owned).to_vec();
    let add = pb::MemberAddRequest { peer_ur_ls: peers, ..Default::default() };
    let expected = json!({"peer_urls": "http://a:2380,http://b:2380"});
    assert_eq!(told("/etcdserverpb.Cluster/MemberAdd", &add), expected);
    let asked = json!({"action": "GET", "alarm": "NONE"});
    assert_eq!(told("/etcdserverpb.Maintenance/Alarm", &pb::AlarmRequest::default()), asked);
}

#[test]
fn texts_are_told_as_they_are_or_as_incomplete() {
    let name = |name: &[u8]| {
        let message =
            [&[1 << 3 | 2, (name.len() & 0x7f | 0x80) as u8, (name.len() >> 7) as u8], name].concat();
        written(&read("/etcdserverpb.Auth/UserAdd", &message, b"", &Limits { keys: 1, key_bytes: 4 }))
    };
    assert_eq!(name(b"rooted"), json!({"target_user": "rooted"}));
    assert_eq!(name(b"a\xff"), json!({"target_user": "a\\xff", "incomplete": true}));
    assert_eq!(name(&[b'a'; 600]), json!({"target_user": "a".repeat(512), "incomplete": true}));
    let added = |urls: Vec<String>| {
        told(
            "/etcdserverpb.Cluster/MemberAdd",
            &pb::MemberAddRequest { peer_ur_ls: urls, ..Default::default() },
        )
    };
    let urls = ["http://u:secret@a:2380", "u:secret@b", "http://[::1]:2380"].map(str::to_owned);
    assert_eq!(added(urls.into()), json!({"peer_urls": "http://a:2380,b,http://[::1]:2380"}));
    let many = added(vec![String::new(); 100_000]);
    assert_eq!(many, json!({"peer_urls": ",".repeat(512), "incomplete": true}));
}

#[test]
fn a_time_before_all_others_is_written() {
    let before = std::time::UNIX_EPOCH - std::time::Duration::from_secs(1);
    let line = String::from_utf8(Line::new(before).end()).unwrap();
    assert_eq!(line, "{\"time\":\"1970-01-01T00:00:00.000Z\"}\n");
}

#[test]
fn keys_can_be_read_back() {
    use base64::Engine as _;
    let mut random = fastrand::Rng::with_seed(1);
    let (mut plain, mut other) = (0, 0);
    for round in 0..5000 {
        let key: Vec<u8> = match round % 3 {
            0 => (0..random.usize(..12)).map(|_| random.u8(..)).collect(),
            1 => (0..random.usize(..12)).map(|_| random.char(..)).collect::<String>().into_bytes(),
            _ => (0..random.usize(..12)).map(|_| random.u8(b' '..127)).collect(),
        };
        let request = pb::RangeRequest { key: key.clone().into(), ..Default::default() };
        let line = told("/etcdserverpb.KV/Range", &request);
        let back = match (line["key"].as_str(), line["key_base64"].as_str()) {
            (Some(text), None) => text.as_bytes().to_vec(),
            (None, Some(text)) => base64::engine::general_purpose::STANDARD.decode(text).unwrap(),
            (None, None) => Vec::new(),
            (Some(_), Some(_)) => panic!("{line}"),
        };
        assert_eq!(back, key, "{line}");
        plain += u32::from(line.get("key").is_some());
        other += u32::from(line.get("key_base64").is_some());
    }
    assert!(plain > 1000 && other > 1000, "{plain} {other}");
}

#[test]
fn a_long_key_is_cut_and_its_length_told() {
    let limits = Limits { keys: 1, key_bytes: 10 };
    let path = "/etcdserverpb.KV/Range";
    let line = |key: &str| {
        let request = pb::RangeRequest { key: key.to_owned().into(), ..Default::default() };
        written(&read(path, &request.encode_to_vec(), b"", &limits))
    };
    assert_eq!(line("0123456789"), json!({"key": "0123456789"}));
    assert_eq!(line("0123456789a"), json!({"key": "0123456789", "key_length": 11}));
    assert_eq!(line("01234567é😀"), json!({"key": "01234567é", "key_length": 14}));
    assert_eq!(line("01234567😀"), json!({"key": "01234567", "key_length": 12}));
}

#[test]
fn keys_are_those_that_the_cluster_stores() {
    let range = |key: &str, end: &str, namespace: &[u8]| {
        let (key, range_end) = (key.to_owned().into(), end.to_owned().into());
        let request = pb::RangeRequest { key, range_end, ..Default::default() };
        written(&read("/etcdserverpb.KV/Range", &request.encode_to_vec(), namespace, &LIMITS))
    };
    assert_eq!(range("a", "", b"ns/"), json!({"key": "ns/a"}));
    assert_eq!(range("a", "b", b"ns/"), json!({"key": "ns/a", "range_end": "ns/b"}));
    assert_eq!(range("a", "\0", b"ns/"), json!({"key": "ns/a", "range_end": "ns0"}));
    let expected = json!({"key_base64": "AP//YQ==", "range_end_base64": "AQ=="});
    assert_eq!(range("a", "\0", b"\0\xff\xff"), expected);
    assert_eq!(range("a", "\0", b"\xff"), json!({"key_base64": "/2E=", "range_end_base64": "AA=="}));
}

fn text(random: &mut fastrand::Rng) -> Vec<u8> {
    // Not empty: what is empty is not said.
    (0..random.usize(1..9)).map(|_| random.u8(..)).collect()
}

fn operation(random: &mut fastrand::Rng, depth: usize) -> pb::RequestOp {
    let key = text(random).into();
    let request = match random.u8(..if depth > 0 { 4 } else { 3 }) {
        0 => Request::RequestRange(pb::RangeRequest {
            key,
            range_end: text(random).into(),
            ..Default::default()
        }),
        1 => Request::RequestPut(pb::PutRequest { key, value: "secret".into(), ..Default::default() }),
        2 => Request::RequestDeleteRange(pb::DeleteRangeRequest { key, ..Default::default() }),
        _ => Request::RequestTxn(txn(random, depth - 1)),
    };
    pb::RequestOp { request: Some(request) }
}

fn txn(random: &mut fastrand::Rng, depth: usize) -> pb::TxnRequest {
    let compare = (0..random.usize(..3))
        .map(|_| pb::Compare { key: text(random).into(), result: 1, ..Default::default() })
        .collect();
    let [success, failure] =
        [(); 2].map(|()| (0..random.usize(..3)).map(|_| operation(random, depth)).collect());
    pb::TxnRequest { compare, success, failure }
}

/// The operations of a decoded transaction, in their order.
fn naive(txn: &pb::TxnRequest, branch: &str, ops: &mut Vec<Op>) {
    let fact =
        |name, bytes: &[u8]| Fact { name, is: Is::Key(Key { bytes: bytes.to_vec(), length: bytes.len() }) };
    for compare in &txn.compare {
        let facts = vec![fact("key", &compare.key)];
        ops.push(Op { kind: "compare", branch: branch.to_owned(), facts });
    }
    for (name, operations) in [("success", &txn.success), ("failure", &txn.failure)] {
        let branch = if branch.is_empty() { name.to_owned() } else { format!("{branch}/{name}") };
        for operation in operations {
            let (kind, facts) = match operation.request.as_ref().unwrap() {
                Request::RequestRange(range) => {
                    ("range", vec![fact("key", &range.key), fact("range_end", &range.range_end)])
                }
                Request::RequestPut(put) => ("put", vec![fact("key", &put.key)]),
                Request::RequestDeleteRange(delete) => ("delete", vec![fact("key", &delete.key)]),
                Request::RequestTxn(inside) => {
                    naive(inside, &branch, ops);
                    continue;
                }
            };
            ops.push(Op { kind, branch: branch.clone(), facts });
        }
    }
}

#[test]
fn the_operations_of_a_transaction_are_those_that_a_decoder_finds() {
    let mut random = fastrand::Rng::with_seed(2);
    for _ in 0..5000 {
        let request = txn(&mut random, 3);
        let message = request.encode_to_vec();
        let about = read("/etcdserverpb.KV/Txn", &message, b"", &LIMITS);
        let mut expected = Vec::new();
        naive(&request, "", &mut expected);
        assert_eq!(about.ops, expected, "{request:?}");
        assert_eq!(about.writes, expected.iter().any(|op| matches!(op.kind, "put" | "delete")));
        assert!(!about.incomplete && !written(&about).to_string().contains("secret"));
        let few = read("/etcdserverpb.KV/Txn", &message, b"", &Limits { keys: 2, ..LIMITS });
        assert_eq!((few.ops.len(), few.writes), (expected.len().min(2), about.writes));
        assert_eq!(few.ops_left_out, expected.len().saturating_sub(2) as u64);
    }
}

#[test]
fn a_transaction_that_is_cut_or_not_understood_is_told_as_such() {
    let put = pb::PutRequest { key: "k".into(), value: vec![0; 100].into(), ..Default::default() };
    let cut = &put.encode_to_vec()[..50];
    let about = read("/etcdserverpb.KV/Put", cut, b"", &LIMITS);
    assert_eq!(written(&about), json!({"key": "k", "incomplete": true}));
    // An operation that no etcd known here has may write.
    let about = read("/etcdserverpb.KV/Txn", &[0x12, 2, 0x32, 0], b"", &LIMITS);
    assert!(about.writes);
    let mut deep = pb::TxnRequest::default();
    for _ in 0..40 {
        let request = Some(Request::RequestTxn(deep));
        deep = pb::TxnRequest { success: vec![pb::RequestOp { request }], ..Default::default() };
    }
    assert!(read("/etcdserverpb.KV/Txn", &deep.encode_to_vec(), b"", &LIMITS).incomplete);
}

#[test]
fn garbage_is_read_without_harm() {
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..50_000 {
        let bytes: Vec<u8> = (0..random.usize(..40)).map(|_| random.u8(..)).collect();
        let rpc = random.choice(&crate::types::method::TABLE).unwrap();
        written(&read(rpc.path, &bytes, b"ns", &Limits { keys: 3, key_bytes: 5 }));
    }
}

#[test]
fn requests_in_json_say_the_same() {
    for (path, request, expected) in [
        (
            "/etcdserverpb.KV/Put",
            json!({"key": "L2E=", "value": "c2VjcmV0", "lease": "2748"}),
            json!({"key": "/a", "lease": "abc"}),
        ),
        (
            "/etcdserverpb.KV/Range",
            json!({"key": "YQ==", "rangeEnd": "AA=="}),
            json!({"key": "a", "range_end_base64": "AA=="}),
        ),
        (
            "/etcdserverpb.KV/Txn",
            json!({
                "compare": [{"target": "VALUE", "key": "YQ==", "value": "c2VjcmV0"}],
                "success": [{"requestPut": {"key": "Yg==", "value": "c2VjcmV0"}}],
                "failure": [{"request_range": {"key": "Yw=="}}],
            }),
            json!({"ops": [
                {"op": "compare", "key": "a"},
                {"op": "put", "branch": "success", "key": "b"},
                {"op": "range", "branch": "failure", "key": "c"},
            ]}),
        ),
        (
            "/etcdserverpb.Watch/Watch",
            json!({"create_request": {"key": "YQ==", "start_revision": 5}}),
            json!({"key": "a", "start_revision": 5}),
        ),
        (
            "/etcdserverpb.Auth/Authenticate",
            json!({"name": "alice", "password": "secret"}),
            json!({"target_user": "alice"}),
        ),
        (
            "/etcdserverpb.Maintenance/Alarm",
            json!({"action": "ACTIVATE", "alarm": 1}),
            json!({"action": "ACTIVATE", "alarm": "NOSPACE"}),
        ),
        // No field but the named ones is etcd's, and of two spellings it takes the newer.
        (
            "/etcdserverpb.KV/Range",
            json!({"key": "YQ==", "Key": "Yg==", "key_": "Yg==", "rangeEnd": "Yw==", "range_end": "ZA=="}),
            json!({"key": "a", "range_end": "c"}),
        ),
        ("/etcdserverpb.KV/Put", json!({"key": "YWI"}), json!({"key": "ab"})),
        ("/etcdserverpb.KV/Put", json!({"key": "YW\r\nI="}), json!({"key": "ab"})),
        ("/etcdserverpb.KV/Put", json!({"key": "_-8"}), json!({"key_base64": "/+8="})),
        ("/etcdserverpb.KV/Put", json!({"key": "not base64"}), json!({"incomplete": true})),
        ("/etcdserverpb.KV/Put", json!([1]), json!({})),
    ] {
        let mut about = About::default();
        about.read(Message::Json(&request), Row::of(path).request, b"", &LIMITS);
        assert_eq!(written(&about), expected, "{request}");
    }
}
