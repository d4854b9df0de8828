use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use clap::ValueEnum;

use crate::error::Error;
use crate::haproxy;
use crate::process::{Process, free_address};
use crate::programs::Programs;

/// A way from a client to etcd. The order is that of the columns.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, ValueEnum)]
pub(crate) enum Contender {
    Direct,
    Etcdlet,
    GrpcProxy,
    HaproxyTcp,
    HaproxyH2,
}

/// A started contender. Direct has no process of its own.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) contender: Contender,
    /// A client uses them in turn.
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) process: Option<Process>,
    /// Where etcdlet serves its metrics.
    pub(crate) admin: Option<SocketAddr>,
}

impl Contender {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Etcdlet => "etcdlet",
            Self::GrpcProxy => "grpc-proxy",
            Self::HaproxyTcp => "haproxy-tcp",
            Self::HaproxyH2 => "haproxy-h2",
        }
    }

    /// Starts it in front of `etcd` and waits until it has answered a call.
    pub(crate) async fn start(
        self,
        programs: &Programs,
        etcd: &[SocketAddr],
        scratch: &Path,
    ) -> Result<Running, Error> {
        let (address, admin) = (free_address()?, free_address()?);
        let Some(command) = self.command(programs, etcd, address, admin, scratch)? else {
            return Ok(Running { contender: self, addresses: etcd.to_vec(), process: None, admin: None });
        };
        let mut process = Process::spawn(self.name(), command, scratch)?;
        process.until_ready(address).await?;
        let admin = (self == Self::Etcdlet).then_some(admin);
        Ok(Running { contender: self, addresses: vec![address], process: Some(process), admin })
    }

    fn command(
        self,
        programs: &Programs,
        etcd: &[SocketAddr],
        listen: SocketAddr,
        admin: SocketAddr,
        scratch: &Path,
    ) -> Result<Option<Command>, Error> {
        let endpoints = etcd.iter().map(|member| format!("http://{member}")).collect::<Vec<_>>().join(",");
        let command = match self {
            Self::Direct => return Ok(None),
            Self::Etcdlet => {
                let mut command = Command::new(&programs.etcdlet);
                command.args(["run", "--listen-client-urls", &format!("http://{listen}")]);
                command.args(["--endpoints", &endpoints]);
                command.args(["--admin-url", &format!("http://{admin}")]);
                command
            }
            Self::GrpcProxy => {
                let mut command = Command::new(&programs.etcd);
                command.args(["grpc-proxy", "start"]);
                command.arg(format!("--endpoints={endpoints}"));
                command.arg(format!("--listen-addr={listen}"));
                command.arg(format!("--advertise-client-url={listen}"));
                command
            }
            Self::HaproxyTcp => haproxy::command(programs, haproxy::Mode::Tcp, listen, etcd, scratch)?,
            Self::HaproxyH2 => haproxy::command(programs, haproxy::Mode::H2, listen, etcd, scratch)?,
        };
        Ok(Some(command))
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
