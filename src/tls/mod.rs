//! TLS by rustls with aws-lc-rs: what listeners present and whom they ask for, and what connections
//! to the cluster present and trust.
//!
//! ```text
//!   files ──(Files::read, all at once)──> Made ──(ArcSwap)──> Server::current, Client::current
//!     └── reload: the same way again
//! ```
//!
//! Invariants: the crypto provider is always passed, never looked up; the files of one side are
//! taken together or not at all, and what is wrong with them leaves the old ones in use; every error
//! names its file; a connection keeps what it was made with.

pub mod client;
pub mod failure;
mod files;
pub mod leaf;
mod pair;
mod pem;
pub mod policy;
mod self_signed;
pub mod server;
mod unverified;

#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{path}: {detail}")]
    Certificate { path: PathBuf, detail: String },
    #[error(
        "{path}: it has the Common Name {name:?}, and the certificate before it had none: this takes a restart"
    )]
    NewCommonName { path: PathBuf, name: String },
    #[error("{path}: no certificate in it")]
    NoCertificate { path: PathBuf },
    #[error("{path}: no revocation list in it")]
    NoRevocationList { path: PathBuf },
    #[error("the system's certificate store has no usable certificate; give a CA file")]
    NoSystemRoots,
    #[error("{cert} and {key}: {source}")]
    Pair { cert: PathBuf, key: PathBuf, source: rustls::Error },
    #[error("{path}: {source}")]
    Pem { path: PathBuf, source: rustls_pki_types::pem::Error },
    #[error("{path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path}: not a certificate revocation list: {detail}")]
    RevocationList { path: PathBuf, detail: String },
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
    #[error(
        "{path}: two revocation lists in it are of the issuer {issuer}, and only the first would count: leave the newest (two CAs need two names)"
    )]
    RevocationListTwice { path: PathBuf, issuer: String },
    #[error("no self-signed certificate can be made: {0}")]
    SelfSigned(String),
}

impl TlsError {
    /// Whether the same files may do later, without a change that could be seen in them: out of file
    /// descriptors, or a disk that does not answer.
    pub fn is_passing(&self) -> bool {
        let lasts = |kind| matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied);
        matches!(self, Self::Read { source, .. } if !lasts(source.kind()))
    }
}

/// A certificate chain and its key, PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub cert: PathBuf,
    pub key: PathBuf,
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
