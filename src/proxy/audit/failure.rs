//! What an error says, without what it may quote of the request.

use serde_json::Value;

use crate::types::status::Code;

/// Of the JSON gateway. Code and text, as far as there are any. A text about the request's form is left out: it may quote the
/// request, and so a value.
pub(super) fn read(body: &[u8]) -> (Option<Code>, Option<String>) {
    let Ok(json) = serde_json::from_slice::<Value>(body) else { return (None, None) };
    let code = json["code"].as_u64().and_then(|code| u8::try_from(code).ok()).map(Code::from_number);
    // Up to etcd 3.4 it is called so.
    let text = json["message"].as_str().or_else(|| json["error"].as_str());
    (code, text.filter(|text| quotes_nothing(text)).map(str::to_owned))
}

/// An error in gRPC, which may quote a header where gRPC's library makes it.
pub(super) fn without_quote(mut text: String) -> String {
    if !quotes_nothing(&text)
        && let Some(quote) = text.find('"')
    {
        text.truncate(quote);
    }
    text
}

fn quotes_nothing(text: &str) -> bool {
    ["etcdserver: ", "etcdlet: "].iter().any(|from| text.starts_with(from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_in_grpc_is_told_up_to_its_first_quote() {
        for (text, expected) in [
            (r#"malformed binary metadata "secret" in header "x-bin""#, "malformed binary metadata "),
            ("transport is closing", "transport is closing"),
            (r#"etcdserver: "a" is no member"#, r#"etcdserver: "a" is no member"#),
        ] {
            assert_eq!(without_quote(text.to_owned()), expected);
        }
    }

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
