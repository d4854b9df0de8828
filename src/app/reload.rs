//! Taking over a configuration and certificates that have changed, while calls go on.
//!
//! ```text
//!   SIGHUP ───────────────┐                ┌─ what is wrong: told, counted, nothing changes
//!   a file has changed ───┴─> read, check ─┤
//!                                          └─ what can change in place: taken over
//!                                             what cannot: named, waits for a restart
//! ```

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::{Gauge, IntCounterVec, IntGauge, Opts};
use tokio::signal::unix::Signal;
use tokio::sync::watch;

use super::certificates::Certificates;
use super::files::Watched;
use super::listeners::Limits;
use super::notify::Notifier;
use crate::admin::ConfigText;
use crate::config::{Config, ConfigErrors, Document, Drain, Shown, Source};
use crate::proxy::Settings;
use crate::proxy::namespace::Namespaces;
use crate::proxy::watch::Hub;
use crate::telemetry::log::Levels;
use crate::telemetry::metrics::Metrics;
use crate::upstream::Cluster;

/// What takes over new settings.
pub(super) struct Parts {
    pub cluster: Cluster,
    pub settings: Settings,
    pub limits: Limits,
    pub namespaces: Namespaces,
    pub watches: Hub,
    pub levels: Levels,
    pub certificates: Certificates,
}

pub(super) struct Reloader {
    source: Source,
    /// In effect, as far as anything of it can change.
    document: Document,
    config: Config,
    /// Its files, as they looked before they were read.
    seen: Watched,
    parts: Parts,
    drain: watch::Sender<Drain>,
    text: watch::Sender<ConfigText>,
    metrics: ReloadMetrics,
}

struct ReloadMetrics {
    reloads: IntCounterVec,
    succeeded_at: Gauge,
    restart_needed: IntGauge,
}

impl Reloader {
    /// With the text of the configuration in effect.
    pub fn new(
        source: Source,
        document: Document,
        config: Config,
        parts: Parts,
        metrics: &Metrics,
    ) -> (Self, watch::Receiver<ConfigText>) {
        let (text, shown) = watch::channel(text(&document, &[]));
        let drain = watch::Sender::new(config.drain.clone());
        let metrics = ReloadMetrics::new(metrics);
        metrics.on_known_good();
        let seen = Watched::look(files(&source, &document));
        (Self { source, document, config, seen, parts, drain, text, metrics }, shown)
    }

    pub fn levels(&self) -> Levels {
        self.parts.levels.clone()
    }

    /// How the process is to end.
    pub fn drain(&self) -> watch::Receiver<Drain> {
        self.drain.subscribe()
    }

    /// Runs until the process ends.
    pub async fn run(mut self, mut hangup: Signal, notifier: Notifier) {
        loop {
            // Whatever changes after that is seen the next time.
            self.seen = tokio::select! {
                _ = hangup.recv() => {
                    tracing::info!("SIGHUP: the configuration is read again");
                    again(self.seen.clone()).await
                }
                seen = changed(&self.seen, self.config.reload.interval) => {
                    tracing::info!("a file has changed: the configuration is read again");
                    seen
                }
            };
            notifier.reloading();
            self.reload().await;
            notifier.ready();
        }
    }

    /// Tells of everything that is wrong.
    async fn reload(&mut self) {
        let configuration = self.reload_configuration().await;
        // They may have been renewed whatever is wrong elsewhere; each stands for itself.
        let certificates = self.parts.certificates.clone();
        let certificates = blocking(move || certificates.reload()).await;
        if let Err(ConfigErrors(errors)) = &configuration {
            for error in errors {
                tracing::error!(error, "the configuration is not taken over: all stays as it was");
            }
        }
        if configuration.is_ok() && certificates {
            self.metrics.on_success();
        } else {
            self.metrics.on_failure();
        }
        let (source, document, seen) = (self.source.clone(), self.document.clone(), self.seen.clone());
        self.seen = blocking(move || seen.extended(files(&source, &document))).await;
    }

