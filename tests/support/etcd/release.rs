//! The etcd releases that `etcd.sh` installed.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::support::tools::{build_directory, installed};

#[derive(Clone, Debug)]
pub(crate) struct Release {
    directory: PathBuf,
    version: String,
}

impl Release {
    /// A release line ("3.6", its newest installed patch), one release ("3.5.16"), or the default one.
    pub(crate) fn find(version: Option<&str>) -> Self {
        let directory = match version {
            None => fs::canonicalize(installed("etcd/default")).expect("the default release exists"),
            Some(version) => {
                let wanted = numbers(version);
                let newest = all().into_iter().rfind(|name| numbers(name).starts_with(&wanted));
                installed(format!("etcd/{}", newest.as_deref().unwrap_or(version)))
            }
        };
        let version = directory
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a release is installed under its version")
            .to_owned();
        Self { directory, version }
    }

    /// Everything that is installed, oldest first.
    pub(crate) fn installed() -> Vec<Self> {
        all().iter().map(|version| Self::find(Some(version))).collect()
    }

    /// The exact release, "3.5.30".
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    pub(crate) fn is_at_least(&self, major: u64, minor: u64) -> bool {
        numbers(&self.version) >= vec![major, minor]
    }

    /// One of its programs, deaf to what the environment says about etcd.
    pub(crate) fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.directory.join("bin").join(name));
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("ETCD_") || text.starts_with("ETCDCTL_") {
                command.env_remove(&name);
            }
        }
        command
    }
}

/// The release lines ("3.4", "3.5" …) that are installed, oldest first, for a test that takes what there is:
/// `tests/run.sh` names the lines that there are not.
pub(crate) fn installed_lines() -> Vec<String> {
    let mut lines: Vec<String> =
        all().iter().filter_map(|name| Some(name.rsplit_once('.')?.0.to_owned())).collect();
    lines.dedup();
    lines
}

/// The installed releases, oldest first.
fn all() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(build_directory().join("etcd"))
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| numbers(name).len() == 3)
        .collect();
    names.sort_by_key(|name| numbers(name));
    names
}

/// The numbers of a version; none when it is not one.
fn numbers(version: &str) -> Vec<u64> {
    version.split('.').map(str::parse).collect::<Result<_, _>>().unwrap_or_default()
}
