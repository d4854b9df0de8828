//! What connections to the cluster show and trust.

use std::fs;

use super::{Authority, replace};
use crate::tls::client::{Client, Config};

#[test]
fn the_common_name_of_the_client_certificate_is_found() {
    let authority = Authority::new();
    for name in [Some("root"), None] {
        let identity = Some(authority.issue("client", name));
        let config = Config { cacert: Some(authority.path("ca.pem")), identity, ..Config::default() };
        assert_eq!(Client::try_new(&config).unwrap().presents_common_name(), name.is_some());
    }
}

#[test]
fn an_error_names_the_file() {
    let missing = Config { cacert: Some("/nowhere/ca.pem".into()), ..Config::default() };
    let error = Client::try_new(&missing).err().unwrap().to_string();
    assert!(error.starts_with("/nowhere/ca.pem: "), "{error}");

    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty.pem");
    fs::write(&empty, "").unwrap();
    let config = Config { cacert: Some(empty.clone()), ..Config::default() };
    let error = Client::try_new(&config).err().unwrap().to_string();
    assert_eq!(error, format!("{}: no certificate in it", empty.display()));
}

#[test]
fn a_new_certificate_or_ca_is_taken_and_the_same_one_is_no_news() {
    let authority = Authority::new();
    let identity = authority.issue("client", None);
    let cacert = authority.path("ca.pem");
    let config =
        Config { cacert: Some(cacert.clone()), identity: Some(identity.clone()), ..Config::default() };
    let client = Client::try_new(&config).unwrap();
    assert_eq!(client.files(), [cacert.clone(), identity.cert.clone(), identity.key.clone()]);
    assert!(!client.reload().unwrap());
    replace(&identity, &authority.issue("new", None));
    assert!(client.reload().unwrap() && !client.reload().unwrap());
    fs::copy(Authority::new().path("ca.pem"), &cacert).unwrap();
    assert!(client.reload().unwrap());
    fs::write(&cacert, "").unwrap();
    assert!(client.reload().is_err());
}

/// Calls that came before are not marked as nobody's, and some of them are sent again much later.
#[test]
fn a_common_name_does_not_come_with_a_reload() {
    let authority = Authority::new();
    let identity = authority.issue("client", None);
    let config = Config {
        identity: Some(identity.clone()),
        cacert: Some(authority.path("ca.pem")),
        ..Config::default()
    };
    let client = Client::try_new(&config).unwrap();
    replace(&identity, &authority.issue("new", Some("root")));
    let error = client.reload().unwrap_err().to_string();
    assert!(error.starts_with(&identity.cert.display().to_string()) && error.contains("\"root\""), "{error}");
    assert!(!client.presents_common_name());

    let named = Client::try_new(&config).unwrap();
    for name in [Some("other"), None] {
        replace(&identity, &authority.issue("new", name));
        assert!(named.reload().unwrap());
        // Connections of before are still open.
        assert!(named.presents_common_name());
    }
}
