//! Taking over a configuration and certificates that have changed, while calls go on.
//!
//! ```text
//!   SIGHUP ───────────────┐                ┌─ what is wrong: told, counted, nothing changes
//!   a file has changed ───┴─> read, check ─┤
//!                                          └─ what can change in place: taken over
//!                                             what cannot: named, waits for a restart
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::{Gauge, IntCounterVec, IntGauge};
use tokio::signal::unix::Signal;
use tokio::sync::watch;

use super::build::Start;
use super::certificates::{Certificates, Reloaded};
use super::files::Watched;
use super::notify::Notifier;
use crate::admin::ConfigText;
use crate::config::{Config, ConfigErrors, Document, Drain, Shown, Source};
use crate::listen::capacity::Capacity;
use crate::proxy::namespace::Namespaces;
use crate::proxy::watch::Hub;
use crate::proxy::{Audit, Settings};
use crate::telemetry::log::Levels;
use crate::telemetry::metrics::Metrics;
use crate::upstream::Cluster;

/// What takes over new settings.
pub(super) struct Parts {
    pub cluster: Cluster,
    pub settings: Settings,
    pub capacity: Arc<Capacity>,
    pub audit: Audit,
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
    /// Some of them could not be read.
    is_unread: bool,
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
    pub fn new(start: Start, parts: Parts, metrics: &Metrics) -> (Self, watch::Receiver<ConfigText>) {
        let Start { source, document, config, seen } = start;
        let (text, shown) = watch::channel(text(&document, &[]));
        let drain = watch::Sender::new(config.drain.clone());
        let metrics = ReloadMetrics::new(metrics);
        metrics.on_known_good();
        (Self { source, document, config, seen, is_unread: false, parts, drain, text, metrics }, shown)
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
                    // Its file may have been moved.
                    self.parts.audit.reopen();
                    again(self.seen.clone()).await
                }
                seen = due(&self.seen, self.config.reload.interval, self.is_unread) => {
                    let why = if self.is_unread { "could not be read" } else { "has changed" };
                    tracing::info!("a file {why}: the configuration is read again");
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
        let (source, document, seen) = (self.source.clone(), self.document.clone(), self.seen.clone());
        self.seen = blocking(move || seen.extended(files(&source, &document))).await;
        let configuration = self.reload_configuration().await;
        // They may have been renewed whatever is wrong elsewhere; each stands for itself.
        let certificates = self.parts.certificates.clone();
        let certificates = blocking(move || certificates.reload()).await;
        if let Err(ConfigErrors(errors)) = &configuration {
            for error in errors {
                tracing::error!(error, "the configuration is not taken over: all stays as it was");
            }
        }
        self.is_unread = certificates == Reloaded::Unread;
        if configuration.is_ok() && certificates == Reloaded::Well {
            self.metrics.on_success();
        } else {
            self.metrics.on_failure();
        }
    }

    async fn reload_configuration(&mut self) -> Result<(), ConfigErrors> {
        let (source, before) = (self.source.clone(), self.document.clone());
        // Files may be on a disk that does not answer.
        let (waiting, document, config) = blocking(move || merged(&source.read()?, &before)).await?;
        let told = |error: &dyn std::fmt::Display| ConfigErrors(vec![error.to_string()]);
        // What can still fail comes first.
        self.parts.cluster.reload(&config.upstream).map_err(|error| told(&error))?;
        self.parts.settings.set(config.proxy.clone());
        self.parts.capacity.set_limits(config.listen.limits.clone());
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

/// What has effect when `new` comes after `before`, and the keys that wait for a restart.
fn merged(new: &Document, before: &Document) -> Result<(Vec<String>, Document, Config), ConfigErrors> {
    // What a restart would say.
    let restarted = new.resolve()?;
    let effect = new.in_place_of(before);
    let waiting = new.differences(&effect);
    // What goes together may have been torn apart.
    let config = effect.resolve().map_err(|ConfigErrors(errors)| {
        let told = |error| format!("{error}, as long as {} wait for a restart", waiting.join(", "));
        ConfigErrors(errors.into_iter().map(told).collect())
    })?;
    // The same may be written in another way.
    let waiting = if config == restarted { Vec::new() } else { waiting };
    Ok((waiting, effect, config))
}

impl ReloadMetrics {
    fn new(metrics: &Metrics) -> Self {
        let reloads = (
            "etcdlet_config_reloads_total",
            "Times that configuration and certificates were read again, by outcome: ok, failed.",
        );
        Self {
            reloads: metrics.register_counters(reloads, "outcome", &[OK, FAILED]),
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
        self.reloads.with_label_values(&[OK]).inc();
        self.on_known_good();
    }

    fn on_known_good(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.succeeded_at.set(now.as_secs_f64());
    }

    fn on_failure(&self) {
        self.reloads.with_label_values(&[FAILED]).inc();
    }
}

/// All that the configuration is made of, and what the file names now: that is about to be read, or
/// read again when it is there.
fn files(source: &Source, document: &Document) -> Vec<PathBuf> {
    let named = source.read().map(|document| document.files()).unwrap_or_default();
    source.file().map(Path::to_owned).into_iter().chain(document.files()).chain(named).collect()
}

/// Ends when a file looks different, or the next time where one could not be read; with how they look
/// then.
async fn due(seen: &Watched, interval: Option<Duration>, is_unread: bool) -> Watched {
    let Some(interval) = interval else { return std::future::pending().await };
    loop {
        tokio::time::sleep(interval).await;
        let mut now = again(seen.clone()).await;
        if now == *seen && !is_unread {
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

const OK: &str = "ok";
const FAILED: &str = "failed";

const SETTLE_PAUSE: Duration = Duration::from_millis(100);
const SETTLE_LOOKS: u32 = 20;

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::config::Overrides;

    #[tokio::test]
    async fn what_could_not_be_read_is_read_again_though_it_looks_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let seen = Watched::look([directory.path().to_owned()]);
        let (interval, limit) = (Some(Duration::from_millis(10)), Duration::from_millis(500));
        assert!(timeout(limit, due(&seen, interval, false)).await.is_err());
        assert_eq!(timeout(limit, due(&seen, interval, true)).await, Ok(seen));
    }

    #[test]
    fn the_same_in_other_words_waits_for_no_restart() {
        let document = |text: &str| {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), format!("{{upstream: {{endpoints: ['a:1']}}, {text}}}")).unwrap();
            let source = Source::new(Some(file.path().to_owned()), Overrides::default());
            source.read().unwrap()
        };
        let before = document("threads: 1");
        let waiting = |text| merged(&document(text), &before).unwrap().0;
        assert_eq!(waiting("threads: '1', listen: [{url: '127.0.0.1:2379'}]"), [""; 0]);
        assert_eq!(waiting("threads: 2"), ["threads"]);
    }

    #[test]
    fn the_first_failure_is_an_increase() {
        let metrics = Metrics::new();
        let _reloads = ReloadMetrics::new(&metrics);
        let shown = String::from_utf8(metrics.render()).unwrap();
        assert!(shown.contains("etcdlet_config_reloads_total{outcome=\"failed\"} 0\n"), "{shown}");
    }
}
