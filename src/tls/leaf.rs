//! What a certificate says of itself.

use std::path::Path;

use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::TlsError;

/// The Common Name of the subject, unless it is empty: of several the last one counts, as to etcd (Go's
/// `pkix.Name`). One in an encoding that is not read here is a name all the same.
pub fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let attribute = certificate.subject().iter_common_name().last()?;
    let name = attribute.as_str().map(str::to_owned);
    let name = name.unwrap_or_else(|_| String::from_utf8_lossy(attribute.as_slice()).into_owned());
    Some(name).filter(|name| !name.is_empty())
}

/// When the first certificate of a chain ends, in seconds since 1970. `path` is for the error.
pub(super) fn expiry(chain: &[CertificateDer<'_>], path: &Path) -> Result<i64, TlsError> {
    let mut expiry = i64::MAX;
    for certificate in chain {
        let (_, certificate) = X509Certificate::from_der(certificate)
            .map_err(|error| TlsError::Certificate { path: path.to_owned(), detail: error.to_string() })?;
        expiry = expiry.min(certificate.validity().not_after.timestamp());
    }
    Ok(expiry)
}
