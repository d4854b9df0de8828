//! Certificates of one test: a CA and what it signed, as PEM files in a directory that goes with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationList, CertificateRevocationListParams,
    CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair,
    KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::etcd;

/// A CA that signs for loopback servers and their clients.
pub(crate) struct Certs {
    authority: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
    issued: AtomicUsize,
}

/// A certificate and its key.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl Pair {
    /// Puts another one in its place, as tools that renew do: each file by a rename.
    pub(crate) fn replace_by(&self, other: &Self) {
        for (old, new) in [(&self.cert, &other.cert), (&self.key, &other.key)] {
            fs::rename(new, old).expect("a file can be renamed");
        }
    }

    /// The certificate.
    pub(crate) fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(&self.cert).expect("a certificate of ours")
    }
}

impl Certs {
    pub(crate) fn new() -> Self {
        let directory =
            tempfile::Builder::new().prefix("certs-").tempdir().expect("a temporary directory can be made");
        let mut params = CertificateParams::default();
        // Certificates of another CA must fail because it is unknown, not because a namesake did not sign them.
        params.distinguished_name = name(Some(&format!("CA {:016x}", fastrand::u64(..))));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority =
            CertifiedIssuer::self_signed(params, new_key()).expect("the CA's parameters are valid");
        fs::write(directory.path().join(CA_FILE), authority.pem()).expect("the CA can be written");
        Self { authority, directory, issued: AtomicUsize::new(0) }
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.directory.path().join(CA_FILE)
    }

    /// For a server on a loopback address.
    pub(crate) fn server(&self) -> Pair {
        self.server_named(&["127.0.0.1", "::1", "localhost"])
    }

    /// For a server that goes by these names only.
    pub(crate) fn server_named(&self, names: &[&str]) -> Pair {
        self.issue(names, None)
    }

    /// For a client; etcd may take the Common Name for a user.
    pub(crate) fn client(&self, common_name: Option<&str>) -> Pair {
        self.issue(&[], common_name)
    }

    /// How a member demands certificates of this CA; the fixture itself shows one without a Common Name.
    pub(crate) fn of_etcd(&self) -> etcd::Tls {
        let (server, client) = (self.server(), self.client(None));
        etcd::Tls {
            cert_file: server.cert,
            key_file: server.key,
            trusted_ca_file: self.ca(),
            client_cert_auth: true,
            client: Some((client.cert, client.key)),
        }
    }

    /// Of what it has signed, these count no longer.
    pub(crate) fn revocation_list(&self, revoked: &[&Pair]) -> CertificateRevocationList {
        let revoked = revoked.iter().map(|pair| {
            let der = pair.der();
            let (_, certificate) = X509Certificate::from_der(&der).expect("a certificate of ours");
            RevokedCertParams {
                serial_number: SerialNumber::from_slice(certificate.raw_serial()),
                revocation_time: date_time_ymd(2026, 1, 1),
                reason_code: None,
                invalidity_date: None,
            }
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2026, 1, 2),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.authority).expect("the parameters are valid")
    }

    /// What a client trusts, shows and offers.
    pub(crate) fn client_config(&self, show: Option<&Pair>, protocols: &[&str]) -> Arc<ClientConfig> {
        self.client_config_of(default_provider(), rustls::DEFAULT_VERSIONS, show, protocols)
    }

    /// The same, of these suites and versions.
    pub(crate) fn client_config_of(
        &self,
        provider: CryptoProvider,
        versions: &[&'static SupportedProtocolVersion],
        show: Option<&Pair>,
        protocols: &[&str],
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone()).expect("the CA is a certificate");
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .expect("the provider has suites for them")
            .with_root_certificates(roots);
        let mut config = match show {
            None => builder.with_no_client_auth(),
            Some(Pair { cert, key }) => builder
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_file(cert).expect("a certificate of ours")],
                    PrivateKeyDer::from_pem_file(key).expect("a key of ours"),
                )
                .expect("a certificate goes with its key"),
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    fn issue(&self, names: &[&str], common_name: Option<&str>) -> Pair {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).expect("names are valid");
        params.distinguished_name = name(common_name);
        // etcd's JSON gateway shows its member the member's own server certificate.
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = new_key();
        let cert = params.signed_by(&key, &self.authority).expect("the parameters are valid");
        let number = self.issued.fetch_add(1, Ordering::Relaxed);
        let pair = Pair {
            cert: self.directory.path().join(format!("{number}.pem")),
            key: self.directory.path().join(format!("{number}.key")),
        };
        fs::write(&pair.cert, cert.pem()).expect("a certificate can be written");
        fs::write(&pair.key, key.serialize_pem()).expect("a key can be written");
        pair
    }
}

fn name(common_name: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    // A subject of nothing at all is not accepted everywhere.
    name.push(DnType::OrganizationName, "etcdlet tests");
    if let Some(common_name) = common_name {
        name.push(DnType::CommonName, common_name);
    }
    name
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("a key can be generated")
}

const CA_FILE: &str = "ca.pem";