    async fn reload_configuration(&mut self) -> Result<(), ConfigErrors> {
        let (source, before) = (self.source.clone(), self.document.clone());
        // Files may be on a disk that does not answer.
        let read = move || {
            let new = source.read()?;
            // What a restart would say.
            new.resolve()?;
            let effect = new.in_place_of(&before);
            let waiting = new.differences(&effect);
            // What goes together may have been torn apart.
            let config = effect.resolve().map_err(|ConfigErrors(errors)| {
                let told = |error| format!("{error}, as long as {} wait for a restart", waiting.join(", "));
                ConfigErrors(errors.into_iter().map(told).collect())
            })?;
            Ok((waiting, effect, config))
        };
        let (waiting, document, config) = blocking(read).await?;
        let told = |error: &dyn std::fmt::Display| ConfigErrors(vec![error.to_string()]);
        // What can still fail comes first.
        self.parts.cluster.reload(&config.upstream).map_err(|error| told(&error))?;
        self.parts.settings.set(config.proxy.clone());
        self.parts.limits.adopt(&config.listen);
        self.parts.namespaces.set(&config.proxy.namespace);
        if let Some(credentials) = &config.upstream.credentials {
            self.parts.watches.set_credentials(credentials);
        }
        if config.log.level != self.config.log.level {
            self.parts.levels.set(config.log.level);
        }
        self.drain.send_replace(config.drain.clone());
        let changed = document.differences(&self.document);
        tracing::info!(changed = changed.join(", "), "the configuration is taken over");
        if !waiting.is_empty() {
            tracing::warn!(keys = waiting.join(", "), "these keys have changed, and wait for a restart");
        }
        self.metrics.restart_needed.set(i64::from(!waiting.is_empty()));
        self.text.send_replace(text(&document, &waiting));
        (self.document, self.config) = (document, config);
        Ok(())
    }
}

impl ReloadMetrics {
    fn new(metrics: &Metrics) -> Self {
        let reloads = Opts::new(
            "etcdlet_config_reloads_total",
            "Times that configuration and certificates were read again, by outcome: ok, failed.",
        );
        Self {
            reloads: metrics.register(IntCounterVec::new(reloads, &["outcome"])),
            succeeded_at: metrics.register(Gauge::new(
                "etcdlet_config_last_reload_success_timestamp_seconds",
                "When all of it was last read and found right; at first the start.",
            )),
            restart_needed: metrics.register(IntGauge::new(
                "etcdlet_config_restart_needed",
                "1 when the file has changed in keys that wait for a restart.",
            )),
        }
    }

    fn on_success(&self) {
        self.reloads.with_label_values(&["ok"]).inc();
        self.on_known_good();
    }

    fn on_known_good(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.succeeded_at.set(now.as_secs_f64());
    }

    fn on_failure(&self) {
        self.reloads.with_label_values(&["failed"]).inc();
    }
}

/// All that the configuration is made of; also what a file that was not taken over names, so that it
/// is read again when that is there.
fn files(source: &Source, document: &Document) -> Vec<PathBuf> {
    let named = source.read().map(|document| document.files()).unwrap_or_default();
    source.file().map(Path::to_owned).into_iter().chain(document.files()).chain(named).collect()
}

/// Ends when a file looks different, with how they look then.
async fn changed(seen: &Watched, interval: Option<Duration>) -> Watched {
    let Some(interval) = interval else { return std::future::pending().await };
    loop {
        tokio::time::sleep(interval).await;
        let mut now = again(seen.clone()).await;
        if now == *seen {
            continue;
        }
        // Who writes several files needs a moment.
        for _ in 0..SETTLE_LOOKS {
            tokio::time::sleep(SETTLE_PAUSE).await;
            let before = now;
            now = again(before.clone()).await;
            if now == before {
                break;
            }
        }
        return now;
    }
}

async fn again(seen: Watched) -> Watched {
    blocking(move || seen.again()).await
}

/// Away from everything else: a disk may not answer.
async fn blocking<T: Send + 'static>(read: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(read).await.expect("reading does not panic")
}

fn text(document: &Document, waiting: &[String]) -> ConfigText {
    let Shown { yaml, json } = document.shown(waiting);
    ConfigText { yaml: yaml.into(), json: json.into() }
}

const SETTLE_PAUSE: Duration = Duration::from_millis(100);
const SETTLE_LOOKS: u32 = 20;
