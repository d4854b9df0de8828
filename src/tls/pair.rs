//! A certificate with its key.

use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;

use super::files::Files;
use super::{Identity, TlsError, leaf, pem};

/// With the end of its time in seconds since 1970: that of the first one of its chain to end.
pub(super) fn read(
    files: &Files,
    Identity { cert, key }: &Identity,
    provider: &CryptoProvider,
) -> Result<(CertifiedKey, i64), TlsError> {
    let chain = pem::certificates(files, cert)?;
    let expiry = leaf::expiry(&chain, cert)?;
    let pair = CertifiedKey::from_der(chain, pem::key(files, key)?, provider)
        .map_err(|source| TlsError::Pair { cert: cert.clone(), key: key.clone(), source })?;
    Ok((pair, expiry))
}
