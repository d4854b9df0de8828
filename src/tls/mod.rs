//! TLS by rustls with aws-lc-rs: what listeners present, and what connections to the cluster
//! present and trust.
//!
//! Invariants: the crypto provider is always passed, never looked up; a file is read once, at
//! start, and every error names it.

pub mod client;
mod pem;
pub mod server;
mod unverified;

use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{path}: no certificate in it")]
    NoCertificate { path: PathBuf },
    #[error("{path}: {source}")]
    Pem { path: PathBuf, source: rustls_pki_types::pem::Error },
    #[error("{path}: {detail}")]
    Certificate { path: PathBuf, detail: String },
    #[error("{cert} and {key}: {source}")]
    Pair { cert: PathBuf, key: PathBuf, source: rustls::Error },
    #[error("the system's certificate store has no usable certificate; give a CA file")]
    NoSystemRoots,
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
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
