//! What a request of the JSON gateway asks for.

use serde_json::{Map, Value};

use super::engine::Target;
use crate::proxy::peek::{Kind, json_request};

#[test]
fn a_request_in_json_is_never_taken_for_less_than_a_parser_finds() {
    let words: &[&[u8]] = &[
        b"\"serializable\": true,",
        b"\"range_end\": \"YQ==\",",
        b"\"success\": [",
        b"{\"requestRange\": {",
        b"{}",
        b"null",
        b"\"GET\"",
        b"\\u0074",
        b", ",
    ];
    let target = Target { name: "json", words };
    target.run(|input| {
        let range = json_request::range(input).map(|range| (range.kind(), range.is_long()));
        let kinds = (json_request::txn(input), json_request::alarm(input));
        let linearizable = json_request::linearizable(input);
        let parsed: Option<Map<String, Value>> = serde_json::from_slice(input).ok();
        if let Some(parsed) = &parsed {
            let (kind, long) = range.unwrap_or((kind_of_range(parsed), true));
            assert_eq!(kind, kind_of_range(parsed), "{parsed:?}");
            assert!(long || !is_long(parsed), "{parsed:?}");
            assert!(kinds.0 <= kind_of_txn(parsed) && kinds.1 <= kind_of_alarm(parsed), "{parsed:?}");
        }
        if let Some(made) = &linearizable {
            assert_eq!(range.map(|(kind, _)| kind), Some(Kind::SerializableRead));
            let again = json_request::range(made).expect("it can be read as before");
            assert_eq!(again.kind(), Kind::LinearizableRead);
            if let Some(mut expected) = parsed {
                expected.insert("serializable".to_owned(), false.into());
                let made: Map<String, Value> = serde_json::from_slice(made).expect("it is an object again");
                assert_eq!(made, expected);
            }
        }
        (range.map(|(kind, long)| (kind as u8, long)), kinds.0 as u8, kinds.1 as u8, linearizable.is_some())
    });
}

fn kind_of_range(range: &Map<String, Value>) -> Kind {
    match range.get("serializable") {
        Some(Value::Bool(true)) => Kind::SerializableRead,
        _ => Kind::LinearizableRead,
    }
}

fn is_long(range: &Map<String, Value>) -> bool {
    let field = |names: [&str; 2]| names.into_iter().find_map(|name| range.get(name));
    let limit = match range.get("limit") {
        Some(Value::String(limit)) => limit.parse().unwrap_or(0),
        limit => limit.and_then(Value::as_u64).unwrap_or(0),
    };
    field(["range_end", "rangeEnd"]).is_some_and(|end| !end.is_null() && end != "")
        && field(["count_only", "countOnly"]) != Some(&Value::Bool(true))
        && (limit == 0 || limit > 64)
}

/// As etcd does, which looks at every operation.
fn kind_of_txn(txn: &Map<String, Value>) -> Kind {
    let branches = ["success", "failure"].into_iter().filter_map(|branch| txn.get(branch));
    let kinds = branches.flat_map(|branch| match branch {
        Value::Null => Vec::new(),
        Value::Array(operations) => operations.iter().map(kind_of_operation).collect(),
        // Which etcd refuses.
        _ => vec![Kind::SerializableRead],
    });
    kinds.min().unwrap_or(Kind::SerializableRead)
}

fn kind_of_operation(operation: &Value) -> Kind {
    let reads = ["request_range", "requestRange"].into_iter().find_map(|name| operation.get(name));
    let is_more = operation.as_object().is_some_and(|operation| operation.len() > 1);
    match reads {
        Some(Value::Object(range)) if !is_more => kind_of_range(range),
        // Which etcd refuses, too.
        Some(Value::Array(_)) if !is_more => Kind::SerializableRead,
        _ if operation.is_array() => Kind::SerializableRead,
        _ => Kind::Write,
    }
}

fn kind_of_alarm(alarm: &Map<String, Value>) -> Kind {
    match alarm.get("action") {
        None | Some(Value::Null) => Kind::LinearizableRead,
        Some(action) if action == "GET" || action == 0 => Kind::LinearizableRead,
        Some(_) => Kind::Write,
    }
}
