//! etcdlet as it is installed: the static binary in an empty root directory, the image, the unit under a systemd of
//! its own. It needs root and an optimised static build, and so is no part of the gate: `.ci/run --long ops` prepares
//! and runs it.

mod empty_root;
mod image;
mod unit;

#[path = "../support/mod.rs"]
mod support;

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use support::etcd::Etcd;
use support::ports::free_port;
use support::tools::installed;

/// What a container engine or `chroot` runs it as.
const USER: &str = "65532:65532";

fn static_binary() -> PathBuf {
    let path =
        std::env::var_os("ETCDLET_STATIC").expect("ETCDLET_STATIC names the binary: .ci/run --long ops");
    PathBuf::from(path)
}

/// A configuration in front of this etcd, and where it listens.
fn configuration(endpoint: &str) -> (String, SocketAddr) {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let text = format!(
        "listen: [{{url: 'http://{listen}'}}]\n\
         upstream: {{endpoints: ['{endpoint}']}}\n\
         admin: {{url: 'http://127.0.0.1:{}'}}\n",
        free_port()
    );
    (text, listen)
}

/// Killed when dropped.
struct Running {
    child: Child,
    listen: SocketAddr,
}

impl Running {
    /// Waits until it accepts connections.
    fn start(command: &mut Command, listen: SocketAddr) -> Self {
        let child = command.stdin(Stdio::null()).spawn();
        let child = child.unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display()));
        let mut running = Self { child, listen };
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect(listen).is_err() {
            let ended = running.child.try_wait().expect("a child can be waited for");
            assert!(ended.is_none(), "{command:?} ended: {ended:?}");
            assert!(Instant::now() < deadline, "{command:?} does not accept");
            thread::sleep(Duration::from_millis(20));
        }
        running
    }

    /// One value there and back, which etcd has then.
    fn put_and_get(&self, etcd: &Etcd) {
        let value = format!("value-{}", self.listen.port());
        etcdctl(self.listen, &["put", "key", &value]);
        assert_eq!(etcdctl(self.listen, &["get", "--print-value-only", "key"]), value);
        assert_eq!(etcd.run_etcdctl(&["get", "--print-value-only", "key"]).trim(), value);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

fn etcdctl(listen: SocketAddr, arguments: &[&str]) -> String {
    let mut etcdctl = Command::new(installed("etcd/default/bin/etcdctl"));
    succeed(etcdctl.args(["--endpoints", &listen.to_string()]).args(arguments))
}

/// What it printed; panics with what it said when it fails.
fn succeed(command: &mut Command) -> String {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display()));
    let said = String::from_utf8_lossy(&output.stderr);
    let printed = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert!(output.status.success(), "{command:?}: {}\n{said}{printed}", output.status);
    printed
}

const START_LIMIT: Duration = Duration::from_secs(20);
