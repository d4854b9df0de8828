//! What a request asks for.

use prost::Message;

use super::engine::Target;
use crate::proto::etcdserverpb::request_op::Request;
use crate::proto::etcdserverpb::{AlarmRequest, RangeRequest, TxnRequest};
use crate::proxy::peek::{self, Kind};

#[test]
fn a_request_is_never_taken_for_less_than_a_decoder_finds() {
    let target = Target { name: "requests", words: &[b"\x38\x01", b"\x12\x04\x0a\x02", b"\x0a\x01a"] };
    target.run(|input| {
        let kinds = (peek::range(input), peek::txn(input), peek::alarm(input));
        if let Ok(range) = RangeRequest::decode(input) {
            let kind = if range.serializable { Kind::SerializableRead } else { Kind::LinearizableRead };
            assert!(kinds.0 <= kind, "{range:?}");
            assert!(!peek::is_linearizable(input) || !range.serializable, "{range:?}");
        }
        if let Ok(txn) = TxnRequest::decode(input) {
            assert!(kinds.1 <= naive(&txn), "{txn:?}");
        }
        if let Ok(alarm) = AlarmRequest::decode(input) {
            assert!(alarm.action == 0 || kinds.2 == Kind::Write, "{alarm:?}");
        }
        let is_long = peek::is_long_range(input);
        let linearized = peek::linearizable(input).map(|frame| {
            let message = peek::message(&frame).expect("it is a frame again");
            assert_ne!(peek::range(message), Kind::SerializableRead);
            frame.len()
        });
        (kinds.0 as u8, kinds.1 as u8, kinds.2 as u8, is_long, linearized, peek::keep_alive(input).is_some())
    });
}

/// What etcd decides, from the decoded message.
fn naive(request: &TxnRequest) -> Kind {
    let mut operations = request.success.iter().chain(&request.failure);
    operations
        .try_fold(Kind::SerializableRead, |kind, operation| match &operation.request {
            Some(Request::RequestRange(range)) if range.serializable => Ok(kind),
            Some(Request::RequestRange(_)) => Ok(Kind::LinearizableRead),
            _ => Err(Kind::Write),
        })
        .unwrap_or_else(|write| write)
}
