//! What an error of the JSON gateway says.

use serde_json::Value;

use crate::types::status::Code;

/// Code and text, as far as there are any. A text about the request's form is left out: it may quote the
/// request, and so a value.
pub(super) fn read(body: &[u8]) -> (Option<Code>, Option<String>) {
    let Ok(json) = serde_json::from_slice::<Value>(body) else { return (None, None) };
    let code = json["code"].as_u64().and_then(|code| u8::try_from(code).ok()).map(Code::from_number);
    // Up to etcd 3.4 it is called so.
    let text = json["message"].as_str().or_else(|| json["error"].as_str());
    let is_known = |text: &&str| ["etcdserver: ", "etcdlet: "].iter().any(|from| text.starts_with(from));
    (code, text.filter(is_known).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_only_where_it_can_not_quote_the_request() {
        let text = "etcdserver: permission denied".to_owned();
        let expected = (Some(Code::PermissionDenied), Some(text));
        for body in [
            r#"{"error":"etcdserver: permission denied","code":7}"#,
            r#"{"code":7,"message":"etcdserver: permission denied","details":[]}"#,
        ] {
            assert_eq!(read(body.as_bytes()), expected, "{body}");
        }
        let quoting =
            r#"{"code":3,"message":"proto: (line 1:20): invalid value for bytes type: \"secret\""}"#;
        assert_eq!(read(quoting.as_bytes()), (Some(Code::InvalidArgument), None));
        for body in ["404 page not found\n", "[]", ""] {
            assert_eq!(read(body.as_bytes()), (None, None), "{body}");
        }
    }
}
