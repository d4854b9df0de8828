//! Versions and cipher suites, by etcd's names, which are Go's.

use std::str::FromStr;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, SupportedCipherSuite, SupportedProtocolVersion};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    Tls12,
    Tls13,
}

/// What a listener agrees to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    min: Version,
    max: Version,
    /// Empty for all. Those of TLS 1.3 are restricted only where one of them is named.
    suites: Vec<CipherSuite>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("the lowest version is above the highest")]
    MinAboveMax,
    #[error("none of these is for TLS 1.2; give one, or allow TLS1.3 only")]
    NoneOfTls12,
    // etcd: "cipher suites cannot be configured when only TLS1.3 is enabled".
    #[error("suites of TLS 1.2 cannot be configured when only TLS1.3 is enabled")]
    OnlyTls13,
    #[error("unexpected TLS cipher suite {0:?} (must be of: {list})", list = names())]
    UnknownSuite(String),
    #[error("unexpected TLS version {0:?} (must be one of: TLS1.2, TLS1.3)")]
    UnknownVersion(String),
}

impl Default for Policy {
    fn default() -> Self {
        Self { min: Version::Tls12, max: Version::Tls13, suites: Vec::new() }
    }
}

impl FromStr for Version {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        match text {
            "TLS1.2" => Ok(Self::Tls12),
            "TLS1.3" => Ok(Self::Tls13),
            other => Err(PolicyError::UnknownVersion(other.to_owned())),
        }
    }
}

impl Policy {
    pub fn try_new(min: Version, max: Version) -> Result<Self, PolicyError> {
        if min > max {
            return Err(PolicyError::MinAboveMax);
        }
        Ok(Self { min, max, suites: Vec::new() })
    }

    /// Only these suites, each by a name of etcd's. TLS 1.3 keeps all of its own unless one is
    /// named, as in etcd, where they cannot be chosen.
    pub fn with_suites<S: AsRef<str>>(mut self, names: &[S]) -> Result<Self, PolicyError> {
        self.suites = names.iter().map(|name| suite(name.as_ref())).collect::<Result<_, _>>()?;
        let of_tls12 = self.suites.iter().any(|suite| !TLS13_SUITES.contains(suite));
        match (self.min, of_tls12) {
            (Version::Tls13, true) => Err(PolicyError::OnlyTls13),
            (Version::Tls12, false) if !self.suites.is_empty() => Err(PolicyError::NoneOfTls12),
            (Version::Tls12 | Version::Tls13, _) => Ok(self),
        }
    }

    pub(super) fn versions(&self) -> Vec<&'static SupportedProtocolVersion> {
        let known = [(Version::Tls13, &TLS13), (Version::Tls12, &TLS12)];
        let allowed = known.into_iter().filter(|(version, _)| (self.min..=self.max).contains(version));
        allowed.map(|(_, version)| version).collect()
    }

    pub(super) fn provider(&self) -> Arc<CryptoProvider> {
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        let restricts_tls13 = self.suites.iter().any(|suite| TLS13_SUITES.contains(suite));
        provider.cipher_suites.retain(|suite| {
            let restricted = match suite {
                SupportedCipherSuite::Tls12(_) => !self.suites.is_empty(),
                SupportedCipherSuite::Tls13(_) => restricts_tls13,
            };
            !restricted || self.suites.contains(&suite.suite())
        });
        Arc::new(provider)
    }
}

fn suite(name: &str) -> Result<CipherSuite, PolicyError> {
    let found = SUITES.iter().find(|(known, _)| *known == name);
    found.map(|(_, suite)| *suite).ok_or_else(|| PolicyError::UnknownSuite(name.to_owned()))
}

fn names() -> String {
    SUITES.map(|(name, _)| name).join(", ")
}

const TLS13_SUITES: [CipherSuite; 3] = [
    CipherSuite::TLS13_AES_128_GCM_SHA256,
    CipherSuite::TLS13_AES_256_GCM_SHA384,
    CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
];

/// Go knows the last two as well (`client/pkg/tlsutil/cipher_suites.go`). Its suites without forward
/// secrecy and those of CBC do not exist here.
const SUITES: [(&str, CipherSuite); 11] = [
    ("TLS_AES_128_GCM_SHA256", CipherSuite::TLS13_AES_128_GCM_SHA256),
    ("TLS_AES_256_GCM_SHA384", CipherSuite::TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305", CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn suites_of(names: &[&str]) -> Vec<CipherSuite> {
        let policy = Policy::default().with_suites(names).unwrap();
        policy.provider().cipher_suites.iter().map(SupportedCipherSuite::suite).collect()
    }

    #[test]
    fn without_names_every_suite_is_offered() {
        assert_eq!(suites_of(&[]).len(), 9);
    }

    #[test]
    fn names_restrict_the_version_that_they_are_of() {
        let one = "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305";
        let expected = CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256;
        let offered = suites_of(&[one]);
        assert!(offered.len() == 4 && offered.contains(&expected), "{offered:?}");
        let offered = suites_of(&[one, "TLS_AES_256_GCM_SHA384"]);
        assert_eq!(offered, [CipherSuite::TLS13_AES_256_GCM_SHA384, expected]);
    }

    #[test]
    fn a_list_that_leaves_nothing_or_has_no_effect_is_refused() {
        let only = |version| Policy::try_new(version, Version::Tls13).unwrap();
        let tls13 = ["TLS_AES_128_GCM_SHA256"];
        let tls12 = ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"];
        assert_eq!(only(Version::Tls12).with_suites(&tls13), Err(PolicyError::NoneOfTls12));
        assert_eq!(only(Version::Tls13).with_suites(&tls12), Err(PolicyError::OnlyTls13));
        assert!(only(Version::Tls13).with_suites(&tls13).is_ok());
        assert_eq!(Policy::try_new(Version::Tls13, Version::Tls12), Err(PolicyError::MinAboveMax));
        let unknown = Policy::default().with_suites(&["TLS_RSA_WITH_RC4_128_SHA"]).unwrap_err();
        assert!(unknown.to_string().contains("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"), "{unknown}");
    }
}
