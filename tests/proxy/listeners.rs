//! Where clients connect: Unix sockets, sockets of systemd, connections that pass as they are, and what clients may take
//! of a listener.

mod activation;
mod crowd;
mod heads;
mod limits;
pub(crate) mod pings;
mod restart;
mod tunnels;
mod unix;

use std::path::PathBuf;

use tempfile::TempDir;

use crate::support::sidecar::Sidecar;

/// A sidecar with its usual listener and these beside it, one item of YAML each.
fn listening(endpoint: &str, listeners: &str, more: &str) -> Sidecar {
    Sidecar::with_config(&format!(
        "
listen: [{{url: 'http://{{listen}}'}}, {listeners}]
upstream: {{endpoints: ['{endpoint}']}}
admin: {{url: 'http://{{admin}}'}}
{more}
"
    ))
}

/// A place for a socket that goes with the test.
fn socket() -> (TempDir, PathBuf) {
    let directory = tempfile::Builder::new().prefix("socket-").tempdir().expect("a directory can be made");
    let path = directory.path().join("etcdlet.sock");
    (directory, path)
}
