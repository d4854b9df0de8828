//! Versions and cipher suites, and curl, which chooses them as it likes.

use std::process::Command;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, ProtocolVersion, SupportedProtocolVersion};

use super::{ask, failed, listening, shake_hands};
use crate::observability::becomes;
use crate::support::certs::Certs;
use crate::support::etcd::Etcd;

#[tokio::test]
async fn a_version_that_is_not_allowed_is_refused_and_counted() {
    let (certs, etcd) = (Certs::new(), Etcd::start());
    let config = |version: &'static SupportedProtocolVersion| {
        certs.client_config_of(default_provider(), &[version], None, &[])
    };
    for (tls, refused, accepted) in
        [("min-version: TLS1.3", &TLS12, &TLS13), ("max-version: TLS1.2", &TLS13, &TLS12)]
    {
        let sidecar = listening(&certs.server(), tls, &etcd.endpoint());
        ask(&sidecar, config(accepted)).await.unwrap();
        ask(&sidecar, config(refused)).await.unwrap_err();
        becomes(&sidecar, &failed("version"), 1.0).await;
    }
    let sidecar = listening(&certs.server(), "min-version: TLS1.2", &etcd.endpoint());
    for (version, expected) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let session = shake_hands(&sidecar, config(version)).await.unwrap();
        assert_eq!(session.get_ref().1.protocol_version(), Some(expected));
    }
}

#[tokio::test]
async fn only_the_suites_that_were_chosen_are_agreed_to() {
    let (certs, etcd) = (Certs::new(), Etcd::start());
    let suites = "cipher-suites: [TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305, TLS_AES_128_GCM_SHA256]";
    let sidecar = listening(&certs.server(), suites, &etcd.endpoint());
    for (version, chosen) in [
        (&TLS12, CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
        (&TLS13, CipherSuite::TLS13_AES_128_GCM_SHA256),
    ] {
        let config = certs.client_config_of(default_provider(), &[version], None, &[]);
        let session = shake_hands(&sidecar, config).await.unwrap();
        let agreed = session.get_ref().1.negotiated_cipher_suite().unwrap().suite();
        assert_eq!(agreed, chosen);
    }
    let mut others = default_provider();
    others.cipher_suites.retain(|suite| suite.suite() == CipherSuite::TLS13_AES_256_GCM_SHA384);
    let config = certs.client_config_of(others, &[&TLS13], None, &[]);
    ask(&sidecar, config).await.unwrap_err();
    becomes(&sidecar, &failed("cipher-suite"), 1.0).await;
}

#[test]
fn curl_is_served_in_every_version_of_http_and_tls() {
    let (certs, etcd) = (Certs::new(), Etcd::start());
    let trusting = format!("trusted-ca-file: '{}'", certs.ca().display());
    let sidecar = listening(&certs.server(), &trusting, &etcd.endpoint());
    let client = certs.client(None);
    for (http, answered) in [("--http1.1", "1.1"), ("--http2", "2")] {
        for tls in [["--tls-max", "1.2"].as_slice(), &["--tlsv1.3"]] {
            let output = Command::new("curl")
                .args(["-sS", "-w", " %{http_version} %{http_code}", http])
                .args(tls)
                .arg("--cacert")
                .arg(certs.ca())
                .arg("--cert")
                .arg(&client.cert)
                .arg("--key")
                .arg(&client.key)
                .arg(format!("https://{}/version", sidecar.addr()))
                .output()
                .expect("curl is installed by tests/run.sh");
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(said.contains(etcd.version()), "{http} {tls:?}: {output:?}");
            assert!(said.ends_with(&format!(" {answered} 200")), "{http} {tls:?}: {output:?}");
        }
    }
}
