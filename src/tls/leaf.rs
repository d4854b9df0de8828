//! What a certificate says of itself.

use std::path::Path;

use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::TlsError;

/// The first Common Name of the subject, unless it is empty.
pub fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let name = certificate.subject().iter_common_name().next()?.as_str().ok()?;
    Some(name.to_owned()).filter(|name| !name.is_empty())
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
