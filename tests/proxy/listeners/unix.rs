//! Unix sockets.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use http::HeaderMap;
use rustix::process::{Signal, getgid, getuid};

use super::{listening, socket};
use crate::http1::client::Connection;
use crate::observability::refusal;
use crate::support::certs::{Certs, Pair};
use crate::support::etcd::Etcd;
use crate::support::grpc::Channel;
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn grpc_http_1_and_etcdctl_are_served_on_a_unix_socket() {
    let etcd = Etcd::start();
    let (_directory, path) = socket();
    let _sidecar = listening(&etcd.endpoint(), &entry(&path, ""), "");
    let url = format!("unix://{}", path.display());
    let channel = Channel::connect(&url).await.unwrap();
    let answer = channel.unary("/etcdserverpb.KV/Put", HeaderMap::new(), b"\n\x01a\x12\x01b").await;
    assert_eq!(answer.status().code, Some(0), "{answer:?}");
    let version = Connection::open_unix(&path).await.unwrap().get("/version").await;
    assert_eq!(version.json()["etcdserver"], etcd.version());
    assert_eq!(etcdctl(&etcd, &url, &["get", "a"]), "a\nb\n");
    assert_eq!(etcdctl(&etcd, &url, &["put", "c", "d"]), "OK\n");
}

#[tokio::test]
async fn etcdctl_is_served_on_a_unix_socket_with_tls() {
    let (certs, etcd) = (Certs::new(), Etcd::start());
    let (_directory, path) = socket();
    let Pair { cert, key } = certs.server();
    let tls = format!("tls: {{cert-file: '{}', key-file: '{}'}}", cert.display(), key.display());
    let entry = format!("{{url: 'unixs://{}', {tls}}}", path.display());
    let _sidecar = listening(&etcd.endpoint(), &entry, "");
    let (ca, url) = (certs.ca().display().to_string(), format!("unixs://{}", path.display()));
    assert_eq!(etcdctl(&etcd, &url, &["--cacert", &ca, "put", "a", "b"]), "OK\n");
}

#[test]
fn the_socket_has_its_mode_and_its_group_and_goes_with_the_process() {
    let (_directory, path) = socket();
    // Only root can give a file away.
    let group = if getuid().is_root() { 12_345 } else { getgid().as_raw() };
    let more = format!("mode: 0620, owner: {}, group: {group}", getuid().as_raw());
    let mut sidecar = listening("http://127.0.0.1:1", &entry(&path, &more), "");
    let found = fs::metadata(&path).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!((found.mode() & 0o7777, found.gid()), (0o620, group));
    sidecar.terminate();
    assert!(sidecar.wait(Duration::from_secs(5)).is_some_and(|status| status.success()));
    assert!(!path.exists());
}

#[test]
fn by_default_owner_and_group_may_connect() {
    let (_directory, path) = socket();
    let _sidecar = listening("http://127.0.0.1:1", &entry(&path, ""), "");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o660);
}

#[tokio::test]
async fn what_a_killed_process_left_behind_is_replaced_and_a_living_one_is_not() {
    let etcd = Etcd::start();
    let (_directory, path) = socket();
    let mut first = listening(&etcd.endpoint(), &entry(&path, ""), "");
    let said = refused(&format!("unix://{}", path.display()));
    assert!(said.contains(&path.display().to_string()), "{said}");
    assert!(said.contains("another process listens at this socket"), "{said}");
    first.signal(Signal::KILL);
    assert!(first.wait(Duration::from_secs(5)).is_some());
    assert!(path.exists());
    let _second = listening(&etcd.endpoint(), &entry(&path, ""), "");
    let mut connection = Connection::open_unix(&path).await.unwrap();
    assert_eq!(connection.get("/version").await.status, 200);
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let (directory, path) = socket();
    fs::write(&path, "kept").unwrap();
    let said = refused(&format!("unix://{}", path.display()));
    assert!(said.contains("not a socket"), "{said}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "kept");
    let nowhere = directory.path().join("no/such/directory");
    let said = refused(&format!("unix://{}", nowhere.display()));
    assert!(said.contains("No such file"), "{said}");
}

#[test]
fn a_socket_that_was_put_in_its_place_outlives_it() {
    let (_directory, path) = socket();
    let mut sidecar = listening("http://127.0.0.1:1", &entry(&path, ""), "");
    fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    sidecar.terminate();
    assert!(sidecar.wait(Duration::from_secs(5)).is_some());
    assert!(path.exists());
}

fn entry(path: &Path, more: &str) -> String {
    format!("{{url: 'unix://{}', {more}}}", path.display())
}

fn etcdctl(etcd: &Etcd, url: &str, arguments: &[&str]) -> String {
    let output =
        etcd.etcdctl().args(["--endpoints", url]).args(arguments).output().expect("etcdctl can be started");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a start with this listener says.
fn refused(url: &str) -> String {
    let mut command = Sidecar::command();
    command.args(["--listen-client-urls", url, "--admin-url", "http://127.0.0.1:0"]);
    let (code, said) = refusal(command.args(["--endpoints", "http://127.0.0.1:1"]));
    assert_eq!(code, Some(1), "{said}");
    said
}
