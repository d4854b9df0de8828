//! The value of a registered key, as etcd's `client/v3/naming/endpoints` writes it.

use serde_json::Value;

/// What is known of a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub url: String,
    pub name: String,
}

impl Record {
    /// With the fields in etcd's order.
    pub fn to_json(&self) -> String {
        let name = Value::from(self.name.as_str());
        let (url, metadata) = (Value::from(self.url.as_str()), Value::from(format!("{{\"name\":{name}}}")));
        format!("{{\"Op\":0,\"Addr\":{url},\"Metadata\":{metadata}}}")
    }

    /// `None` for what names no address, or is too long to be kept ten thousand times. One whose name can't be read is there all the same.
    pub fn from_json(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > RECORD_MAX {
            return None;
        }
        let value: Value = serde_json::from_slice(bytes).ok()?;
        let url = value.get("Addr")?.as_str().filter(|url| !url.is_empty())?.to_owned();
        let metadata = value.get("Metadata").and_then(Value::as_str).unwrap_or_default();
        let metadata: Option<Value> = serde_json::from_str(metadata).ok();
        let name = metadata.and_then(|metadata| Some(metadata.get("name")?.as_str()?.to_owned()));
        Some(Self { url, name: name.unwrap_or_default() })
    }
}

/// An address and the name of a host take a tenth.
const RECORD_MAX: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_written_as_etcd_writes_it() {
        let record = Record { url: "127.0.0.1:23790".into(), name: "node \"a\"".into() };
        assert_eq!(
            record.to_json(),
            r#"{"Op":0,"Addr":"127.0.0.1:23790","Metadata":"{\"name\":\"node \\\"a\\\"\"}"}"#
        );
        assert_eq!(Record::from_json(record.to_json().as_bytes()), Some(record));
    }

    #[test]
    fn what_names_no_address_is_no_record() {
        for value in [&b""[..], b"{}", b"[]", b"\xff", br#"{"Addr":""}"#, br#"{"Addr":7}"#] {
            assert_eq!(Record::from_json(value), None);
        }
        let long = Record { url: "h:1".into(), name: "n".repeat(RECORD_MAX) };
        assert_eq!(Record::from_json(long.to_json().as_bytes()), None);
        for metadata in ["null", "7", r#""text""#, r#""{}""#, r#"{"name":"a"}"#] {
            let value = format!("{{\"Op\":0,\"Addr\":\"h:1\",\"Metadata\":{metadata}}}");
            let record = Record { url: "h:1".into(), name: String::new() };
            assert_eq!(Record::from_json(value.as_bytes()), Some(record), "{value}");
        }
    }
}
