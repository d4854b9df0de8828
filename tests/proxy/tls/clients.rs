//! Certificates of clients: demanded, optional, revoked.

use std::fs;

use etcdlet::proto::etcdserverpb::{PutRequest, PutResponse};

use super::{ask, failed, listening};
use crate::http1::client::Connection;
use crate::observability::{becomes, refusal};
use crate::support::certs::{Certs, Pair};
use crate::support::etcd::Etcd;
use crate::support::grpc::Channel;
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn a_listener_with_a_ca_serves_those_who_show_a_certificate_of_it() {
    let (certs, etcd) = (Certs::new(), Etcd::start());
    let sidecar = listening(&certs.server(), &trusting(&certs), &etcd.endpoint());
    let url = format!("https://{}", sidecar.addr());
    let known = certs.client(Some("alice"));
    let channel = Channel::connect_tls(&url, certs.client_config(Some(&known), &["h2"])).await.unwrap();
    let put = PutRequest { key: "key".into(), value: "value".into(), ..Default::default() };
    channel.call::<_, PutResponse>("/etcdserverpb.KV/Put", &put).await.unwrap();
    for offered in [["http/1.1"].as_slice(), &[]] {
        let config = certs.client_config(Some(&known), offered);
        let mut connection = Connection::open_tls(&url, config).await.unwrap();
        let put = connection.post("/v3/kv/put", r#"{"key": "YQ==", "value": "Yg=="}"#).await;
        assert_eq!(put.status, 200, "{}", put.text());
    }
    let mut etcdctl = etcd.etcdctl();
    etcdctl.arg("--endpoints").arg(&url).arg("--cacert").arg(certs.ca());
    etcdctl.arg("--cert").arg(&known.cert).arg("--key").arg(&known.key);
    let output = etcdctl.args(["get", "key"]).output().expect("etcdctl can be started");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "key\nvalue\n", "{output:?}");
}

#[tokio::test]
async fn a_client_without_a_certificate_or_with_a_foreign_one_is_refused_and_counted() {
    let (certs, others, etcd) = (Certs::new(), Certs::new(), Etcd::start());
    let (nobody, foreign) = (None, Some(others.client(Some("alice"))));
    for (more, accepts_nobody) in
        [("", false), ("client-cert-auth: true", false), ("client-cert-auth: optional", true)]
    {
        let tls = format!("{}, {more}", trusting(&certs));
        let sidecar = listening(&certs.server(), tls.trim_end_matches(", "), &etcd.endpoint());
        for (show, reason, is_accepted) in
            [(&nobody, "no-certificate", accepts_nobody), (&foreign, "unknown-ca", false)]
        {
            let answer = ask(&sidecar, certs.client_config(show.as_ref(), &[])).await;
            assert_eq!(answer.is_ok(), is_accepted, "{more} {reason}: {answer:?}");
            if !is_accepted {
                becomes(&sidecar, &failed(reason), 1.0).await;
            }
        }
        ask(&sidecar, certs.client_config(Some(&certs.client(None)), &[])).await.unwrap();
    }
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_whether_the_list_is_pem_or_der() {
    let (certs, others, etcd) = (Certs::new(), Certs::new(), Etcd::start());
    let (good, bad) = (certs.client(None), certs.client(None));
    let (list, others) = (certs.revocation_list(&[&bad]), others.revocation_list(&[&good]));
    let file = certs.directory().join("crl");
    // A list of another CA means others, whatever serial numbers it names.
    let pem = format!("{}{}", others.pem().unwrap(), list.pem().unwrap());
    for text in [pem.into_bytes(), list.der().to_vec()] {
        fs::write(&file, text).unwrap();
        let tls = format!("{}, client-crl-file: '{}'", trusting(&certs), file.display());
        let sidecar = listening(&certs.server(), &tls, &etcd.endpoint());
        ask(&sidecar, certs.client_config(Some(&good), &[])).await.unwrap();
        let refused = ask(&sidecar, certs.client_config(Some(&bad), &[])).await.unwrap_err();
        assert!(refused.to_string().contains("CertificateRevoked"), "{refused}");
        becomes(&sidecar, &failed("revoked"), 1.0).await;
    }
}

#[tokio::test]
async fn the_flags_are_etcds() {
    let (certs, etcd) = (Certs::new(), Etcd::start());
    let (server, good, bad) = (certs.server(), certs.client(None), certs.client(None));
    let list = certs.directory().join("crl");
    fs::write(&list, certs.revocation_list(&[&bad]).der()).unwrap();
    let text = |path: &std::path::Path| path.display().to_string();
    let sidecar = Sidecar::https_with_args(&[
        "--cert-file",
        &text(&server.cert),
        "--key-file",
        &text(&server.key),
        "--trusted-ca-file",
        &text(&certs.ca()),
        "--client-cert-auth",
        "--client-crl-file",
        &text(&list),
        "--tls-min-version=TLS1.2",
        "--tls-max-version=",
        "--cipher-suites=TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,TLS_AES_128_GCM_SHA256",
        "--endpoints",
        &etcd.endpoint(),
    ]);
    ask(&sidecar, certs.client_config(Some(&good), &[])).await.unwrap();
    for refused in [None, Some(&bad)] {
        ask(&sidecar, certs.client_config(refused, &[])).await.unwrap_err();
    }
}

#[test]
fn what_does_not_fit_together_is_refused_at_start_by_its_name() {
    let certs = Certs::new();
    let Pair { cert, key } = certs.server();
    let text = |path: &std::path::Path| path.display().to_string();
    let (cert, key, ca) = (text(&cert), text(&key), text(&certs.ca()));
    let missing = text(&certs.directory().join("missing"));
    let common = [
        "--listen-client-urls",
        "https://127.0.0.1:0",
        "--endpoints",
        "a:1",
        "--admin-url",
        "http://127.0.0.1:0",
    ];
    let pair = ["--cert-file", &cert, "--key-file", &key];
    for (arguments, named) in [
        (vec!["--trusted-ca-file", &missing], missing.as_str()),
        (vec!["--trusted-ca-file", &key], &key),
        (vec!["--trusted-ca-file", &ca, "--client-crl-file", &missing], &missing),
        (vec!["--trusted-ca-file", &ca, "--client-crl-file", &ca], &ca),
        (vec!["--client-crl-file", &missing], "--client-crl-file"),
        (vec!["--client-cert-auth"], "--client-cert-auth"),
        (vec!["--tls-min-version", "TLS1.1"], "--tls-min-version"),
        (vec!["--cipher-suites", "TLS_RSA_WITH_RC4_128_SHA"], "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
        (vec!["--auto-tls"], "--auto-tls"),
    ] {
        let (code, said) = refusal(Sidecar::command().args(common).args(pair).args(&arguments));
        assert_eq!(code, Some(1), "{arguments:?}: {said}");
        assert!(said.contains(named), "{arguments:?}: {said}");
    }
}

fn trusting(certs: &Certs) -> String {
    format!("trusted-ca-file: '{}'", certs.ca().display())
}
