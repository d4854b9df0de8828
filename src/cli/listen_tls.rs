//! etcd's flags for TLS towards clients. They concern the https URLs of `--listen-client-urls`.

use std::path::PathBuf;

use clap::Args;

use crate::config::ListenTls;

#[derive(Args, Debug)]
pub(super) struct ListenTlsFlags {
    /// CA that signed the clients' certificates, which are demanded then.
    #[arg(long, env = "ETCDLET_TRUSTED_CA_FILE", value_name = "FILE")]
    trusted_ca_file: Option<PathBuf>,
    /// true where there is a --trusted-ca-file; optional: a client may come without a certificate.
    #[arg(
        long,
        env = "ETCDLET_CLIENT_CERT_AUTH",
        value_name = "true|false|optional",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    client_cert_auth: Option<String>,
    /// Certificates of clients that count no longer: revocation lists, PEM or DER.
    #[arg(long, env = "ETCDLET_CLIENT_CRL_FILE", value_name = "FILE")]
    client_crl_file: Option<PathBuf>,
    /// TLS with a certificate that is made at start, which clients cannot check.
    #[arg(
        long,
        env = "ETCDLET_AUTO_TLS",
        value_name = "true|false",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    auto_tls: Option<bool>,
    /// How long a certificate of --auto-tls is valid.
    #[arg(long, env = "ETCDLET_SELF_SIGNED_CERT_VALIDITY", value_name = "YEARS")]
    self_signed_cert_validity: Option<u32>,
    /// Cipher suites towards clients, all if empty.
    #[arg(long, env = "ETCDLET_CIPHER_SUITES", value_delimiter = ',', value_name = "NAME,...")]
    cipher_suites: Option<Vec<String>>,
    /// Lowest version of TLS towards clients: TLS1.2 (the default) or TLS1.3.
    #[arg(long, env = "ETCDLET_TLS_MIN_VERSION", value_name = "VERSION")]
    tls_min_version: Option<String>,
    /// Highest version of TLS towards clients: TLS1.2 or TLS1.3 (the default).
    #[arg(long, env = "ETCDLET_TLS_MAX_VERSION", value_name = "VERSION")]
    tls_max_version: Option<String>,
}

impl From<ListenTlsFlags> for ListenTls {
    fn from(flags: ListenTlsFlags) -> Self {
        let ListenTlsFlags {
            trusted_ca_file,
            client_cert_auth,
            client_crl_file,
            auto_tls,
            self_signed_cert_validity,
            cipher_suites,
            tls_min_version,
            tls_max_version,
        } = flags;
        Self {
            trusted_ca_file,
            client_cert_auth,
            client_crl_file,
            auto_tls,
            self_signed_cert_validity,
            cipher_suites,
            min_version: tls_min_version,
            max_version: tls_max_version,
        }
    }
}
