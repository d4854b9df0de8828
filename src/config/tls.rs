//! Certificates: what listeners show.

use std::path::PathBuf;

use super::Overrides;
use super::section::Section;
use crate::tls::{Identity, server};

/// The section `tls` of a listener.
pub(super) fn server(mut section: Section, errors: &mut Vec<String>) -> Option<server::Config> {
    let (cert, key) = (section.path("cert-file", errors), section.path("key-file", errors));
    let identity = pair(cert, key, section.path_name(), errors);
    section.finish(errors);
    identity.map(|identity| server::Config { identity })
}

/// What the flags say of all listeners.
pub(super) fn server_of(overrides: &Overrides, errors: &mut Vec<String>) -> Option<server::Config> {
    let (cert, key) = (overrides.cert_file.clone(), overrides.key_file.clone());
    let identity = pair(cert, key, "--cert-file, --key-file", errors);
    identity.map(|identity| server::Config { identity })
}

pub(super) fn pair(
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    at: &str,
    errors: &mut Vec<String>,
) -> Option<Identity> {
    match (cert, key) {
        (Some(cert), Some(key)) => Some(Identity { cert, key }),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            errors.push(format!("{at}: a certificate and its key go together"));
            None
        }
    }
}
