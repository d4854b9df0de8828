//! Calls of the JSON gateway: what they ask for, and what their answers say.

use bytes::Bytes;
use serde_json::Value;

use super::peek::{Header, Kind, json, json_request};
use crate::types::call::{Body, Call, Dialect};
use crate::types::method::Shape;
use crate::types::status::Code;
use crate::upstream::Answer;
use crate::upstream::view::View;

/// What a look at a request tells.
pub(super) struct Asked {
    pub kind: Option<Kind>,
    /// Its answer may be.
    pub long: bool,
    /// Its answer certainly shows what a majority has agreed on.
    pub proves: bool,
}

pub(super) fn asked(call: &Call) -> Asked {
    let body = match &call.body {
        Body::Empty => Some(&[][..]),
        Body::Full(bytes) => Some(&bytes[..]),
        Body::Stream(_) | Body::Trailers(_) | Body::Whole(..) => None,
    };
    let or = |look: fn(&[u8]) -> Kind, strictest| Some(body.map_or(strictest, look));
    let path = call.rpc.path;
    let kind = match path {
        "/v3/kv/range" => or(json_request::range, Kind::LinearizableRead),
        "/v3/kv/txn" => or(json_request::txn, Kind::Write),
        "/v3/maintenance/alarm" => or(json_request::alarm, Kind::Write),
        _ => None,
    };
    let long = match path {
        "/v3/kv/range" => body.is_none_or(json_request::is_long_range),
        _ => call.rpc.shape == Shape::ServerStream,
    };
    let proves = match path {
        "/v3/kv/deleterange" | "/v3/kv/put" => true,
        "/v3/kv/range" => body.is_some_and(json_request::is_linearizable),
        _ => false,
    };
    Asked { kind, long, proves }
}

/// In which words the cluster's gateways tell of errors: in the new ones where nobody knows.
pub(super) fn dialect(view: &View) -> Dialect {
    let mut reports = view.members.iter().filter_map(|member| member.report.as_ref());
    let is_old = reports.any(|report| report.version.starts_with("3.4."));
    if is_old { Dialect::Etcd34 } else { Dialect::Etcd35 }
}

/// The header of an answer, as far as it is here.
pub(super) fn header(answer: &Answer) -> Option<Header> {
    json::header(answer.body.data.as_ref()?)
}

/// The error that an answer is: etcd's code and text.
pub(super) fn error_of(answer: &Answer) -> Option<(Code, String)> {
    if answer.head.status.as_u16() < 400 {
        return None;
    }
    let error: Option<Value> =
        answer.body.data.as_ref().and_then(|data: &Bytes| serde_json::from_slice(data).ok());
    let code = error.as_ref().and_then(|error| error["code"].as_u64());
    let code = code.and_then(|code| u8::try_from(code).ok()).map(Code::from_number);
    let message = error.as_ref().and_then(|error| error["message"].as_str()).unwrap_or_default();
    Some((code.unwrap_or_else(|| Code::of_http(answer.head.status)), message.to_owned()))
}
