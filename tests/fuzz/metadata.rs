//! Single values of headers.

use http::{HeaderMap, HeaderValue};

use super::engine::Target;
use crate::types::call::grpc_timeout;
use crate::types::status::percent_decode;

#[test]
fn values_of_headers_are_read_or_left() {
    let target = Target { name: "metadata", words: &[b"99999999H", b"%E2%9C%93", b"%"] };
    target.run(|input| {
        let text = percent_decode(input);
        assert!(text.len() <= 3 * input.len());
        let timeout = HeaderValue::from_bytes(input).ok().and_then(|value| {
            let headers: HeaderMap =
                [(http::HeaderName::from_static("grpc-timeout"), value)].into_iter().collect();
            grpc_timeout(&headers)
        });
        (text.len(), timeout.map(|timeout| timeout.as_nanos().checked_ilog10()))
    });
}
