//! How members are started.

use std::path::PathBuf;

use super::member::{Etcd, Member, Ports};
use super::{Cluster, release::Release};
use crate::support::ports::{PORT_ATTEMPTS, PORT_LOST};

/// How members are started; what is not said is etcd's own default.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(super) version: Option<String>,
    pub(super) tls: Option<Tls>,
    pub(super) fsync: bool,
    pub(super) flags: Vec<String>,
    pub(super) env: Vec<(String, String)>,
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

    pub(crate) fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    pub(crate) fn start(self) -> Etcd {
        self.start_cluster(1).members.remove(0)
    }

    pub(crate) fn start_cluster(self, size: usize) -> Cluster {
        let release = Release::find(self.version.as_deref());
        for _ in 0..PORT_ATTEMPTS {
            let ports: Vec<Ports> = (0..size).map(|_| Ports::free()).collect();
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
                    Etcd::spawn(Member {
                        name: format!("m{index}"),
                        release: release.clone(),
                        options: self.clone(),
                        ports,
                        initial_cluster: initial_cluster.clone(),
                        directory: tempfile::Builder::new()
                            .prefix("etcd-")
                            .tempdir()
                            .expect("a temporary directory can be made"),
                    })
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
