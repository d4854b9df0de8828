use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::Error;
use crate::process::Process;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Pid(u32);

/// CPU time of a process at one moment.
#[derive(Debug)]
pub(crate) struct CpuMark {
    /// Run time by thread, in ns.
    threads: BTreeMap<u32, u64>,
    /// User and system time of the process, ended threads included, in ticks.
    ticks: u64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) resident_mib: f64,
    pub(crate) anonymous_mib: f64,
}

impl Pid {
    pub(crate) fn new(id: u32) -> Self {
        Self(id)
    }

    fn file(self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.0))
    }
}

impl CpuMark {
    pub(crate) fn read(process: &Process) -> Result<Self, Error> {
        Self::try_read(process.pid())
            .map_err(|source| Error::Usage { program: process.name().to_owned(), source })
    }

    /// What was used since `earlier`. The scheduler's figures are exact but die with their thread, so a
    /// thread that ended in between leaves only the ticks.
    pub(crate) fn since(&self, earlier: &Self) -> Duration {
        if !earlier.threads.keys().all(|thread| self.threads.contains_key(thread)) {
            return TICK * u32::try_from(self.ticks - earlier.ticks).unwrap_or(u32::MAX);
        }
        let used =
            self.threads.iter().map(|(thread, now)| now - earlier.threads.get(thread).unwrap_or(&0)).sum();
        Duration::from_nanos(used)
    }

    /// The same of several processes together, in the same order.
    pub(crate) fn since_all(now: &[Self], earlier: &[Self]) -> Duration {
        now.iter().zip(earlier).map(|(now, earlier)| now.since(earlier)).sum()
    }

    fn try_read(pid: Pid) -> io::Result<Self> {
        let mut threads = BTreeMap::new();
        for entry in fs::read_dir(pid.file("task"))? {
            let entry = entry?;
            let Some(thread) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // It may have ended since the listing.
            if let Ok(text) = fs::read_to_string(entry.path().join("schedstat")) {
                threads.insert(thread, number(text.split_whitespace().next())?);
            }
        }
        let stat = fs::read_to_string(pid.file("stat"))?;
        // The second field is the name in parentheses, which may contain blanks.
        let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11);
        let ticks = number(fields.next())? + number(fields.next())?;
        Ok(Self { threads, ticks })
    }
}

impl Memory {
    pub(crate) fn read(process: &Process) -> Result<Self, Error> {
        Self::try_read(process.pid())
            .map_err(|source| Error::Usage { program: process.name().to_owned(), source })
    }

    fn try_read(pid: Pid) -> io::Result<Self> {
        let status = fs::read_to_string(pid.file("status"))?;
        let mib = |label| {
            let line = status.lines().find_map(|line| line.strip_prefix(label));
            number(line.and_then(|rest| rest.split_whitespace().next())).map(|kib| kib as f64 / 1024.0)
        };
        Ok(Self { resident_mib: mib("VmRSS:")?, anonymous_mib: mib("RssAnon:")? })
    }
}

fn number(word: Option<&str>) -> io::Result<u64> {
    word.and_then(|word| word.parse().ok()).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// Linux reports ticks of this length to programs whatever the kernel's own.
const TICK: Duration = Duration::from_millis(10);
