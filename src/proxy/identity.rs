//! Whose call it is: nobody's becomes etcdlet's own.
//!
//! etcd takes the Common Name of a connection's certificate for the user of every call on it
//! that carries no token (`server/etcdserver/v3_server.go`, `AuthInfoFromCtx`). Behind a proxy
//! that would be the proxy's name for every client. A token that no member knows switches this
//! off, and is not even looked at while auth is disabled.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::admit;
use crate::types::status::{Code, GRPC_MESSAGE, Status, grpc_status};

const INVALID_AUTH_TOKEN: &str = "invalid auth token";
const USER_NAME_IS_EMPTY: &str = "user name is empty";

static TOKEN: HeaderName = HeaderName::from_static("token");

/// Gives a call without a token one that is nobody's, where etcd would else take our
/// certificate's name for its user. Returns whether it did, or that there is no room for it.
pub(super) fn conceal(metadata: &mut HeaderMap, presents_common_name: bool) -> Result<bool, Status> {
    if !presents_common_name
        || metadata.contains_key(&TOKEN)
        || metadata.contains_key(http::header::AUTHORIZATION)
    {
        return Ok(false);
    }
    let concealed = metadata.try_insert(&TOKEN, HeaderValue::from_static("etcdlet.no-token"));
    concealed.map(|_| true).map_err(|_full| admit::TOO_MANY_HEADERS)
}

/// What etcd says to a call without a token, in place of what it says to a token that is
/// nobody's. Applies to the trailers of a call for which [`conceal`] returned true.
pub(super) fn reveal(trailers: &mut HeaderMap) {
    let Some(message) = trailers.get(&GRPC_MESSAGE).and_then(|message| message.to_str().ok()) else { return };
    // Some services have another prefix, and send it as Unknown.
    let Some(prefix) = message.strip_suffix(INVALID_AUTH_TOKEN) else { return };
    let code = match grpc_status(trailers) {
        None | Some(Code::Ok) => return,
        Some(Code::Unauthenticated) => Code::InvalidArgument,
        Some(other) => other,
    };
    Status::new(code, format!("{prefix}{USER_NAME_IS_EMPTY}")).write(trailers);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_call_without_token_is_given_one() {
        let mut metadata = HeaderMap::new();
        assert_eq!(conceal(&mut metadata, false), Ok(false));
        assert!(metadata.is_empty());
        assert_eq!(conceal(&mut metadata, true), Ok(true));
        assert!(metadata.contains_key("token"));
        for name in ["token", "authorization"] {
            let mut metadata = HeaderMap::new();
            metadata.insert(name, HeaderValue::from_static("theirs"));
            assert_eq!(conceal(&mut metadata, true), Ok(false));
            assert_eq!(metadata[name], "theirs");
            assert_eq!(metadata.len(), 1);
        }
    }

    #[test]
    fn the_answer_is_the_one_to_a_call_without_token() {
        let mut trailers = HeaderMap::new();
        Status::new(Code::Unauthenticated, "etcdserver: invalid auth token").write(&mut trailers);
        reveal(&mut trailers);
        assert_eq!(grpc_status(&trailers), Some(Code::InvalidArgument));
        assert_eq!(trailers["grpc-message"], "etcdserver: user name is empty");

        Status::new(Code::Unknown, "auth: invalid auth token").write(&mut trailers);
        reveal(&mut trailers);
        assert_eq!(grpc_status(&trailers), Some(Code::Unknown));
        assert_eq!(trailers["grpc-message"], "auth: user name is empty");

        let mut other = HeaderMap::new();
        Status::new(Code::PermissionDenied, "etcdserver: permission denied").write(&mut other);
        let before = other.clone();
        reveal(&mut other);
        assert_eq!(other, before);
    }
}
