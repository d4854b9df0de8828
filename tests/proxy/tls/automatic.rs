//! TLS with a certificate that nobody signed.

use std::process::{Command, Output};

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::http1::client::Connection;
use crate::support::certs::Certs;
use crate::support::etcd::Etcd;
use crate::support::sidecar::Sidecar;
use crate::support::tools::python;

#[tokio::test]
async fn etcdctl_that_checks_nothing_is_served_and_one_that_checks_refuses() {
    let etcd = Etcd::start();
    let sidecar = Sidecar::https_with_args(&["--auto-tls", "--endpoints", &etcd.endpoint()]);
    let url = format!("https://{}", sidecar.addr());
    let run = |arguments: &[&str]| -> Output {
        let mut etcdctl = etcd.etcdctl();
        etcdctl.arg("--endpoints").arg(&url).args(arguments);
        etcdctl.output().expect("etcdctl can be started")
    };
    let unchecked = ["--insecure-transport=false", "--insecure-skip-tls-verify"];
    let put = run(&[unchecked.as_slice(), &["put", "key", "value"]].concat());
    assert_eq!(String::from_utf8_lossy(&put.stdout), "OK\n", "{put:?}");
    let get = run(&[unchecked.as_slice(), &["get", "key"]].concat());
    assert_eq!(String::from_utf8_lossy(&get.stdout), "key\nvalue\n", "{get:?}");
    let checked = run(&["--command-timeout=1s", "get", "key"]);
    assert!(!checked.status.success(), "{checked:?}");
    for http in ["--http1.1", "--http2"] {
        let version = Command::new("curl").args(["-sSk", http, &format!("{url}/version")]).output().unwrap();
        assert!(String::from_utf8_lossy(&version.stdout).contains(etcd.version()), "{version:?}");
    }
    let foreign = Certs::new().client_config(None, &[]);
    assert!(Connection::open_tls(&url, foreign).await.is_err());
}

#[test]
fn the_certificate_names_the_listener_and_is_another_one_after_a_restart() {
    let mut seen = Vec::new();
    for (flags, years) in
        [(["--auto-tls"].as_slice(), 1), (&["--auto-tls=true", "--self-signed-cert-validity=3"], 3)]
    {
        let sidecar = Sidecar::https_with_args(&[flags, &["--endpoints", "http://127.0.0.1:1"]].concat());
        let script = "import ssl, sys; print(ssl.get_server_certificate(('127.0.0.1', int(sys.argv[1]))))";
        let output = python().args(["-c", script, &sidecar.addr().port().to_string()]).output().unwrap();
        let (_, pem) = x509_parser::pem::parse_x509_pem(&output.stdout).expect("a certificate is shown");
        let (_, certificate) = X509Certificate::from_der(&pem.contents).unwrap();
        let names = certificate.subject_alternative_name().unwrap().unwrap();
        assert_eq!(names.value.general_names, [GeneralName::IPAddress(&[127, 0, 0, 1])]);
        let left =
            certificate.validity().not_after.timestamp() - x509_parser::time::ASN1Time::now().timestamp();
        assert_eq!((left + 3600) / 86_400, 365 * years);
        seen.push(pem.contents.clone());
    }
    assert_ne!(seen[0], seen[1]);
}
