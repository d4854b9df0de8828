use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::load::{Connection, Method, wire};
use crate::usage::Pid;
use crate::workload::GET_KEY;

/// A child that does not outlive its owner.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Runs `command` inside `scratch`, with its output in a file there.
    pub(crate) fn spawn(name: &str, mut command: Command, scratch: &Path) -> Result<Self, Error> {
        let log = scratch.join(format!("{name}.log"));
        let output = File::create(&log)?;
        let child = command
            .current_dir(scratch)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        Ok(Self { child, name: name.to_owned(), log })
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::new(self.child.id())
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Waits until a linearizable get through `address` succeeds.
    pub(crate) async fn until_ready(&mut self, address: SocketAddr) -> Result<(), Error> {
        let deadline = Instant::now() + READY_TIMEOUT;
        while Instant::now() < deadline && self.child.try_wait()?.is_none() {
            let probe = tokio::time::timeout(PROBE_TIMEOUT, probe(address)).await;
            if matches!(probe, Ok(true)) {
                return Ok(());
            }
            tokio::time::sleep(PROBE_PAUSE).await;
        }
        Err(Error::Dead { program: self.name.clone(), log: self.log_tail() })
    }

    fn log_tail(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Failing means that it has ended by itself.
        if self.child.kill().is_ok() {
            self.child.wait().ok();
        }
    }
}

/// A loopback address whose port was free a moment ago.
pub(crate) fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

async fn probe(address: SocketAddr) -> bool {
    let Ok(connection) = Connection::open(address).await else {
        return false;
    };
    let mut caller = connection.caller(Method::Range);
    caller.unary(wire::range(GET_KEY, b""), 1).await.is_ok()
}

const READY_TIMEOUT: Duration = Duration::from_secs(30);
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
const PROBE_PAUSE: Duration = Duration::from_millis(50);
const LOG_TAIL_LINES: usize = 20;
