use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::contender::Contender;
use crate::error::Error;
use crate::load::{Method, Plan, Pool};
use crate::options::Options;
use crate::process::{Process, free_address};
use crate::programs::Programs;
use crate::usage::CpuMark;
use crate::workload::{Workload, preload};

/// The members behind what is measured.
#[derive(Debug)]
pub(crate) struct Etcd(Vec<Member>);

#[derive(Debug)]
struct Member {
    address: SocketAddr,
    process: Process,
}

impl Etcd {
    /// Starts a cluster of this size and writes the keys that the workloads read.
    pub(crate) async fn start(
        size: usize,
        options: &Options,
        programs: &Programs,
        scratch: &Path,
        data: &Path,
    ) -> Result<Self, Error> {
        let mut places = Vec::new();
        for index in 0..size {
            places.push((format!("bench{index}"), free_address()?, format!("http://{}", free_address()?)));
        }
        let cluster: Vec<String> = places.iter().map(|(name, _, peer)| format!("{name}={peer}")).collect();
        let cluster = cluster.join(",");
        let mut members = Vec::new();
        for (name, address, peer) in places {
            let client = format!("http://{address}");
            let mut command = Command::new(&programs.etcd);
            command.arg("--data-dir").arg(data.join(&name));
            command.args(["--name", &name, "--log-level", "warn"]);
            command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
            command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
            command.args(["--initial-cluster", &cluster]);
            // A run writes about 200 MB of history; a long one must not end in a space alarm.
            command.args(["--quota-backend-bytes", "8589934592"]);
            if options.unsafe_no_fsync {
                command.arg("--unsafe-no-fsync");
            }
            let process = Process::spawn(&format!("etcd-{name}"), command, scratch)?;
            members.push(Member { address, process });
        }
        for Member { address, process } in &mut members {
            process.until_ready(*address).await?;
        }
        write_keys(members[0].address).await?;
        Ok(Self(members))
    }

    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.0.iter().map(|member| member.address).collect()
    }

    /// Of each member.
    pub(crate) fn cpu(&self) -> Result<Vec<CpuMark>, Error> {
        self.0.iter().map(|member| CpuMark::read(&member.process)).collect()
    }
}

async fn write_keys(address: SocketAddr) -> Result<(), Error> {
    let bodies = preload();
    let calls = bodies.len() as u64;
    let plan = Plan {
        method: Method::Put,
        connections: 1,
        in_flight_per_connection: 32,
        calls,
        bodies,
        reply_bytes_min: 1,
    };
    let pool = Pool::open(&[address], &plan).await?;
    pool.run(calls).await.into_valid(Workload::Put, Contender::Direct)?;
    Ok(())
}
