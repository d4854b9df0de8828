//! What a connection to the cluster presents and trusts.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::ResolvesClientCert;
use rustls::sign::SingleCertAndKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};

use super::files::Files;
use super::unverified::Unverified;
use super::{Identity, TlsError, leaf, pair, pem, provider};

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

/// What connections are made with; its files can be read again while it is in use. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    config: Arc<Config>,
    current: Arc<ArcSwap<Made>>,
    presents_common_name: bool,
}

/// Ready for connections: one per HTTP version, because ALPN decides.
#[derive(Clone)]
pub struct Ready {
    pub h2: Arc<ClientConfig>,
    pub h1: Arc<ClientConfig>,
}

/// What the files gave.
struct Made {
    files: Files,
    /// The end of the certificate's time, in seconds since 1970.
    expiry: Option<i64>,
    /// etcd takes it for the user of every call that carries no token.
    common_name: Option<String>,
    ready: Ready,
}

impl Client {
    /// Reads the files.
    pub fn try_new(config: &Config) -> Result<Self, TlsError> {
        let made = Made::try_new(config, Files::read(&config.files())?)?;
        Ok(Self {
            config: Arc::new(config.clone()),
            presents_common_name: made.common_name.is_some(),
            current: Arc::new(ArcSwap::from_pointee(made)),
        })
    }

    /// For the next connection.
    pub fn current(&self) -> Ready {
        self.current.load().ready.clone()
    }

    /// Whether the certificate has a Common Name, or had one when connections were made that may
    /// still be open. It never has one when this is false.
    pub fn presents_common_name(&self) -> bool {
        self.presents_common_name
    }

    pub fn server_name(&self) -> Option<&String> {
        self.config.server_name.as_ref()
    }

    /// Reads the files again, and says whether there was anything new in them. What is wrong with
    /// them leaves everything as it was. Connections that are open stay as they are.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let files = Files::read(&self.config.files())?;
        if files == self.current.load().files {
            return Ok(false);
        }
        let made = Made::try_new(&self.config, files)?;
        // Watches are opened again with the metadata that they once had. Those that came before could
        // become this user's.
        if let (false, Some(name), Some(identity)) =
            (self.presents_common_name, &made.common_name, &self.config.identity)
        {
            return Err(TlsError::NewCommonName { path: identity.cert.clone(), name: name.clone() });
        }
        self.current.store(Arc::new(made));
        Ok(true)
    }

    /// The files that `reload` reads. The system's store is read with them, not by itself.
    pub fn files(&self) -> Vec<PathBuf> {
        self.config.files()
    }

    /// The file of the certificate and the end of its time in seconds since 1970.
    pub fn expiry(&self) -> Option<(PathBuf, i64)> {
        let identity = self.config.identity.as_ref()?;
        Some((identity.cert.clone(), self.current.load().expiry?))
    }
}

impl Config {
    fn files(&self) -> Vec<PathBuf> {
        let identity = self.identity.iter().flat_map(|Identity { cert, key }| [cert.clone(), key.clone()]);
        self.cacert.iter().cloned().chain(identity).collect()
    }
}

impl Made {
    fn try_new(config: &Config, files: Files) -> Result<Self, TlsError> {
        let provider = provider();
        let roots = roots(config, &files)?.map(Arc::new);
        let read = config.identity.as_ref().map(|identity| pair::read(&files, identity, &provider));
        let (pair, expiry) = read.transpose()?.unzip();
        let common_name = pair.as_ref().and_then(|pair| leaf::common_name(&pair.cert[0]));
        let pair = pair.map(|pair| Arc::new(SingleCertAndKey::from(pair)) as Arc<dyn ResolvesClientCert>);
        let build = |protocol: &[u8]| -> Result<Arc<ClientConfig>, TlsError> {
            let builder = ClientConfig::builder_with_provider(provider.clone())
                .with_protocol_versions(&[&TLS13, &TLS12])?;
            let builder = match &roots {
                Some(roots) => builder.with_root_certificates(roots.clone()),
                None => {
                    let unverified = Arc::new(Unverified(provider.clone()));
                    builder.dangerous().with_custom_certificate_verifier(unverified)
                }
            };
            let mut client = match &pair {
                None => builder.with_no_client_auth(),
                Some(pair) => builder.with_client_cert_resolver(pair.clone()),
            };
            client.alpn_protocols = vec![protocol.to_vec()];
            Ok(Arc::new(client))
        };
        let ready = Ready { h2: build(b"h2")?, h1: build(b"http/1.1")? };
        Ok(Self { files, expiry, common_name, ready })
    }
}

/// `None`: nothing is verified.
fn roots(config: &Config, files: &Files) -> Result<Option<RootCertStore>, TlsError> {
    match &config.cacert {
        _ if config.skip_verify => Ok(None),
        Some(path) => pem::roots(files, path).map(Some),
        None => system_roots().map(Some),
    }
}

fn system_roots() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let (added, _ignored) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        return Err(TlsError::NoSystemRoots);
    }
    Ok(roots)
}
