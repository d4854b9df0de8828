use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::contender::Contender;
use crate::error::Error;
use crate::load::{Method, Plan, Pool};
use crate::options::Options;
use crate::process::{Process, free_address};
use crate::programs::Programs;
use crate::workload::{Workload, preload};

/// The one etcd member behind everything that is measured.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) address: SocketAddr,
    pub(crate) process: Process,
}

impl Member {
    /// Starts it and writes the keys that the workloads read.
    pub(crate) async fn start(
        options: &Options,
        programs: &Programs,
        scratch: &Path,
        data: &Path,
    ) -> Result<Self, Error> {
        let address = free_address()?;
        let client = format!("http://{address}");
        let peer = format!("http://{}", free_address()?);
        let mut command = Command::new(&programs.etcd);
        command.arg("--data-dir").arg(data);
        command.args(["--name", "bench", "--log-level", "warn"]);
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &format!("bench={peer}")]);
        // A run writes about 200 MB of history; a long one must not end in a space alarm.
        command.args(["--quota-backend-bytes", "8589934592"]);
        if options.unsafe_no_fsync {
            command.arg("--unsafe-no-fsync");
        }
        let mut process = Process::spawn("etcd", command, scratch)?;
        process.until_ready(address).await?;
        write_keys(address).await?;
        Ok(Self { address, process })
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
    let pool = Pool::open(address, &plan).await?;
    pool.run(calls).await.into_valid(Workload::Put, Contender::Direct)?;
    Ok(())
}
