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
    /// the others; what was wrong is logged and counted. Returns whether nothing was.
    pub fn reload(&self) -> bool {
        let mut is_well = true;
        for server in &self.servers {
            is_well &= self.note("listener", &server.files(), server.reload());
        }
        if let Some(client) = &self.upstream {
            is_well &= self.note("upstream", &client.files(), client.reload());
        }
        self.note_expiry();
        is_well
    }

    fn note(&self, of: &str, files: &[PathBuf], outcome: Result<bool, TlsError>) -> bool {
        let is_well = outcome.is_ok();
        match outcome {
            Ok(false) => {}
            Ok(true) => {
                tracing::info!(of, ?files, "certificates replaced: new connections use them");
                self.reloads.with_label_values(&[REPLACED]).inc();
            }
            Err(error) => {
                tracing::error!(of, %error, "certificates cannot be replaced: those before stay in use");
                self.reloads.with_label_values(&[FAILED]).inc();
            }
        }
        is_well
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
