//! etcd's own gRPC proxy, `etcd grpc-proxy start`, whose known defects some tests show beside what etcdlet does.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Instant;

use tempfile::TempDir;

use super::member::Etcd;
use super::{HEALTHY_LIMIT, POLL_INTERVAL};
use crate::support::http;
use crate::support::ports::{PORT_ATTEMPTS, PORT_LOST, free_port};
use crate::support::process::Process;

/// A running proxy of the same release as the member behind it; killed when dropped.
#[derive(Debug)]
pub(crate) struct GrpcProxy {
    // Dropped first: the process must be gone before its directory is.
    process: Process,
    listen: SocketAddr,
    _directory: TempDir,
}

impl GrpcProxy {
    pub(crate) fn start(etcd: &Etcd) -> Self {
        Self::with_args(etcd, &[])
    }

    pub(crate) fn with_args(etcd: &Etcd, arguments: &[&str]) -> Self {
        for _ in 0..PORT_ATTEMPTS {
            let listen: SocketAddr = (Ipv4Addr::LOCALHOST, free_port()).into();
            let directory = tempfile::Builder::new()
                .prefix("grpc-proxy-")
                .tempdir()
                .expect("a temporary directory can be made");
            let mut command = etcd.member.release.program("etcd");
            command
                .args(["grpc-proxy", "start"])
                .arg(format!("--endpoints={}", etcd.addr()))
                .arg(format!("--listen-addr={listen}"))
                // Its default is a port where nothing listens; it asks itself there and ends.
                .arg(format!("--advertise-client-url={listen}"))
                .arg("--data-dir")
                .arg(directory.path().join("data"))
                .args(arguments);
            let process = Process::spawn(command, &directory.path().join("log"));
            let mut proxy = Self { process, listen, _directory: directory };
            match proxy.wait_serving() {
                Ok(()) => return proxy,
                Err(report) if report.to_lowercase().contains(PORT_LOST) => {}
                Err(report) => panic!("{report}"),
            }
        }
        panic!("etcd grpc-proxy lost its ports {PORT_ATTEMPTS} times");
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    fn wait_serving(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + HEALTHY_LIMIT;
        loop {
            let exited = self.process.exited().is_some();
            // Its own metrics: /health needs rights where auth is on.
            if !exited && http::get(self.listen, "/proxy/metrics", HEALTHY_LIMIT).is_ok() {
                return Ok(());
            }
            if exited || Instant::now() >= deadline {
                return Err(format!("etcd grpc-proxy does not serve: {}", self.process.report()));
            }
            thread::sleep(POLL_INTERVAL);
        }
    }
}
