//! Certificates that nobody signed: for clients that want encryption and check nothing.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
};
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_parser::time::ASN1Time;

use super::TlsError;

/// A certificate that lives in memory only, and is replaced before it ends.
#[derive(Clone)]
pub(super) struct SelfSigned {
    pub key: Arc<CertifiedKey>,
    pub renew_at: SystemTime,
}

impl SelfSigned {
    /// For these names and addresses, valid from `now`.
    pub fn make(
        hosts: &[String],
        validity: Duration,
        now: SystemTime,
        provider: &CryptoProvider,
    ) -> Result<Self, TlsError> {
        let failed = |error: &dyn std::fmt::Display| TlsError::SelfSigned(error.to_string());
        let mut params = CertificateParams::new(hosts.to_vec()).map_err(|error| failed(&error))?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "etcdlet");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let at = |time: SystemTime| {
            let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
            let time = i64::try_from(seconds).ok().and_then(|seconds| ASN1Time::from_timestamp(seconds).ok());
            time.map(|time| time.to_datetime()).ok_or_else(|| failed(&"the clock is out of range"))
        };
        params.not_before = at(now - CLOCK_SKEW)?;
        params.not_after = at(now + validity)?;
        let key = KeyPair::generate().map_err(|error| failed(&error))?;
        let certificate = params.self_signed(&key).map_err(|error| failed(&error))?;
        let chain: Vec<CertificateDer<'static>> = vec![certificate.into()];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let key = CertifiedKey::from_der(chain, key, provider)?;
        Ok(Self { key: Arc::new(key), renew_at: now + validity / 10 * 9 })
    }
}

/// A client whose clock is behind may come at once.
const CLOCK_SKEW: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::leaf;

    #[test]
    fn it_names_its_hosts_and_ends_when_its_time_is_up() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let year = Duration::from_secs(365 * 86_400);
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let hosts = ["127.0.0.1".to_owned(), "node.example".to_owned()];
        let made = SelfSigned::make(&hosts, year, now, &provider).unwrap();
        assert_eq!(leaf::expiry(&made.key.cert, "".as_ref()).unwrap(), 1_800_000_000 + 365 * 86_400);
        assert_eq!(leaf::common_name(&made.key.cert[0]), None);
        assert!(made.renew_at > now + year / 2 && made.renew_at < now + year);
    }
}
