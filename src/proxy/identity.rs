//! Whose call it is: nobody's becomes etcdlet's own.
//!
//! etcd takes the Common Name of a connection's certificate for the user of every call on it
//! that carries no token (`server/etcdserver/v3_server.go`, `AuthInfoFromCtx`). Behind a proxy
//! that would be the proxy's name for every client. A token that no member knows switches this
//! off, and is not even looked at while auth is disabled.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::types::status::{Code, GRPC_MESSAGE, INVALID_AUTH_TOKEN, Status, USER_NAME_IS_EMPTY, grpc_status};

static TOKEN: HeaderName = HeaderName::from_static("token");

/// Gives a call without a token one that is nobody's, where etcd would else take our
/// certificate's name for its user. Returns whether it did.
pub(super) fn conceal(metadata: &mut HeaderMap, presents_common_name: bool) -> bool {
    if !presents_common_name
        || metadata.contains_key(&TOKEN)
        || metadata.contains_key(http::header::AUTHORIZATION)
    {
        return false;
    }
    metadata.insert(&TOKEN, HeaderValue::from_static("etcdlet.no-token"));
    true
}

/// What etcd says to a call without a token, in place of what it says to a token that is
/// nobody's. Applies to the trailers of a call for which [`conceal`] returned true.
pub(super) fn reveal(trailers: &mut HeaderMap) {
    let is_ours = grpc_status(trailers) == Some(Code::Unauthenticated)
        && trailers.get(&GRPC_MESSAGE).is_some_and(|message| message == INVALID_AUTH_TOKEN);
    if is_ours {
        Status::new(Code::InvalidArgument, USER_NAME_IS_EMPTY).write(trailers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_call_without_token_is_given_one() {
        let mut metadata = HeaderMap::new();
        assert!(!conceal(&mut metadata, false));
        assert!(metadata.is_empty());
        assert!(conceal(&mut metadata, true));
        assert!(metadata.contains_key("token"));
        for name in ["token", "authorization"] {
            let mut metadata = HeaderMap::new();
            metadata.insert(name, HeaderValue::from_static("theirs"));
            assert!(!conceal(&mut metadata, true));
            assert_eq!(metadata[name], "theirs");
            assert_eq!(metadata.len(), 1);
        }
    }

    #[test]
    fn the_answer_is_the_one_to_a_call_without_token() {
        let mut trailers = HeaderMap::new();
        Status::new(Code::Unauthenticated, INVALID_AUTH_TOKEN).write(&mut trailers);
        reveal(&mut trailers);
        assert_eq!(grpc_status(&trailers), Some(Code::InvalidArgument));
        assert_eq!(trailers["grpc-message"], USER_NAME_IS_EMPTY);

        let mut other = HeaderMap::new();
        Status::new(Code::PermissionDenied, "etcdserver: permission denied").write(&mut other);
        let before = other.clone();
        reveal(&mut other);
        assert_eq!(other, before);
    }
}
