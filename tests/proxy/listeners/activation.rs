//! Sockets that were opened by who started the process (`sd_listen_fds(3)`).

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::socket;
use crate::http1::client::Connection;
use crate::support::etcd::Etcd;
use crate::support::http;
use crate::support::ports::free_port;
use crate::support::process::{Process, Signal};
use crate::support::sidecar::Sidecar;

/// An etcdlet that was given sockets; killed when dropped.
pub(super) struct Activated {
    process: Process,
    _directory: TempDir,
}

impl Activated {
    /// `{admin}` in the configuration stands for the address of the admin port.
    pub(super) fn start(yaml: &str, sockets: Vec<OwnedFd>) -> Self {
        let admin: SocketAddr = ([127, 0, 0, 1], free_port()).into();
        let mut activated = Self::spawn(&yaml.replace("{admin}", &admin.to_string()), sockets);
        let deadline = Instant::now() + LIMIT;
        while http::get(admin, "/metrics", LIMIT).is_err() {
            let ended = activated.process.exited().is_some();
            assert!(!ended && Instant::now() < deadline, "{}", activated.process.report());
            thread::sleep(Duration::from_millis(5));
        }
        activated
    }

    fn spawn(yaml: &str, sockets: Vec<OwnedFd>) -> Self {
        let directory =
            tempfile::Builder::new().prefix("etcdlet-").tempdir().expect("a directory can be made");
        let file = directory.path().join("etcdlet.yaml");
        fs::write(&file, yaml).expect("a file can be written");
        let mut command = Sidecar::command();
        command.args(["run", "--config"]).arg(file);
        let environment = format!("LISTEN_FDS={} LISTEN_PID=$$", sockets.len());
        let log = directory.path().join("log");
        let process = Process::spawn_passing(&command, sockets, &environment, &log);
        Self { process, _directory: directory }
    }

    /// Asks it to end, and waits until it has.
    pub(super) fn stop(&mut self) {
        self.process.signal(Signal::TERM);
        let status = self.process.wait(LIMIT);
        assert!(status.is_some_and(|status| status.success()), "{}", self.process.report());
    }
}

#[tokio::test]
async fn sockets_are_found_by_their_addresses_and_others_are_bound_as_usual() {
    let etcd = Etcd::start();
    let (_directory, path) = socket();
    let (tcp, unix) = (TcpListener::bind("127.0.0.1:0").unwrap(), UnixListener::bind(&path).unwrap());
    let (address, bound) = (tcp.local_addr().unwrap(), free_port());
    let yaml = configuration(
        &etcd,
        &format!(
            "{{url: 'http://127.0.0.1:{bound}'}}, {{url: 'http://{address}'}}, {{url: 'unix://{}', mode: 0600}}",
            path.display()
        ),
    );
    // Not in the order of the configuration.
    let mut activated =
        Activated::start(&yaml, vec![unix.try_clone().unwrap().into(), tcp.try_clone().unwrap().into()]);
    for url in [format!("http://{address}"), format!("http://127.0.0.1:{bound}")] {
        assert_eq!(Connection::open(&url).await.get("/version").await.status, 200);
    }
    assert_eq!(Connection::open_unix(&path).await.unwrap().get("/version").await.status, 200);
    activated.stop();
    // They are whoever's who opened them: clients can still connect, and wait.
    assert!(path.exists());
    let _waiting = Connection::open_unix(&path).await.unwrap();
    let _waiting = Connection::open(&format!("http://{address}")).await;
    assert!(std::net::TcpStream::connect(("127.0.0.1", bound)).is_err());
}

