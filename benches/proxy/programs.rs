use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::contender::Contender;
use crate::error::Error;
use crate::options::{Options, target_dir};

/// The executables under test. `haproxy` is empty when the run has no use for it.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) etcdlet: PathBuf,
    pub(crate) etcd: PathBuf,
    pub(crate) haproxy: PathBuf,
    /// Name and version of each, for the header.
    pub(crate) versions: Vec<(&'static str, String)>,
}

impl Programs {
    pub(crate) fn try_find(options: &Options) -> Result<Self, Error> {
        let contenders = options.contenders();
        let etcdlet = find_etcdlet()?;
        let etcd = find_etcd()?;
        let mut versions = vec![("etcd", version_of(&etcd, "--version")?)];
        if contenders.contains(&Contender::Etcdlet) {
            versions.insert(0, ("etcdlet", version_of(&etcdlet, "--version")?));
        }
        let wants_haproxy =
            contenders.contains(&Contender::HaproxyTcp) || contenders.contains(&Contender::HaproxyH2);
        let mut haproxy = PathBuf::new();
        if wants_haproxy {
            haproxy = find_haproxy()?;
            versions.push(("haproxy", version_of(&haproxy, "-v")?));
        }
        Ok(Self { etcdlet, etcd, haproxy, versions })
    }
}

/// This build's, unless another is to be compared with it.
fn find_etcdlet() -> Result<PathBuf, Error> {
    let path = std::env::var_os(ETCDLET_VARIABLE)
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_etcdlet")), PathBuf::from);
    first_file(vec![path], "etcdlet", ETCDLET_REMEDY, ETCDLET_VARIABLE)
}

fn find_etcd() -> Result<PathBuf, Error> {
    let path = std::env::var_os(ETCD_VARIABLE)
        .map_or_else(|| target_dir().join("etcd/default/bin/etcd"), PathBuf::from);
    first_file(vec![path], "etcd", ETCD_REMEDY, ETCD_VARIABLE)
}

fn find_haproxy() -> Result<PathBuf, Error> {
    let tried = std::env::var_os(HAPROXY_VARIABLE).map_or_else(
        || {
            let mut tried = vec![target_dir().join("tools/haproxy/bin/haproxy")];
            let search = std::env::var_os("PATH").unwrap_or_default();
            tried.extend(std::env::split_paths(&search).map(|folder| folder.join("haproxy")));
            // Debian's place, which an ordinary user's search path leaves out.
            tried.push(PathBuf::from("/usr/sbin/haproxy"));
            tried
        },
        |path| vec![PathBuf::from(path)],
    );
    first_file(tried, "haproxy", HAPROXY_REMEDY, HAPROXY_VARIABLE)
}

fn first_file(
    tried: Vec<PathBuf>,
    program: &'static str,
    remedy: &'static str,
    variable: &'static str,
) -> Result<PathBuf, Error> {
    match tried.iter().find(|path| path.is_file()) {
        // Children run in another directory.
        Some(path) => Ok(fs::canonicalize(path)?),
        None => Err(Error::Missing { program, tried, remedy, variable }),
    }
}

/// The first word with a digit and a dot in the first line of what the program says of itself.
fn version_of(program: &Path, flag: &str) -> Result<String, Error> {
    let output = Command::new(program).arg(flag).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().next().unwrap_or_default();
    let version = line
        .split_whitespace()
        .find(|word| word.contains('.') && word.starts_with(|first: char| first.is_ascii_digit()));
    Ok(version.unwrap_or("of unknown version").to_owned())
}

const ETCDLET_VARIABLE: &str = "ETCDLET_BENCH_ETCDLET";
const ETCDLET_REMEDY: &str = "cargo build --release";
const ETCD_VARIABLE: &str = "ETCDLET_BENCH_ETCD";
const ETCD_REMEDY: &str = "tests/support/etcd.sh";
const HAPROXY_VARIABLE: &str = "ETCDLET_BENCH_HAPROXY";
const HAPROXY_REMEDY: &str = "tests/support/tools.sh haproxy";
