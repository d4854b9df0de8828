//! What a connection to the cluster presents and trusts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::unverified::Unverified;
use super::{Identity, TlsError, pem, provider};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// CA bundle; without one the system's store is trusted.
    pub cacert: Option<PathBuf>,
    pub identity: Option<Identity>,
    /// Name to expect in the server's certificate instead of the endpoint's host.
    pub server_name: Option<String>,
    /// Whoever answers is believed to be the server.
    pub skip_verify: bool,
}

/// Ready for connections: one per HTTP version, because ALPN decides.
#[derive(Clone)]
pub struct Client {
    pub h2: Arc<ClientConfig>,
    pub h1: Arc<ClientConfig>,
    pub server_name: Option<String>,
    /// The Common Name of the client certificate. etcd takes it for the user of every call
    /// that carries no token.
    pub common_name: Option<String>,
}

impl Client {
    pub fn try_new(config: &Config) -> Result<Self, TlsError> {
        let verifier = verifier(config)?;
        let build = |protocol: &[u8]| -> Result<Arc<ClientConfig>, TlsError> {
            let builder = ClientConfig::builder_with_provider(provider())
                .with_protocol_versions(&[&TLS13, &TLS12])?
                .dangerous()
                .with_custom_certificate_verifier(verifier.clone());
            let mut client = match &config.identity {
                None => builder.with_no_client_auth(),
                Some(Identity { cert, key }) => builder
                    .with_client_auth_cert(pem::certificates(cert)?, pem::key(key)?)
                    .map_err(|source| TlsError::Pair { cert: cert.clone(), key: key.clone(), source })?,
            };
            client.alpn_protocols = vec![protocol.to_vec()];
            Ok(Arc::new(client))
        };
        Ok(Self {
            h2: build(b"h2")?,
            h1: build(b"http/1.1")?,
            server_name: config.server_name.clone(),
            common_name: config.identity.as_ref().map(|id| common_name(&id.cert)).transpose()?.flatten(),
        })
    }
}

fn verifier(config: &Config) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    if config.skip_verify {
        tracing::warn!(
            "this process skips authentication of etcd server TLS certificates (insecure-skip-tls-verify)"
        );
        return Ok(Arc::new(Unverified(provider())));
    }
    let roots = Arc::new(roots(config.cacert.as_deref())?);
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider()).build();
    Ok(verifier.expect("there is a root, and no revocation list"))
}

fn roots(cacert: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    match cacert {
        Some(path) => {
            for certificate in pem::certificates(path)? {
                roots.add(certificate).map_err(|error| TlsError::Certificate {
                    path: path.to_owned(),
                    detail: error.to_string(),
                })?;
            }
        }
        None => {
            let (added, _ignored) =
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if added == 0 {
                return Err(TlsError::NoSystemRoots);
            }
        }
    }
    Ok(roots)
}

fn common_name(path: &Path) -> Result<Option<String>, TlsError> {
    let chain = pem::certificates(path)?;
    let (_, leaf) = X509Certificate::from_der(&chain[0])
        .map_err(|error| TlsError::Certificate { path: path.to_owned(), detail: error.to_string() })?;
    let name = leaf.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    Ok(name.filter(|name| !name.is_empty()).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_pair(dir: &Path, common_name: Option<&str>) -> Identity {
        let mut params = rcgen::CertificateParams::new(vec!["node".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(name) = common_name {
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
        }
        let key = rcgen::KeyPair::generate().unwrap();
        let identity = Identity { cert: dir.join("cert.pem"), key: dir.join("key.pem") };
        std::fs::write(&identity.cert, params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(&identity.key, key.serialize_pem()).unwrap();
        identity
    }

    #[test]
    fn the_common_name_of_the_client_certificate_is_found() {
        let dir = tempfile::tempdir().unwrap();
        for name in [Some("root"), None] {
            let identity = write_pair(dir.path(), name);
            let config =
                Config { cacert: Some(identity.cert.clone()), identity: Some(identity), ..Config::default() };
            assert_eq!(Client::try_new(&config).unwrap().common_name.as_deref(), name);
        }
    }

    #[test]
    fn an_error_names_the_file() {
        let missing = Config { cacert: Some("/nowhere/ca.pem".into()), ..Config::default() };
        let error = Client::try_new(&missing).err().unwrap().to_string();
        assert!(error.starts_with("/nowhere/ca.pem: "), "{error}");

        let dir = tempfile::tempdir().unwrap();
        let empty = dir.path().join("empty.pem");
        std::fs::write(&empty, "").unwrap();
        let config = Config { cacert: Some(empty.clone()), ..Config::default() };
        let error = Client::try_new(&config).err().unwrap().to_string();
        assert_eq!(error, format!("{}: no certificate in it", empty.display()));
    }
}