#[tokio::test]
async fn a_socket_of_all_addresses_is_found_and_so_is_that_of_the_admin_port() {
    let etcd = Etcd::start();
    let (all, admin) = (TcpListener::bind("[::]:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let port = all.local_addr().unwrap().port();
    let yaml = configuration(&etcd, &format!("{{url: 'http://0.0.0.0:{port}'}}"));
    let yaml = yaml.replace("{admin}", &admin.local_addr().unwrap().to_string());
    let sockets = vec![all.try_clone().unwrap().into(), admin.try_clone().unwrap().into()];
    let _activated = Activated::spawn(&yaml, sockets);
    assert_eq!(Connection::open(&format!("http://127.0.0.1:{port}")).await.get("/version").await.status, 200);
    let (status, metrics) = http::get(admin.local_addr().unwrap(), "/metrics", LIMIT).unwrap();
    assert!(status == 200 && metrics.contains("etcdlet_build_info"), "{metrics}");
}

#[test]
fn a_socket_that_fits_no_listener_is_an_error_that_names_both() {
    let (other, port) = (TcpListener::bind("127.0.0.1:0").unwrap(), free_port());
    let address = other.local_addr().unwrap();
    let yaml = format!(
        "listen: [{{url: 'http://127.0.0.1:{port}'}}]\nupstream: {{endpoints: ['a:1']}}\nadmin: {{url: 'http://127.0.0.1:0'}}\n"
    );
    let said = refused(&yaml, vec![other.into()]);
    for named in [format!("tcp://{address}"), format!("http://127.0.0.1:{port}"), "(admin)".to_owned()] {
        assert!(said.contains(&named), "{said}");
    }
    let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let said = refused(&yaml, vec![datagrams.into()]);
    assert!(said.contains("inherited socket 1 (LISTEN_FDS) is neither"), "{said}");
    let connected = std::os::unix::net::UnixStream::pair().unwrap().0;
    let said = refused(&yaml, vec![connected.into()]);
    assert!(said.contains("inherited socket 1 (LISTEN_FDS)"), "{said}");
}

#[test]
fn sockets_for_another_process_are_none_of_ours() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let mut command = Sidecar::command();
    command.args(["--listen-client-urls", "http://127.0.0.1:0", "--admin-url", "http://127.0.0.1:0"]);
    command.args(["--endpoints", "http://127.0.0.1:1"]);
    let process = Process::spawn_passing(&command, vec![other.into()], "LISTEN_FDS=1 LISTEN_PID=1", &log);
    let deadline = Instant::now() + LIMIT;
    while !process.log().contains("\"listening\"") {
        assert!(Instant::now() < deadline, "{}", process.log());
        thread::sleep(Duration::from_millis(5));
    }
    assert!(!process.log().contains("inherited"), "{}", process.log());
}

/// systemd's own way to pass sockets.
#[tokio::test]
async fn systemd_socket_activate_starts_it_with_the_first_connection() {
    let etcd = Etcd::start();
    let port = free_port();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("etcdlet.yaml");
    let yaml = configuration(&etcd, &format!("{{url: 'http://127.0.0.1:{port}'}}"));
    fs::write(&file, yaml.replace("{admin}", "127.0.0.1:0")).unwrap();
    let program = Sidecar::command().get_program().to_owned();
    let mut command = Command::new("systemd-socket-activate");
    command.arg("--listen").arg(format!("127.0.0.1:{port}")).arg(program).args(["run", "--config"]).arg(file);
    let process = Process::spawn(command, &directory.path().join("log"));
    let deadline = Instant::now() + LIMIT;
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "{}", process.log());
        thread::sleep(Duration::from_millis(5));
    }
    let mut connection = Connection::open(&format!("http://127.0.0.1:{port}")).await;
    assert_eq!(connection.get("/version").await.status, 200, "{}", process.log());
}

pub(super) fn configuration(etcd: &Etcd, listeners: &str) -> String {
    format!(
        "
listen: [{listeners}]
upstream: {{endpoints: ['{}']}}
admin: {{url: 'http://{{admin}}'}}
",
        etcd.endpoint()
    )
}

/// What a start with these sockets says.
fn refused(yaml: &str, sockets: Vec<OwnedFd>) -> String {
    let mut activated = Activated::spawn(yaml, sockets);
    let status = activated.process.wait(LIMIT);
    let said = activated.process.log();
    assert!(status.is_some_and(|status| status.code() == Some(1)), "{status:?}: {said}");
    said
}

const LIMIT: Duration = Duration::from_secs(10);
