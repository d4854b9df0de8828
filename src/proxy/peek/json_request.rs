//! What a request of the JSON gateway asks for. Fields have the names of the proto files, or those
//! that proto3's JSON makes of them.
//!
//! What is not looked at is passed over, so that a long request costs no more memory than it has. A field
//! that is there twice, in either spelling, makes a request unreadable: up to etcd 3.5 one of them counts, later
//! ones refuse it. (Some objects could be written as arrays here; every etcd refuses that.)

use std::fmt;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::request::{Kind, SHORT_LIMIT};

/// A `RangeRequest`.
#[derive(serde::Deserialize, Default)]
#[serde(default)]
pub(crate) struct Range<'a> {
    #[serde(borrow, alias = "countOnly")]
    count_only: Option<&'a RawValue>,
    #[serde(borrow)]
    limit: Option<&'a RawValue>,
    #[serde(borrow, alias = "rangeEnd")]
    range_end: Option<&'a RawValue>,
    #[serde(borrow)]
    serializable: Option<&'a RawValue>,
}

impl Range<'_> {
    pub fn kind(&self) -> Kind {
        if is(self.serializable, TRUE) { Kind::SerializableRead } else { Kind::LinearizableRead }
    }

    /// Whether it may have a long answer.
    pub fn is_long(&self) -> bool {
        // 64-bit numbers are text in proto3's JSON.
        let limit = self.limit.and_then(|limit| limit.get().trim_matches('"').parse().ok()).unwrap_or(0);
        self.range_end.is_some_and(|end| end.get() != r#""""#)
            && !is(self.count_only, TRUE)
            && (limit == 0 || limit > SHORT_LIMIT)
    }
}

/// `None` for what nobody can read.
pub(crate) fn range(body: &[u8]) -> Option<Range<'_>> {
    read(body)
}

/// The kind of a `TxnRequest`: see the one in protobuf.
pub(crate) fn txn(body: &[u8]) -> Kind {
    read(body).map_or(Kind::Write, |Txn { success, failure }| success.0.min(failure.0))
}

/// The kind of an `AlarmRequest`.
pub(crate) fn alarm(body: &[u8]) -> Kind {
    let gets =
        |alarm: &Alarm| alarm.action.is_none() || is(alarm.action, r#""GET""#) || is(alarm.action, "0");
    if read(body).as_ref().is_some_and(gets) { Kind::LinearizableRead } else { Kind::Write }
}

/// A serializable `RangeRequest`, made linearizable.
pub(crate) fn linearizable(body: &[u8]) -> Option<Vec<u8>> {
    let flag = range(body)?.serializable.map(RawValue::get).filter(|flag| *flag == TRUE)?;
    let at = flag.as_ptr().addr() - body.as_ptr().addr();
    Some([&body[..at], b"false", &body[at + flag.len()..]].concat())
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct Txn {
    failure: Branch,
    success: Branch,
}

/// The strictest kind of its operations.
struct Branch(Kind);

impl Default for Branch {
    fn default() -> Self {
        Self(Kind::SerializableRead)
    }
}

/// That is a range; whatever else it may be makes the transaction unreadable.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Operation<'a> {
    #[serde(borrow, alias = "requestRange")]
    request_range: Range<'a>,
}

impl<'de> Deserialize<'de> for Branch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Operations)
    }
}

struct Operations;

impl<'de> Visitor<'de> for Operations {
    type Value = Branch;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a list of ranges")
    }

    fn visit_unit<E>(self) -> Result<Branch, E> {
        Ok(Branch::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut operations: A) -> Result<Branch, A::Error> {
        let Branch(mut kind) = Branch::default();
        while let Some(Operation { request_range }) = operations.next_element()? {
            kind = kind.min(request_range.kind());
        }
        Ok(Branch(kind))
    }
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct Alarm<'a> {
    #[serde(borrow)]
    action: Option<&'a RawValue>,
}

/// Whether a field is written like this.
fn is(value: Option<&RawValue>, text: &str) -> bool {
    value.is_some_and(|value| value.get() == text)
}

/// No body is an empty message.
fn read<'a, T: Deserialize<'a> + Default>(body: &'a [u8]) -> Option<T> {
    match body.trim_ascii_start() {
        [] if body.is_empty() => Some(T::default()),
        [b'{', ..] => serde_json::from_slice(body).ok(),
        [..] => None,
    }
}

const TRUE: &str = "true";

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
            (r#"{"x": [1, {"serializable": true}], "serializable": null}"#, Kind::LinearizableRead),
            (r#"{"serializ\u0061ble": true}"#, Kind::SerializableRead),
            ("", Kind::LinearizableRead),
        ] {
            assert_eq!(range(json.as_bytes()).map(|range| range.kind()), Some(kind), "{json}");
        }
        for json in [
            r#"{"serializable": true"#,
            r#"{"serializable": true} {}"#,
            r#"{"serializable": true, "serializable": true}"#,
            r#"{"range_end": "YQ==", "rangeEnd": "YQ=="}"#,
            "[]",
            "[true]",
            "null",
            " ",
            "{",
        ] {
            assert!(range(json.as_bytes()).is_none(), "{json}");
        }
    }

    #[test]
    fn a_serializable_range_becomes_linearizable_and_keeps_the_rest() {
        let made = linearizable(br#"{"key": "YQ==", "serializable": true, "revision": 9223372036854775807}"#);
        let expected = br#"{"key": "YQ==", "serializable": false, "revision": 9223372036854775807}"#;
        assert_eq!(made.unwrap(), expected);
        for json in ["{}", r#"{"serializable": false}"#, ""] {
            assert_eq!(linearizable(json.as_bytes()), None, "{json}");
        }
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
            (format!(r#"{{"success": [{old}], "success": [{old}]}}"#), Kind::Write),
            (r#"{"success": [{"requestRange": {}, "request_range": {}}]}"#.to_owned(), Kind::Write),
            (r#"{"success": [null]}"#.to_owned(), Kind::Write),
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
            assert_eq!(range(json.as_bytes()).map(|range| range.is_long()), Some(long), "{json}");
        }
    }
}
