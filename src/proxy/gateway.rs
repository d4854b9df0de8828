//! Calls of the JSON gateway: what they ask for, and what their answers say.

use bytes::Bytes;
use serde_json::Value;

use super::peek::json_request::{self, Range};
use super::peek::{Header, Kind, json};
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
    let kind = |look: fn(&[u8]) -> Kind| Some(body.map_or(Kind::Write, look));
    let long = call.rpc.shape == Shape::ServerStream;
    match call.rpc.path {
        "/v3/kv/range" => {
            let range = body.and_then(json_request::range);
            let kind = range.as_ref().map_or(Kind::LinearizableRead, Range::kind);
            let proves = range.is_some() && kind == Kind::LinearizableRead;
            Asked { kind: Some(kind), long: range.as_ref().is_none_or(Range::is_long), proves }
        }
        "/v3/kv/txn" => Asked { kind: kind(json_request::txn), long, proves: false },
        "/v3/maintenance/alarm" => Asked { kind: kind(json_request::alarm), long, proves: false },
        path => Asked { kind: None, long, proves: matches!(path, "/v3/kv/deleterange" | "/v3/kv/put") },
    }
}

/// In which words the cluster's gateways tell of errors: in the new ones where nobody knows. (There are
/// builds of 3.5 with the new one; the old words say all of the new ones too.)
pub(super) fn dialect(view: &View) -> Dialect {
    let mut reports = view.members.iter().filter_map(|member| member.report.as_ref());
    if reports.any(|report| has_v1(&report.version)) { Dialect::V1 } else { Dialect::V2 }
}

fn has_v1(etcd: &str) -> bool {
    ["3.4.", "3.5."].iter().any(|old| etcd.starts_with(old))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_of_official_releases_find_errors_where_they_look() {
        let old = ["3.4.27", "3.5.0", "3.5.30", "3.6.0", "3.7.0-rc.1", "3.50.1"].map(has_v1);
        assert_eq!(old, [true, true, true, false, false, false]);
    }
}
