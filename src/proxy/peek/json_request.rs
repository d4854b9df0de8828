//! What a request of the JSON gateway asks for. Fields have the names of the proto files, or those
//! that proto3's JSON makes of them.

use serde_json::{Map, Value};

use super::request::{Kind, SHORT_LIMIT};

/// The kind of a `RangeRequest`.
pub(crate) fn range(body: &[u8]) -> Kind {
    read(body).map_or(Kind::LinearizableRead, |request| kind_of_range(&request))
}

/// Whether a `RangeRequest` certainly is, for whoever decodes it.
pub(crate) fn is_linearizable(body: &[u8]) -> bool {
    read(body).is_some_and(|request| kind_of_range(&request) == Kind::LinearizableRead)
}

/// The kind of a `TxnRequest`: see the one in protobuf.
pub(crate) fn txn(body: &[u8]) -> Kind {
    let Some(request) = read(body) else { return Kind::Write };
    let branches = ["success", "failure"].map(|branch| match request.get(branch) {
        None | Some(Value::Null) => Kind::SerializableRead,
        Some(Value::Array(operations)) => {
            operations.iter().map(kind_of_operation).min().unwrap_or(Kind::SerializableRead)
        }
        Some(_) => Kind::Write,
    });
    branches[0].min(branches[1])
}

fn kind_of_operation(operation: &Value) -> Kind {
    let Value::Object(operation) = operation else { return Kind::Write };
    let mut values = operation.iter();
    match (values.next(), values.next()) {
        (Some((name, Value::Object(request))), None) if name == "request_range" || name == "requestRange" => {
            kind_of_range(request)
        }
        _ => Kind::Write,
    }
}

/// The kind of an `AlarmRequest`.
pub(crate) fn alarm(body: &[u8]) -> Kind {
    let gets = |action: Option<&Value>| match action {
        None | Some(Value::Null) => true,
        Some(action) => *action == "GET" || *action == 0,
    };
    match read(body) {
        Some(request) if gets(request.get("action")) => Kind::LinearizableRead,
        _ => Kind::Write,
    }
}

/// Whether a `RangeRequest` may have a long answer.
pub(crate) fn is_long_range(body: &[u8]) -> bool {
    let Some(request) = read(body) else { return false };
    let field = |name: &str, in_json: &str| request.get(name).or_else(|| request.get(in_json));
    let is_set = |value: Option<&Value>| value.is_some_and(|value| *value != "" && !value.is_null());
    let limit = match request.get("limit") {
        // 64-bit numbers are text in proto3's JSON.
        Some(Value::String(text)) => text.parse().unwrap_or(0),
        Some(Value::Number(number)) => number.as_u64().unwrap_or(0),
        _ => 0,
    };
    is_set(field("range_end", "rangeEnd"))
        && field("count_only", "countOnly") != Some(&Value::Bool(true))
        && (limit == 0 || limit > SHORT_LIMIT)
}

/// A serializable `RangeRequest`, made linearizable.
pub(crate) fn linearizable(body: &[u8]) -> Option<Vec<u8>> {
    let mut request = read(body)?;
    request.remove("serializable")?;
    serde_json::to_vec(&request).ok()
}

fn kind_of_range(request: &Map<String, Value>) -> Kind {
    match request.get("serializable") {
        Some(Value::Bool(true)) => Kind::SerializableRead,
        _ => Kind::LinearizableRead,
    }
}

/// No body is an empty message. Of several fields with one name the last counts here and up to
/// etcd 3.4; later ones refuse them.
fn read(body: &[u8]) -> Option<Map<String, Value>> {
    if body.is_empty() { Some(Map::new()) } else { serde_json::from_slice(body).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_serializable_only_where_it_says_so() {
        for (json, kind) in [
            (r#"{"key": "YQ==", "serializable": true}"#, Kind::SerializableRead),
            (r#"{"key": "YQ==", "serializable": false}"#, Kind::LinearizableRead),
            (r#"{"key": "YQ==", "serializable": "true"}"#, Kind::LinearizableRead),
            (r#"{"key": "YQ=="}"#, Kind::LinearizableRead),
            (r#"{"serializable": true"#, Kind::LinearizableRead),
            ("[]", Kind::LinearizableRead),
            ("", Kind::LinearizableRead),
        ] {
            assert_eq!(range(json.as_bytes()), kind, "{json}");
        }
        assert!(is_linearizable(b"{}") && !is_linearizable(b"{"));
    }

    #[test]
    fn a_serializable_range_becomes_linearizable_and_keeps_the_rest() {
        let made = linearizable(br#"{"key": "YQ==", "serializable": true, "revision": 9223372036854775807}"#);
        assert_eq!(made.unwrap(), br#"{"key":"YQ==","revision":9223372036854775807}"#);
        assert_eq!(linearizable(b"{}"), None);
    }

    #[test]
    fn a_transaction_of_ranges_alone_is_a_read() {
        let (old, new) = (r#"{"requestRange": {"serializable": true}}"#, r#"{"request_range": {}}"#);
        for (json, kind) in [
            (format!(r#"{{"success": [{old}], "failure": [{old}]}}"#), Kind::SerializableRead),
            (format!(r#"{{"success": [{old}], "failure": [{new}]}}"#), Kind::LinearizableRead),
            (String::new(), Kind::SerializableRead),
            (r#"{"compare": [], "success": null}"#.to_owned(), Kind::SerializableRead),
            (format!(r#"{{"success": [{old}, {{"requestPut": {{}}}}]}}"#), Kind::Write),
            (format!(r#"{{"success": [{old}], "failure": [{{"request_txn": {{}}}}]}}"#), Kind::Write),
            (r#"{"success": [{}]}"#.to_owned(), Kind::Write),
            (r#"{"success": [{"requestRange": {}, "requestPut": {}}]}"#.to_owned(), Kind::Write),
            (r#"{"success": [{"requestRange": null}]}"#.to_owned(), Kind::Write),
            (r#"{"success": {}}"#.to_owned(), Kind::Write),
            (format!(r#"{{"success": [{old}]}} {{}}"#), Kind::Write),
        ] {
            assert_eq!(txn(json.as_bytes()), kind, "{json}");
        }
    }

    #[test]
    fn only_asking_for_alarms_is_a_read() {
        for (json, kind) in [
            ("", Kind::LinearizableRead),
            (r#"{"action": "GET"}"#, Kind::LinearizableRead),
            (r#"{"action": 0, "memberID": "7"}"#, Kind::LinearizableRead),
            (r#"{"action": "ACTIVATE"}"#, Kind::Write),
            (r#"{"action": 2}"#, Kind::Write),
            ("{", Kind::Write),
        ] {
            assert_eq!(alarm(json.as_bytes()), kind, "{json}");
        }
    }

    #[test]
    fn a_range_over_many_keys_is_long() {
        for (json, long) in [
            (r#"{"range_end": "AA=="}"#, true),
            (r#"{"rangeEnd": "AA==", "limit": "500"}"#, true),
            (r#"{"range_end": "AA==", "limit": "64"}"#, false),
            (r#"{"range_end": "AA==", "limit": 1}"#, false),
            (r#"{"range_end": "AA==", "countOnly": true}"#, false),
            (r#"{"range_end": ""}"#, false),
            ("{}", false),
        ] {
            assert_eq!(is_long_range(json.as_bytes()), long, "{json}");
        }
    }
}
