//! What the audit log tells of a request, an error and a token.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message;
use serde_json::Value;

use super::engine::Target;
use crate::proto::etcdserverpb::request_op::Request;
use crate::proto::etcdserverpb::{PutRequest, TxnRequest};
use crate::proxy::audit::fuzzed;

#[test]
fn a_line_tells_the_key_that_a_decoder_finds_and_hides_no_write() {
    let words: &[&[u8]] =
        &[b"\x0a\x01a", b"\x12\x01v", b"\x22\x02\x12\0", b"\"key\":\"YQ==\"", b"requestPut"];
    let target = Target { name: "audit", words };
    target.run(|input| {
        let (put, _) = fuzzed("/etcdserverpb.KV/Put", input);
        if let (Ok(decoded), None) = (PutRequest::decode(input), put.get("incomplete")) {
            assert_eq!(key(&put), decoded.key, "{put}");
        }
        let (txn, writes) = fuzzed("/etcdserverpb.KV/Txn", input);
        let is_whole = txn.get("incomplete").is_none();
        if let Ok(decoded) = TxnRequest::decode(input) {
            assert!(writes || !is_whole || !may_write(&decoded), "{decoded:?}");
        }
        (put.get("incomplete").is_some(), is_whole, writes, txn["ops"].as_array().map(Vec::len))
    });
}

fn key(line: &Value) -> Vec<u8> {
    let encoded = line["key_base64"].as_str().map(|key| STANDARD.decode(key).expect("it was encoded"));
    encoded.unwrap_or_else(|| line["key"].as_str().unwrap_or_default().into())
}

fn may_write(txn: &TxnRequest) -> bool {
    txn.success.iter().chain(&txn.failure).any(|operation| match &operation.request {
        Some(Request::RequestRange(_)) => false,
        Some(Request::RequestTxn(inside)) => may_write(inside),
        Some(Request::RequestDeleteRange(_) | Request::RequestPut(_)) | None => true,
    })
}
