//! Trust in whoever answers.

use std::sync::Arc;

use rcgen::{KeyPair, PublicKeyData};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig};

use super::super::provider;
use super::super::unverified::Unverified;
use super::connect;

/// `openssl x509 -req` makes such ones, unless it is told more.
#[test]
fn a_certificate_of_version_one_is_as_good_as_any() {
    let key = KeyPair::generate().unwrap();
    let connected = |shown: &KeyPair| {
        let signer = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let signer = provider().key_provider.load_private_key(signer).unwrap();
        let pair = CertifiedKey::new(vec![version_one(&shown.subject_public_key_info())], signer);
        let server = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
        let client = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Unverified(provider())))
            .with_no_client_auth();
        connect(Arc::new(client), Arc::new(server)).map(drop)
    };
    assert_eq!(connected(&key), Ok(()));
    assert!(connected(&KeyPair::generate().unwrap()).is_err(), "the key is another one's");
}

/// Nobody looks at its signature.
fn version_one(key: &[u8]) -> CertificateDer<'static> {
    let algorithm = sequence(&[&[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]]);
    let nobody = sequence(&[]);
    let time = [&[0x17, 13][..], b"260101000000Z"].concat();
    let times = sequence(&[&time, &time]);
    let facts = sequence(&[&[2, 1, 1], &algorithm, &nobody, &times, &nobody, key]);
    CertificateDer::from(sequence(&[&facts, &algorithm, &[3, 2, 0, 0]]))
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = u8::try_from(content.len()).unwrap();
    let head = if length < 128 { vec![0x30, length] } else { vec![0x30, 0x81, length] };
    [head, content].concat()
}
