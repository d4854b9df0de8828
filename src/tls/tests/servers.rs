//! What listeners show.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::HandshakeKind;

use super::{Authority, connect, of_file, replace, shake};
use crate::tls::Identity;
use crate::tls::policy::Policy;
use crate::tls::server::{Certificate, Clients, Config, Server};

fn showing(identity: &Identity) -> Config {
    Config {
        certificate: Certificate::Files(identity.clone()),
        clients: Clients::Any,
        policy: Policy::default(),
    }
}

#[test]
fn a_new_pair_is_shown_from_then_on_and_the_same_one_is_no_news() {
    let authority = Authority::new();
    let identity = authority.issue("server", None);
    let server = Server::try_new(&showing(&identity)).unwrap();
    let before = server.current();
    assert!(!server.reload().unwrap());
    assert_eq!(server.files(), [identity.cert.clone(), identity.key.clone()]);
    assert_eq!(server.expiry().unwrap(), (identity.cert.clone(), 16_725_225_600));

    let old = of_file(&identity.cert);
    replace(&identity, &authority.issue("new", None));
    let new = of_file(&identity.cert);
    assert_eq!(shake(authority.client(), server.current()).unwrap(), old, "nothing is read by itself");
    assert!(server.reload().unwrap() && !server.reload().unwrap());
    assert_eq!(shake(authority.client(), server.current()).unwrap(), new);
    assert_eq!(
        shake(authority.client(), before).unwrap(),
        old,
        "a handshake under way keeps what it began with"
    );
}

#[test]
fn no_session_is_resumed_where_certificates_of_clients_are_looked_at() {
    let authority = Authority::new();
    let open = showing(&authority.issue("server", None));
    let trusted = Clients::Trusted { ca: authority.path("ca.pem"), revoked: None, required: false };
    let closed = Config { clients: trusted, ..open.clone() };
    let second = |config: &Config| {
        let (client, server) = (authority.client(), Server::try_new(config).unwrap());
        connect(client.clone(), server.current()).unwrap();
        connect(client, server.current()).unwrap().handshake_kind()
    };
    assert_eq!(second(&open), Some(HandshakeKind::Resumed));
    assert_eq!(second(&closed), Some(HandshakeKind::Full));
}

#[test]
fn files_that_do_not_fit_leave_the_old_ones_in_use() {
    let authority = Authority::new();
    let identity = authority.issue("server", None);
    let server = Server::try_new(&showing(&identity)).unwrap();
    let (old, pem) = (of_file(&identity.cert), fs::read_to_string(&identity.cert).unwrap());
    let other = authority.issue("other", None);
    let text = |path| fs::read_to_string(path).unwrap();
    for (cert, key, named) in [
        // One of the two is still to come.
        (text(&other.cert), text(&identity.key), &identity.key),
        (pem[..pem.len() / 2].to_owned(), text(&identity.key), &identity.cert),
        (pem.clone(), String::new(), &identity.key),
        (String::new(), text(&identity.key), &identity.cert),
    ] {
        fs::write(&identity.cert, cert).unwrap();
        fs::write(&identity.key, key).unwrap();
        let error = server.reload().unwrap_err().to_string();
        assert!(error.contains(&named.display().to_string()), "{error}");
        assert_eq!(shake(authority.client(), server.current()).unwrap(), old);
    }
    fs::remove_file(&identity.key).unwrap();
    assert!(server.reload().unwrap_err().to_string().starts_with(&identity.key.display().to_string()));
    replace(&identity, &other);
    assert!(server.reload().unwrap());
    assert_eq!(shake(authority.client(), server.current()).unwrap(), of_file(&identity.cert));
}

#[test]
fn a_list_that_is_none_is_refused_by_its_name() {
    let authority = Authority::new();
    let identity = authority.issue("server", None);
    let list = authority.path("crl");
    let clients =
        Clients::Trusted { ca: authority.path("ca.pem"), revoked: Some(list.clone()), required: true };
    let config = Config { clients, ..showing(&identity) };
    for wrong in [fs::read(&identity.cert).unwrap(), b"nonsense".to_vec(), Vec::new()] {
        fs::write(&list, wrong).unwrap();
        let error = Server::try_new(&config).err().unwrap().to_string();
        assert!(error.starts_with(&list.display().to_string()), "{error}");
    }
}

#[test]
fn a_self_signed_certificate_stays_until_its_time_is_nearly_up() {
    let year = Duration::from_secs(365 * 86_400);
    let certificate = Certificate::SelfSigned { hosts: vec!["127.0.0.1".to_owned()], validity: year };
    let authority = Authority::new();
    let clients = Clients::Trusted { ca: authority.path("ca.pem"), revoked: None, required: false };
    let config = Config { certificate, clients, policy: Policy::default() };
    let server = Server::try_new(&config).unwrap();
    let now = SystemTime::now();
    let error = shake(authority.client(), server.current()).unwrap_err();
    assert!(format!("{error:?}").contains("UnknownIssuer"), "{error:?}");
    let shown = |at| Arc::as_ptr(&server.current_at(at)).addr();
    let first = shown(now);
    assert_eq!(shown(now + year / 2), first);
    assert!(!server.reload().unwrap(), "there are no files of it");
    assert_eq!(shown(now), first);
    let second = shown(now + year / 20 * 19);
    assert!(second != first && shown(now + year / 20 * 19) == second);
    assert_eq!(server.expiry(), None);
}
