//! The certificates of listeners and of the connections to the cluster, read again while they are in
//! use.

use std::path::PathBuf;
use std::time::SystemTime;

use prometheus::{IntCounterVec, IntGaugeVec, Opts};

use crate::telemetry::metrics::Metrics;
use crate::tls::TlsError;
use crate::tls::client::Client;
use crate::tls::server::Server;

#[derive(Clone)]
pub struct Certificates {
    servers: Vec<Server>,
    upstream: Option<Client>,
    expiry: IntGaugeVec,
    reloads: IntCounterVec,
}

/// What became of a reload; the worst of all sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reloaded {
    Well,
    /// Until a file changes.
    Failed,
    /// It may do the next time.
    Unread,
}

impl Certificates {
    pub(super) fn new(servers: Vec<Server>, upstream: Option<Client>, metrics: &Metrics) -> Self {
        let certificates = Self {
            servers,
            upstream,
            expiry: metrics.register(IntGaugeVec::new(
                Opts::new(
                    "etcdlet_tls_certificate_expiry_timestamp_seconds",
                    "When a certificate in use ends, in seconds since 1970.",
                ),
                &["file"],
            )),
            reloads: metrics.register_counters(
                (
                    "etcdlet_tls_reloads_total",
                    "Sets of certificate files that were read again, by outcome: failed, replaced.",
                ),
                "outcome",
                &[FAILED, REPLACED],
            ),
        };
        certificates.note_expiry();
        certificates
    }

    /// The files that a reload reads.
    pub fn files(&self) -> Vec<PathBuf> {
        let of_upstream = self.upstream.iter().flat_map(Client::files);
        self.servers.iter().flat_map(Server::files).chain(of_upstream).collect()
    }

    /// Reads all files again. A set that does not fit together stays as it was, whatever becomes of
    /// the others; what was wrong is logged and counted.
    pub fn reload(&self) -> Reloaded {
        let mut reloaded = Reloaded::Well;
        for server in &self.servers {
            reloaded = reloaded.max(self.note("listener", &server.files(), server.reload()));
        }
        if let Some(client) = &self.upstream {
            reloaded = reloaded.max(self.note("upstream", &client.files(), client.reload()));
        }
        self.note_expiry();
        reloaded
    }

    fn note(&self, of: &str, files: &[PathBuf], outcome: Result<bool, TlsError>) -> Reloaded {
        match outcome {
            Ok(false) => Reloaded::Well,
            Ok(true) => {
                tracing::info!(of, ?files, "certificates replaced: new connections use them");
                self.reloads.with_label_values(&[REPLACED]).inc();
                Reloaded::Well
            }
            Err(error) => {
                tracing::error!(of, %error, "certificates cannot be replaced: those before stay in use");
                self.reloads.with_label_values(&[FAILED]).inc();
                if error.is_passing() { Reloaded::Unread } else { Reloaded::Failed }
            }
        }
    }

    fn note_expiry(&self) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let of_upstream = self.upstream.iter().filter_map(Client::expiry);
        for (file, expiry) in self.servers.iter().filter_map(Server::expiry).chain(of_upstream) {
            if expiry < i64::try_from(now).unwrap_or(i64::MAX) {
                tracing::warn!(file = %file.display(), expiry, "this certificate's time is up");
            }
            self.expiry.with_label_values(&[&file.display().to_string()]).set(expiry);
        }
    }
}

const FAILED: &str = "failed";
const REPLACED: &str = "replaced";

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    use crate::tls::Identity;
    use crate::tls::policy::Policy;
    use crate::tls::server::{Certificate, Clients, Config};

    #[test]
    fn what_could_not_be_read_is_told_from_what_is_wrong() {
        let directory = tempfile::tempdir().unwrap();
        let identity = Identity { cert: directory.path().join("cert"), key: directory.path().join("key") };
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        fs::write(&identity.cert, &cert).unwrap();
        fs::write(&identity.key, &key).unwrap();
        let config = Config {
            certificate: Certificate::Files(identity.clone()),
            clients: Clients::Any,
            policy: Policy::default(),
        };
        let server = Server::try_new(&config).unwrap();
        let certificates = Certificates::new(vec![server], None, &Metrics::new());
        assert_eq!(certificates.reload(), Reloaded::Well);
        fs::write(&identity.key, "nonsense").unwrap();
        assert_eq!(certificates.reload(), Reloaded::Failed);
        fs::remove_file(&identity.key).unwrap();
        assert_eq!(certificates.reload(), Reloaded::Failed);
        // The system's own word for it, as if the disk did not answer.
        fs::create_dir(&identity.key).unwrap();
        assert_eq!(certificates.reload(), Reloaded::Unread);
    }
}
