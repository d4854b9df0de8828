//! What a TLS listener presents.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::version::{TLS12, TLS13};

use super::{Identity, TlsError, pem, provider};

/// A server that offers HTTP/2 and HTTP/1.1 and asks for no client certificate.
pub fn config(identity: &Identity) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_single_cert(pem::certificates(&identity.cert)?, pem::key(&identity.key)?)
        .map_err(|source| TlsError::Pair {
            cert: identity.cert.clone(),
            key: identity.key.clone(),
            source,
        })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
