use std::fmt;
use std::fs;
use std::time::SystemTime;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::error::Error;
use crate::programs::Programs;

/// What a figure has to be read with.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) date: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: f64,
    pub(crate) processor: String,
    pub(crate) kernel: String,
    pub(crate) versions: Vec<(&'static str, String)>,
}

pub(crate) fn header(programs: &Programs) -> Header {
    let memory_kib = value_of("/proc/meminfo", "MemTotal")
        .and_then(|value| value.split_whitespace().next()?.parse::<f64>().ok());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Header {
        date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        memory_gib: memory_kib.unwrap_or_default() / (1024.0 * 1024.0),
        processor: value_of("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned()),
        // The rest of a release names whoever built it.
        kernel: kernel.split('-').next().unwrap_or_default().trim().to_owned(),
        versions: programs.versions.clone(),
    }
}

/// Children inherit the limit; haproxy and etcdlet hold two descriptors for a proxied connection.
pub(crate) fn raise_file_limit() -> Result<(), Error> {
    let limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum.unwrap_or(u64::MAX);
    if hard < FILES_MIN {
        return Err(Error::FileLimit { hard, needed: FILES_MIN });
    }
    let wanted = hard.min(FILES_WANTED);
    if limit.current.is_some_and(|current| current < wanted) {
        let raised = Rlimit { current: Some(wanted), maximum: limit.maximum };
        setrlimit(Resource::Nofile, raised).map_err(std::io::Error::from)?;
    }
    Ok(())
}

impl fmt::Display for Header {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { date, cores, memory_gib, processor, kernel, versions } = self;
        write!(formatter, "{date}; {cores} cores, {memory_gib:.1} GiB, {processor}, Linux {kernel}")?;
        for (name, version) in versions {
            write!(formatter, "; {name} {version}")?;
        }
        Ok(())
    }
}

fn value_of(path: &str, label: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(label))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// 1,000 connections on both sides of a proxy, with room.
const FILES_MIN: u64 = 4_096;
/// Some programs size tables by their limit, which is a billion in some containers.
const FILES_WANTED: u64 = 16_384;
