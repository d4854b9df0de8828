//! One member.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::options::{Host, Options};
use super::release::Release;
use super::{HEALTHY_LIMIT, POLL_INTERVAL};
use crate::support::http;
use crate::support::netns;
use crate::support::ports::free_port;
use crate::support::process::{Process, Signal};

/// One member.
#[derive(Debug)]
pub(crate) struct Etcd {
    // Dropped first: the process must be gone before its directory is.
    process: Process,
    pub(super) member: Member,
}

/// What a member keeps over a restart.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) release: Release,
    pub(super) options: Options,
    pub(super) ports: Ports,
    pub(super) initial_cluster: String,
    pub(super) directory: TempDir,
}

impl Etcd {
    pub(crate) fn start() -> Self {
        Options::default().start()
    }

    pub(crate) fn start_version(version: &str) -> Self {
        Options::default().version(version).start()
    }

    /// The exact release, "3.5.30".
    pub(crate) fn version(&self) -> &str {
        self.member.release.version()
    }

    pub(crate) fn name(&self) -> &str {
        &self.member.name
    }

    pub(crate) fn endpoint(&self) -> String {
        self.member.client_url()
    }

    pub(crate) fn endpoints(&self) -> Vec<String> {
        vec![self.endpoint()]
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.member.ports.client_addr()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub(crate) fn cpu_time(&self) -> Duration {
        self.process.cpu_time()
    }

    pub(crate) fn log(&self) -> String {
        self.process.log()
    }

    /// What it tells Prometheus.
    pub(crate) fn metrics(&self) -> String {
        match http::get(self.addr(), "/metrics", METRICS_LIMIT) {
            Ok((200, body)) => body,
            other => panic!("metrics of {}: {other:?}", self.name()),
        }
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.member.data_dir()
    }

    pub(crate) fn release(&self) -> &Release {
        &self.member.release
    }

    /// This release's etcdctl, not yet told where to go.
    pub(crate) fn etcdctl(&self) -> Command {
        let mut command = self.member.release.program("etcdctl");
        // From 3.6 on etcdctl complains about the variable.
        if !self.member.release.is_at_least(3, 6) {
            command.env("ETCDCTL_API", "3");
        }
        command
    }

    /// This release's etcdutl, which there is from 3.5 on.
    pub(crate) fn etcdutl(&self) -> Command {
        self.member.release.program("etcdutl")
    }

    /// What etcdctl prints when it asks this very member; panics when it fails.
    pub(crate) fn run_etcdctl(&self, arguments: &[&str]) -> String {
        let output = self.etcdctl_here().args(arguments).output().expect("etcdctl can be started");
        assert!(
            output.status.success(),
            "etcdctl {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("etcdctl prints text")
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Asks it to end and waits until it has.
    pub(crate) fn terminate(&mut self) {
        self.process.signal(Signal::TERM);
        assert!(
            self.process.wait(HEALTHY_LIMIT).is_some(),
            "etcd ignores SIGTERM: {}",
            self.process.report()
        );
    }

    /// Keeps its sockets open and answers nothing, until `thaw`; returns when it stands still.
    pub(crate) fn freeze(&mut self) {
        self.process.stop();
    }

    pub(crate) fn thaw(&mut self) {
        self.process.signal(Signal::CONT);
    }

    /// Starts it again on the same ports and data, and waits until it is healthy.
    pub(crate) fn restart(&mut self) {
        self.respawn();
        self.wait_healthy();
    }

    /// Starts it again without waiting, which a member without a quorum needs.
    pub(crate) fn respawn(&mut self) {
        self.process.kill();
        self.process = Process::spawn(self.member.command(), &self.member.log());
    }

    /// Starts it again as another release, on the same data.
    pub(crate) fn restart_as(&mut self, version: &str) {
        self.member.release = Release::find(Some(version));
        self.restart();
    }

    pub(crate) fn wait_healthy(&mut self) {
        let deadline = Instant::now() + HEALTHY_LIMIT;
        while !self.is_healthy() {
            if !self.is_running() || Instant::now() >= deadline {
                panic!("{}", self.report());
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.process.exited().is_none()
    }

    /// Whether it runs and its cluster has a leader.
    pub(crate) fn is_healthy(&mut self) -> bool {
        if !self.is_running() {
            return false;
        }
        if self.member.options.asks_in_grpc() {
            let output = self.etcdctl_here().args(["endpoint", "health"]).output();
            output.is_ok_and(|output| output.status.success())
        } else {
            http::get(self.addr(), "/health", HEALTH_REPLY_LIMIT)
                .is_ok_and(|(_, body)| body.contains(r#""health":"true""#))
        }
    }

    pub(super) fn spawn(member: Member) -> Self {
        Self { process: Process::spawn(member.command(), &member.log()), member }
    }

    /// Why it is not healthy, for a panic's message.
    pub(super) fn report(&mut self) -> String {
        let state = self.process.report();
        format!("etcd {} {} is not healthy: {state}", self.version(), self.member.name)
    }

    fn etcdctl_here(&self) -> Command {
        let mut command = self.etcdctl();
        command.args(["--dial-timeout=2s", "--command-timeout=5s"]);
        command.arg(format!("--endpoints={}", self.endpoint()));
        if let Some(tls) = &self.member.options.tls {
            command.arg("--cacert").arg(&tls.trusted_ca_file);
            if let Some((cert, key)) = &tls.client {
                command.arg("--cert").arg(cert).arg("--key").arg(key);
            }
        }
        command
    }

    /// Its member id, the id of who it takes for the leader, and its term.
    pub(super) fn status(&mut self) -> Option<(u64, u64, u64)> {
        let status = self.status_json()?;
        Some((
            status.get("header")?.get("member_id")?.as_u64()?,
            status.get("leader")?.as_u64()?,
            status.get("raftTerm")?.as_u64()?,
        ))
    }

    /// All that it says of itself.
    pub(super) fn status_json(&mut self) -> Option<serde_json::Value> {
        if !self.is_running() {
            return None;
        }
        let output = self
            .etcdctl_here()
            .args(["--command-timeout=1s", "endpoint", "status", "--write-out=json"])
            .output()
            .ok()?;
        let mut status: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        Some(status.get_mut(0)?.get_mut("Status")?.take())
    }
}

impl Member {
    pub(super) fn new(
        name: String,
        ports: Ports,
        initial_cluster: &str,
        release: &Release,
        options: Options,
    ) -> Self {
        let directory =
            tempfile::Builder::new().prefix("etcd-").tempdir().expect("a temporary directory can be made");
        let (release, initial_cluster) = (release.clone(), initial_cluster.to_owned());
        Self { name, release, options, ports, initial_cluster, directory }
    }

    fn command(&self) -> Command {
        let Self { name, release, options, ports, initial_cluster, directory: _ } = self;
        let mut command = release.program("etcd");
        command
            .args(["--logger=zap", "--log-outputs=stderr", "--log-level=error"])
            .arg(format!("--name={name}"))
            .arg(format!("--listen-client-urls={}", self.client_url()))
            .arg(format!("--advertise-client-urls={}", self.client_url()))
            .arg(format!("--listen-peer-urls={}", ports.peer_url()))
            .arg(format!("--initial-advertise-peer-urls={}", ports.peer_url()))
            .arg(format!("--initial-cluster={initial_cluster}"))
            // Names the cluster: two clusters that reuse a port never take each other for the same one.
            .arg(format!("--initial-cluster-token={initial_cluster}"))
            .arg("--data-dir")
            .arg(self.data_dir());
        // 3.4 does not know the flag.
        if !options.fsync && release.is_at_least(3, 5) {
            command.arg("--unsafe-no-fsync");
        }
        if let Some(tls) = &options.tls {
            command.arg("--cert-file").arg(&tls.cert_file);
            command.arg("--key-file").arg(&tls.key_file);
            if tls.client_cert_auth {
                command.arg("--client-cert-auth");
                command.arg("--trusted-ca-file").arg(&tls.trusted_ca_file);
            }
        }
        command.args(&options.flags);
        command.envs(options.env.iter().map(|(name, value)| (name, value)));
        match &ports.host.namespace {
            None => command,
            Some(namespace) => netns::inside(namespace, &command),
        }
    }

    fn client_url(&self) -> String {
        let scheme = if self.options.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.ports.client_addr())
    }

    fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }
}

#[derive(Clone, Debug)]
pub(super) struct Ports {
    host: Host,
    client: u16,
    peer: u16,
}

impl Ports {
    pub(super) fn free(host: Option<Host>) -> Self {
        let host = host.unwrap_or(Host { address: Ipv4Addr::LOCALHOST, namespace: None });
        Self { host, client: free_port(), peer: free_port() }
    }

    fn client_addr(&self) -> SocketAddr {
        (self.host.address, self.client).into()
    }

    pub(super) fn peer_url(&self) -> String {
        format!("http://{}:{}", self.host.address, self.peer)
    }
}

const HEALTH_REPLY_LIMIT: Duration = Duration::from_secs(2);
const METRICS_LIMIT: Duration = Duration::from_secs(10);
