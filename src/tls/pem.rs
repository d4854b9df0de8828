//! Certificates, keys and revocation lists in the bytes of a file. Errors name the file.

use std::collections::HashSet;
use std::path::Path;

use rustls::RootCertStore;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use super::TlsError;
use super::files::Files;

/// All certificates of a file; at least one.
pub(super) fn certificates(files: &Files, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(files.bytes(path))
        .collect::<Result<_, _>>()
        .map_err(|source| unreadable(path, source))?;
    if found.is_empty() {
        return Err(TlsError::NoCertificate { path: path.to_owned() });
    }
    Ok(found)
}

pub(super) fn key(files: &Files, path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(files.bytes(path)).map_err(|source| unreadable(path, source))
}

/// A bundle of certificates that others are signed by.
pub(super) fn roots(files: &Files, path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(files, path)? {
        roots
            .add(certificate)
            .map_err(|error| TlsError::Certificate { path: path.to_owned(), detail: error.to_string() })?;
    }
    Ok(roots)
}

/// Several in PEM, or one in DER, which is what etcd takes.
pub(super) fn revocation_lists(
    files: &Files,
    path: &Path,
) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let bytes = files.bytes(path);
    if !bytes.windows(PEM_BEGIN.len()).any(|window| window == PEM_BEGIN) {
        return Ok(vec![bytes.to_vec().into()]);
    }
    let found: Vec<_> = CertificateRevocationListDer::pem_slice_iter(bytes)
        .collect::<Result<_, _>>()
        .map_err(|source| unreadable(path, source))?;
    if found.is_empty() {
        return Err(TlsError::NoRevocationList { path: path.to_owned() });
    }
    refuse_namesakes(&found, path)?;
    Ok(found)
}

/// Only the first list of an issuer's name is ever looked into (rustls-webpki): what an older one before
/// it does not revoke would count, and where two CAs share a name, nothing of the second one.
fn refuse_namesakes(lists: &[CertificateRevocationListDer<'static>], path: &Path) -> Result<(), TlsError> {
    if lists.len() < 2 {
        return Ok(());
    }
    let mut issuers = HashSet::new();
    for list in lists {
        let (_, list) = CertificateRevocationList::from_der(list)
            .map_err(|error| TlsError::RevocationList { path: path.to_owned(), detail: error.to_string() })?;
        let issuer = &list.tbs_cert_list.issuer;
        if !issuers.insert(issuer.as_raw()) {
            return Err(TlsError::RevocationListTwice { path: path.to_owned(), issuer: issuer.to_string() });
        }
    }
    Ok(())
}

fn unreadable(path: &Path, source: pem::Error) -> TlsError {
    TlsError::Pem { path: path.to_owned(), source }
}

const PEM_BEGIN: &[u8] = b"-----BEGIN ";
