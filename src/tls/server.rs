//! What a TLS listener presents, and whom it asks for.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{
    NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier, danger::ClientCertVerifier,
};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::files::Files;
use super::policy::Policy;
use super::self_signed::SelfSigned;
use super::{Identity, TlsError, pair, pem};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub certificate: Certificate,
    pub clients: Clients,
    pub policy: Policy,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Certificate {
    Files(Identity),
    /// Made here, kept in memory only, and made again before it ends.
    SelfSigned {
        hosts: Vec<String>,
        validity: Duration,
    },
}

/// Whose certificates are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clients {
    /// Nobody's.
    Any,
    /// Those that a CA has signed.
    Trusted {
        ca: PathBuf,
        /// Certificates that count no longer.
        revoked: Option<PathBuf>,
        /// Whether a client without one is refused.
        required: bool,
    },
}

/// A server whose files can be read again while it is in use. Cheap to clone.
#[derive(Clone)]
pub struct Server {
    config: Arc<Config>,
    current: Arc<ArcSwap<Made>>,
}

/// What the files gave.
struct Made {
    files: Files,
    own: Own,
    server: Arc<ServerConfig>,
}

/// The certificate that is shown.
#[derive(Clone)]
enum Own {
    /// With the end of its time, in seconds since 1970.
    Read(Arc<CertifiedKey>, i64),
    SelfSigned(SelfSigned),
}

impl Server {
    /// Reads the files.
    pub fn try_new(config: &Config) -> Result<Self, TlsError> {
        let files = Files::read(&config.files())?;
        let made = Made::try_new(config, files, None, SystemTime::now())?;
        Ok(Self { config: Arc::new(config.clone()), current: Arc::new(ArcSwap::from_pointee(made)) })
    }

    /// For the next connection.
    pub fn current(&self) -> Arc<ServerConfig> {
        self.current_at(SystemTime::now())
    }

    pub(super) fn current_at(&self, now: SystemTime) -> Arc<ServerConfig> {
        let current = self.current.load();
        if !matches!(&current.own, Own::SelfSigned(own) if now >= own.renew_at) {
            return current.server.clone();
        }
        match Made::try_new(&self.config, current.files.clone(), None, now) {
            Ok(made) => {
                let server = made.server.clone();
                self.current.store(Arc::new(made));
                server
            }
            Err(error) => {
                tracing::error!(%error, "the self-signed certificate cannot be renewed");
                current.server.clone()
            }
        }
    }

    /// Reads the files again, and says whether there was anything new in them. What is wrong with
    /// them leaves everything as it was. Connections that are open stay as they are.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let files = Files::read(&self.config.files())?;
        let current = self.current.load();
        if files == current.files {
            return Ok(false);
        }
        let made = Made::try_new(&self.config, files, Some(&current.own), SystemTime::now())?;
        self.current.store(Arc::new(made));
        Ok(true)
    }

    /// The files that `reload` reads.
    pub fn files(&self) -> Vec<PathBuf> {
        self.config.files()
    }

    /// The file of the certificate and the end of its time in seconds since 1970, if it is in one.
    pub fn expiry(&self) -> Option<(PathBuf, i64)> {
        match (&self.config.certificate, &self.current.load().own) {
            (Certificate::Files(identity), Own::Read(_, expiry)) => Some((identity.cert.clone(), *expiry)),
            _ => None,
        }
    }
}

impl Config {
    fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        if let Certificate::Files(Identity { cert, key }) = &self.certificate {
            files.extend([cert.clone(), key.clone()]);
        }
        if let Clients::Trusted { ca, revoked, .. } = &self.clients {
            files.push(ca.clone());
            files.extend(revoked.clone());
        }
        files
    }
}

impl Made {
    /// `before` is what was shown until now.
    fn try_new(
        config: &Config,
        files: Files,
        before: Option<&Own>,
        now: SystemTime,
    ) -> Result<Self, TlsError> {
        let provider = config.policy.provider();
        let own = match (&config.certificate, before) {
            (Certificate::Files(identity), _) => {
                let (key, expiry) = pair::read(&files, identity, &provider)?;
                Own::Read(Arc::new(key), expiry)
            }
            (Certificate::SelfSigned { .. }, Some(Own::SelfSigned(own))) => Own::SelfSigned(own.clone()),
            (Certificate::SelfSigned { hosts, validity }, _) => {
                Own::SelfSigned(SelfSigned::make(hosts, *validity, now, &provider)?)
            }
        };
        let (Own::Read(key, _) | Own::SelfSigned(SelfSigned { key, .. })) = &own;
        let verifier = verifier(&config.clients, &files, &provider)?;
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&config.policy.versions())?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(key.clone())));
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        if config.clients != Clients::Any {
            // A session that is resumed is not verified again: its certificate's time may be up.
            server.session_storage = Arc::new(NoServerSessionStorage {});
            server.send_tls13_tickets = 0;
        }
        Ok(Self { files, own, server: Arc::new(server) })
    }
}

/// Asks as etcd does (`client/pkg/transport/listener.go`), with two differences: a certificate may
/// be optional, and a revocation list concerns only what its issuer has signed, not every
/// certificate with such a serial number. As in etcd every certificate of a client's chain is
/// looked up, one that no list is about counts, and so does a list whose time is up.
fn verifier(
    clients: &Clients,
    files: &Files,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let Clients::Trusted { ca, revoked, required } = clients else {
        return Ok(WebPkiClientVerifier::no_client_auth());
    };
    let roots = Arc::new(pem::roots(files, ca)?);
    let mut builder = WebPkiClientVerifier::builder_with_provider(roots, provider.clone())
        .allow_unknown_revocation_status();
    if let Some(path) = revoked {
        builder = builder.with_crls(pem::revocation_lists(files, path)?);
    }
    if !required {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map_err(|error| match (error, revoked) {
        (VerifierBuilderError::InvalidCrl(error), Some(path)) => {
            TlsError::RevocationList { path: path.clone(), detail: format!("{error:?}") }
        }
        (error, _) => TlsError::Certificate { path: ca.clone(), detail: error.to_string() },
    })
}
