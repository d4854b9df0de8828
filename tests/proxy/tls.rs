//! TLS on both sides, and whose calls they are behind a client certificate with a name.

mod anonymous;
mod identity;
mod listener;
mod upstream;

use std::path::Path;

use crate::support::certs::{Certs, Pair};
use crate::support::sidecar::Sidecar;

/// `{cacert: …, cert: …, key: …}`, for `upstream.tls`.
fn upstream_tls(certs: &Certs, show: &Pair) -> String {
    let path = |path: &Path| path.display().to_string();
    format!("{{cacert: '{}', cert: '{}', key: '{}'}}", path(&certs.ca()), path(&show.cert), path(&show.key))
}

/// A plain listener in front of a cluster that demands certificates, to which `show` is shown.
fn showing(certs: &Certs, show: &Pair, endpoint: &str) -> Sidecar {
    Sidecar::with_config(&format!(
        "
listen: [{{url: 'http://{{listen}}'}}]
upstream: {{endpoints: ['{endpoint}'], tls: {}}}
admin: {{url: 'http://{{admin}}'}}
",
        upstream_tls(certs, show)
    ))
}
