//! One of the commands, of etcd or of etcdlet, that has said that it is ready.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::ports::{PORT_ATTEMPTS, PORT_LOST, free_port};
use crate::support::process::{Process, Signal};

/// Killed when dropped.
pub(super) struct Subject {
    // Dropped first: the process must be gone before its directory is.
    process: Process,
    listen: SocketAddr,
    _directory: TempDir,
}

impl Subject {
    /// `program GROUP start --listen-addr=… ARGUMENTS`, in which `{listen}` stands for its address, and `{other}`
    /// for another free one. Ready is who logs `ready`.
    pub(super) fn start(program: impl Fn() -> Command, group: &str, arguments: &[&str], ready: &str) -> Self {
        for _ in 0..PORT_ATTEMPTS {
            let listen: SocketAddr = (Ipv4Addr::LOCALHOST, free_port()).into();
            let other: SocketAddr = (Ipv4Addr::LOCALHOST, free_port()).into();
            let directory = tempfile::tempdir().expect("a temporary directory can be made");
            let mut command = program();
            command
                .current_dir(directory.path())
                .args([group, "start"])
                .arg(format!("--listen-addr={listen}"));
            for argument in arguments {
                let argument = argument.replace("{listen}", &listen.to_string());
                command.arg(argument.replace("{other}", &other.to_string()));
            }
            let process = Process::spawn(command, &directory.path().join("log"));
            let mut subject = Self { process, listen, _directory: directory };
            match subject.wait_ready(ready) {
                Ok(()) => return subject,
                Err(report) if report.to_lowercase().contains(PORT_LOST) => {}
                Err(report) => panic!("{report}"),
            }
        }
        panic!("{group} lost its ports {PORT_ATTEMPTS} times");
    }

    pub(super) fn url(&self) -> String {
        self.listen.to_string()
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.listen
    }

    pub(super) fn signal(&mut self, signal: Signal) {
        self.process.signal(signal);
    }

    pub(super) fn log(&self) -> String {
        self.process.log()
    }

    /// Asks it to end and waits until it has.
    pub(super) fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        let status = self.process.wait(LIMIT);
        status.unwrap_or_else(|| panic!("it ignores SIGTERM: {}", self.process.report()))
    }

    fn wait_ready(&mut self, ready: &str) -> Result<(), String> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let exited = self.process.exited().is_some();
            if !exited && self.log().contains(ready) {
                return Ok(());
            }
            if exited || Instant::now() >= deadline {
                return Err(format!("it does not say {ready:?}: {}", self.process.report()));
            }
            thread::sleep(POLL_INTERVAL);
        }
    }
}

pub(super) const GRPC_PROXY_READY: &str = "started gRPC proxy";

pub(super) const LIMIT: Duration = Duration::from_secs(20);
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(20);
