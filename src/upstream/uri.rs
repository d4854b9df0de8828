//! Completing a request's URI for the endpoint that it goes to.

use http::header::HOST;
use http::request::Parts;
use http::uri::{self, Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Uri, Version};

use super::http1::strip;
use crate::net::address::Address;

/// Its scheme, and its authority where the client gave none.
pub(super) fn aim(uri: &mut Uri, address: &Address) -> Result<(), http::Error> {
    let scheme = if address.tls { Scheme::HTTPS } else { Scheme::HTTP };
    if uri.scheme() == Some(&scheme) && uri.authority().is_some() {
        return Ok(());
    }
    let mut parts = std::mem::take(uri).into_parts();
    if parts.authority.is_none() {
        parts.authority = Some(Authority::try_from(address.authority())?);
    }
    *uri = Uri::from_parts(parts_with_scheme(parts, scheme))?;
    Ok(())
}

/// The same for HTTP/1.1. The URI names the endpoint, because hyper keeps connections by it and
/// clients may name any host; what they named stays in `Host`.
pub(super) fn aim_h1(head: &mut Parts, address: &Address) -> Result<(), http::Error> {
    strip(&mut head.headers);
    let scheme = if address.tls { Scheme::HTTPS } else { Scheme::HTTP };
    let own = Authority::try_from(address.authority())?;
    let mut parts = std::mem::take(&mut head.uri).into_parts();
    let named = parts.authority.replace(own.clone()).unwrap_or(own);
    if !head.headers.contains_key(HOST) {
        head.headers.try_insert(HOST, HeaderValue::from_str(named.as_str())?)?;
    }
    head.uri = Uri::from_parts(parts_with_scheme(parts, scheme))?;
    head.version = Version::HTTP_11;
    Ok(())
}

fn parts_with_scheme(mut parts: uri::Parts, scheme: Scheme) -> uri::Parts {
    parts.scheme = Some(scheme);
    parts.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
    parts
}
