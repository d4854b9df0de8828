//! Whose call it is: nobody's becomes etcdlet's own.
//!
//! etcd takes the Common Name of a connection's certificate for the user of every call on it
//! that carries no token. Behind a proxy that would be the proxy's name for every client. etcd
//! has the same problem with its own JSON gateway, and ignores the name for calls that carry
//! the gateway's header (`server/auth/store.go`, `AuthInfoFromTLS`); a token counts as before.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::admit::TOO_MANY_HEADERS;
use crate::types::status::Status;

static GATEWAY: HeaderName = HeaderName::from_static("grpcgateway-accept");

/// Keeps etcd from taking our certificate's name for the user of a call.
pub(super) fn disown(metadata: &mut HeaderMap) -> Result<(), Status> {
    let disowned = metadata.try_insert(&GATEWAY, HeaderValue::from_static("*/*"));
    disowned.map(|_| ()).map_err(|_full| TOO_MANY_HEADERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_marked_and_keeps_its_token() {
        let mut metadata = HeaderMap::new();
        metadata.insert("token", HeaderValue::from_static("theirs"));
        assert_eq!(disown(&mut metadata), Ok(()));
        assert!(metadata.contains_key(&GATEWAY));
        assert_eq!(metadata["token"], "theirs");
    }
}
