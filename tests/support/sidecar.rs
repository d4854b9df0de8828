//! etcdlet processes.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::http;
use super::ports::{PORT_ATTEMPTS, PORT_LOST, free_port};
use super::process::{Process, Signal};

/// A running etcdlet that listens on a loopback port; killed when dropped.
#[derive(Debug)]
pub(crate) struct Sidecar {
    // Dropped first: the process must be gone before its directory is.
    process: Process,
    listen: SocketAddr,
    admin: SocketAddr,
    directory: TempDir,
}

impl Sidecar {
    /// In front of these endpoints, everything else by default.
    pub(crate) fn start<E: AsRef<str>>(endpoints: &[E]) -> Self {
        let endpoints: Vec<&str> = endpoints.iter().map(AsRef::as_ref).collect();
        Self::with_args(&["--endpoints", &endpoints.join(",")])
    }

    /// The same with each stream of a client on one of its own to a member.
    pub(crate) fn passing<E: AsRef<str>>(endpoints: &[E]) -> Self {
        let endpoints: Vec<&str> = endpoints.iter().map(AsRef::as_ref).collect();
        Self::with_config(&format!(
            "
listen: [{{url: 'http://{{listen}}'}}]
upstream: {{endpoints: ['{}']}}
watch: {{coalesce: false}}
lease: {{coalesce: false}}
admin: {{url: 'http://{{admin}}'}}
",
            endpoints.join("', '")
        ))
    }

    /// `run` with the fixture's ports and then `arguments`.
    pub(crate) fn with_args(arguments: &[&str]) -> Self {
        Self::launch(|listen, admin, _| {
            let mut command = Self::command();
            command
                .args(["run", "--listen-client-urls", &format!("http://{listen}")])
                .args(["--admin-url", &format!("http://{admin}")])
                .args(arguments);
            command
        })
    }

    /// The same with a listener of TLS.
    pub(crate) fn https_with_args(arguments: &[&str]) -> Self {
        Self::launch(|listen, admin, _| {
            let mut command = Self::command();
            command
                .args(["run", "--listen-client-urls", &format!("https://{listen}")])
                .args(["--admin-url", &format!("http://{admin}")])
                .args(arguments);
            command
        })
    }

    /// `run` with a configuration file, in which `{listen}` and `{admin}` stand for the fixture's two addresses
    /// (host and port, without a scheme).
    pub(crate) fn with_config(yaml: &str) -> Self {
        Self::with_environment(yaml, &[])
    }

    /// The same, with these variables in its environment.
    pub(crate) fn with_environment(yaml: &str, environment: &[(&str, &str)]) -> Self {
        Self::launch(|listen, admin, directory| {
            let file = config_file(directory);
            write_config(&file, yaml, listen, admin);
            let mut command = Self::command();
            command.args(["run", "--config"]).arg(file).envs(environment.iter().copied());
            command
        })
    }

    /// The program, deaf to what the environment says about it.
    pub(crate) fn command() -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_etcdlet"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ETCDLET_") {
                command.env_remove(&name);
            }
        }
        command
    }

    /// Replaces the configuration file of `with_config`, as an editor does: by a rename.
    pub(crate) fn rewrite_config(&self, yaml: &str) {
        let file = config_file(self.directory.path());
        let new = file.with_extension("new");
        write_config(&new, yaml, self.listen, self.admin);
        fs::rename(new, file).expect("the configuration can be replaced");
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.listen
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    pub(crate) fn admin_addr(&self) -> SocketAddr {
        self.admin
    }

    pub(crate) fn admin_url(&self) -> String {
        format!("http://{}", self.admin)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// All that it wrote to its standard error and output.
    pub(crate) fn log(&self) -> String {
        self.process.log()
    }

    /// What the admin port answers to `GET path`: status code and body.
    pub(crate) fn admin_get(&self, path: &str) -> (u16, String) {
        http::get(self.admin, path, ADMIN_LIMIT)
            .unwrap_or_else(|error| panic!("GET {path} from the admin port: {error}"))
    }

    /// The same for any method, with a body.
    pub(crate) fn admin_request(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        http::request(self.admin, method, path, body, ADMIN_LIMIT)
            .unwrap_or_else(|error| panic!("{method} {path} to the admin port: {error}"))
    }

    pub(crate) fn metrics(&self) -> String {
        let (status, body) = self.admin_get("/metrics");
        assert_eq!(status, 200, "GET /metrics: {body}");
        body
    }

    pub(crate) fn rss_bytes(&self) -> u64 {
        self.process.rss_bytes()
    }

    /// User and system time so far, in steps of 10 ms.
    pub(crate) fn cpu_time(&self) -> Duration {
        self.process.cpu_time()
    }

    pub(crate) fn signal(&mut self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Asks it to drain and end.
    pub(crate) fn terminate(&mut self) {
        self.signal(Signal::TERM);
    }

    /// Waits until it has ended; `None` when it still runs at the limit.
    pub(crate) fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        self.process.wait(limit)
    }

    fn launch(command: impl Fn(SocketAddr, SocketAddr, &Path) -> Command) -> Self {
        for _ in 0..PORT_ATTEMPTS {
            let listen = (Ipv4Addr::LOCALHOST, free_port()).into();
            let admin = (Ipv4Addr::LOCALHOST, free_port()).into();
            let directory = tempfile::Builder::new()
                .prefix("etcdlet-")
                .tempdir()
                .expect("a temporary directory can be made");
            let process =
                Process::spawn(command(listen, admin, directory.path()), &directory.path().join("log"));
            let mut sidecar = Self { process, listen, admin, directory };
            match sidecar.wait_accepting() {
                Ok(()) => return sidecar,
                Err(report) if report.to_lowercase().contains(PORT_LOST) => {}
                Err(report) => panic!("{report}"),
            }
        }
        panic!("etcdlet lost its ports {PORT_ATTEMPTS} times");
    }

    /// The connection that tried it was counted and is over: a test's own begin at a known count.
    fn wait_counted(&self, deadline: Instant) {
        let counted = |metrics: &str| {
            metrics.lines().any(|line| line == "etcdlet_connections_total 1")
                && metrics.lines().any(|line| line == "etcdlet_connections 0")
        };
        while Instant::now() < deadline && !counted(&self.metrics()) {
            thread::sleep(POLL_INTERVAL);
        }
    }

    fn wait_accepting(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + ACCEPTING_LIMIT;
        loop {
            let exited = self.process.exited().is_some();
            if !exited && TcpStream::connect_timeout(&self.listen, ACCEPTING_LIMIT).is_ok() {
                self.wait_counted(deadline);
                return Ok(());
            }
            if exited || Instant::now() >= deadline {
                return Err(format!("etcdlet does not accept: {}", self.process.report()));
            }
            thread::sleep(POLL_INTERVAL);
        }
    }
}

fn config_file(directory: &Path) -> PathBuf {
    directory.join("etcdlet.yaml")
}

fn write_config(file: &Path, yaml: &str, listen: SocketAddr, admin: SocketAddr) {
    let yaml = yaml.replace("{listen}", &listen.to_string()).replace("{admin}", &admin.to_string());
    fs::write(file, yaml).expect("the configuration can be written");
}

const ACCEPTING_LIMIT: Duration = Duration::from_secs(10);
const ADMIN_LIMIT: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(5);
