//! What a TLS listener presents, and whom it asks for.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::version::{TLS12, TLS13};

use super::{Identity, TlsError, pem, provider};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub identity: Identity,
}

/// A server whose files can be read again while it is in use. Cheap to clone.
#[derive(Clone)]
pub struct Server {
    config: Arc<Config>,
    current: Arc<ArcSwap<ServerConfig>>,
}

impl Server {
    /// Reads the files.
    pub fn try_new(config: &Config) -> Result<Self, TlsError> {
        let current = Arc::new(ArcSwap::from_pointee(read(config)?));
        Ok(Self { config: Arc::new(config.clone()), current })
    }

    /// For the next connection.
    pub fn current(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }

    /// Reads the files again. What is wrong with them leaves everything as it was.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.current.store(Arc::new(read(&self.config)?));
        Ok(())
    }
}

/// A server that offers HTTP/2 and HTTP/1.1 and asks for no client certificate.
fn read(Config { identity }: &Config) -> Result<ServerConfig, TlsError> {
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
    Ok(config)
}
