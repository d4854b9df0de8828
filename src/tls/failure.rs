//! Why handshakes of clients fail, for the metrics.

use std::io;

use rustls::{CertificateError, Error, PeerIncompatible};

/// A word for what a handshake ended with.
pub fn reason(error: &io::Error) -> &'static str {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        // The end of the stream, or a lost connection.
        None => "closed",
        Some(Error::NoCertificatesPresented) => "no-certificate",
        Some(Error::InvalidCertificate(why)) => certificate(why),
        Some(Error::PeerIncompatible(why)) => match why {
            PeerIncompatible::NoCipherSuitesInCommon => "cipher-suite",
            PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled => "version",
            _ => "incompatible",
        },
        Some(Error::NoApplicationProtocol) => "alpn",
        // A client that does not trust our certificate says so.
        Some(Error::AlertReceived(_)) => "refused-by-client",
        Some(
            Error::InappropriateHandshakeMessage { .. }
            | Error::InappropriateMessage { .. }
            | Error::InvalidMessage(_),
        ) => "not-tls",
        Some(_) => "other",
    }
}

fn certificate(why: &CertificateError) -> &'static str {
    match why {
        CertificateError::BadSignature | CertificateError::UnknownIssuer => "unknown-ca",
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "expired",
        CertificateError::Revoked => "revoked",
        _ => "bad-certificate",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_word() {
        let of = |error| reason(&io::Error::new(io::ErrorKind::InvalidData, error));
        assert_eq!(of(Error::NoCertificatesPresented), "no-certificate");
        assert_eq!(of(CertificateError::Revoked.into()), "revoked");
        assert_eq!(of(CertificateError::InvalidPurpose.into()), "bad-certificate");
        assert_eq!(of(PeerIncompatible::NoCipherSuitesInCommon.into()), "cipher-suite");
        assert_eq!(of(Error::DecryptError), "other");
        assert_eq!(reason(&io::ErrorKind::UnexpectedEof.into()), "closed");
    }
}
