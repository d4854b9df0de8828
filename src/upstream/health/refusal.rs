//! What a member's refusal of a probe says.

use http::{HeaderMap, HeaderValue};

use crate::types::status::{Code, GRPC_MESSAGE, Status, grpc_status, percent_decode};

pub(super) fn refusal(headers: &HeaderMap) -> Option<Status> {
    let code = grpc_status(headers).filter(|code| *code != Code::Ok)?;
    let text = percent_decode(headers.get(&GRPC_MESSAGE).map_or(b"", HeaderValue::as_bytes));
    Some(Status::new(code, text))
}

/// Whether the member would answer somebody with a new token.
pub(super) fn wants_token(status: &Status) -> bool {
    let texts = [
        "etcdserver: user name is empty",
        "etcdserver: invalid auth token",
        "etcdserver: revision of auth store is old",
    ];
    texts.contains(&status.message.as_ref())
}

/// Whether it says nothing of who asked.
pub(super) fn is_momentary(status: &Status) -> bool {
    matches!(
        status.code,
        Code::Canceled | Code::DeadlineExceeded | Code::ResourceExhausted | Code::Unavailable
    )
}

/// Whether the member would answer somebody else.
pub(super) fn is_about_permission(status: &Status) -> bool {
    wants_token(status)
        || status.message == "etcdserver: permission denied"
        || matches!(status.code, Code::PermissionDenied | Code::Unauthenticated)
}
