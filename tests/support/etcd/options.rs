//! How members are started.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use super::Cluster;
use super::member::{Etcd, Member, Ports};
use super::release::Release;
use crate::support::ports::{PORT_ATTEMPTS, PORT_LOST};

/// How members are started; what is not said is etcd's own default.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(super) version: Option<String>,
    pub(super) tls: Option<Tls>,
    pub(super) fsync: bool,
    pub(super) flags: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    hosts: Vec<Host>,
}

/// Where a member runs.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) address: Ipv4Addr,
    /// The network namespace that has the address; the test's own when there is none.
    pub(crate) namespace: Option<String>,
}

/// TLS towards clients; between the members there is none.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    pub(crate) cert_file: PathBuf,
    pub(crate) key_file: PathBuf,
    /// What the fixture trusts. The members get it only together with `client_cert_auth`: given it, etcd demands
    /// client certificates even when that flag is off.
    pub(crate) trusted_ca_file: PathBuf,
    pub(crate) client_cert_auth: bool,
    /// Certificate and key that the fixture itself shows to the members.
    pub(crate) client: Option<(PathBuf, PathBuf)>,
}

impl Options {
    /// A release line ("3.6", its newest installed patch) or one release ("3.5.16").
    pub(crate) fn version(mut self, version: &str) -> Self {
        self.version = Some(version.to_owned());
        self
    }

    pub(crate) fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Lets the members wait for the disk, which they don't here: nothing that a test does loses the page cache,
    /// and on a slow disk the waiting costs them their leader.
    pub(crate) fn fsync(mut self) -> Self {
        self.fsync = true;
        self
    }

    /// One more flag; the last of equal ones wins, over those of the fixture too.
    pub(crate) fn flag(mut self, flag: impl Into<String>) -> Self {
        self.flags.push(flag.into());
        self
    }

    /// Whether their health is not to be had by plain HTTP.
    pub(super) fn asks_in_grpc(&self) -> bool {
        self.has_tls() || self.flags.iter().any(|flag| flag.starts_with("--listen-client-http-urls"))
    }

    pub(crate) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    pub(crate) fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Where each member runs, on a loopback address of this machine otherwise.
    pub(crate) fn hosts(mut self, hosts: Vec<Host>) -> Self {
        self.hosts = hosts;
        self
    }

    pub(crate) fn start(self) -> Etcd {
        self.start_cluster(1).members.remove(0)
    }

    pub(crate) fn start_cluster(self, size: usize) -> Cluster {
        let release = Release::find(self.version.as_deref());
        for _ in 0..PORT_ATTEMPTS {
            let ports: Vec<Ports> =
                (0..size).map(|index| Ports::free(self.hosts.get(index).cloned())).collect();
            let initial_cluster = ports
                .iter()
                .enumerate()
                .map(|(index, ports)| format!("m{index}={}", ports.peer_url()))
                .collect::<Vec<_>>()
                .join(",");
            let members = ports
                .into_iter()
                .enumerate()
                .map(|(index, ports)| {
                    let name = format!("m{index}");
                    Etcd::spawn(Member::new(name, ports, &initial_cluster, &release, self.clone()))
                })
                .collect();
            let mut cluster = Cluster { members };
            match cluster.try_wait_healthy() {
                Ok(()) => return cluster,
                Err(report) if report.to_lowercase().contains(PORT_LOST) => {}
                Err(report) => panic!("{report}"),
            }
        }
        panic!("etcd lost its ports {PORT_ATTEMPTS} times");
    }
}
