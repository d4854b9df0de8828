//! Does what the core decides: sends probes, publishes views, tells what happened.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use super::core::{Core, News, Outcome, Output, Probe, Seed};
use super::metrics::HealthMetrics;
use super::probe::{Credentials, Prober};
use super::{Config, Signals};
use crate::types::ids::EndpointId;
use crate::upstream::dial::Dialer;
use crate::upstream::view::View;
use crate::upstream::vitals::Path;

/// Where views come from; every thread of the data path follows one.
pub type Publisher = watch::Receiver<Arc<View>>;

/// What discovery knows: the seeds, or why there are none newer.
pub type Discovered = watch::Receiver<(Vec<Seed>, Option<String>)>;

/// What can change while the process runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub config: Config,
    /// Whom probes are sent as.
    pub credentials: Option<Credentials>,
}

pub struct Driver {
    core: Core,
    settings: watch::Receiver<Settings>,
    dialer: Dialer,
    credentials: Option<Credentials>,
    metrics: HealthMetrics,
    signals: Signals,
    seeds: Discovered,
    views: watch::Sender<Arc<View>>,
    probers: HashMap<EndpointId, Arc<Prober>>,
    outcomes: mpsc::Sender<Ended>,
    ended: mpsc::Receiver<Ended>,
}

struct Ended {
    endpoint: EndpointId,
    probe: Probe,
    sent_at: Instant,
    outcome: Outcome,
    round_trip: Option<Duration>,
}

impl Driver {
    /// The first view shows the seeds that are there.
    pub(in crate::upstream) fn new(
        mut settings: watch::Receiver<Settings>,
        dialer: Dialer,
        metrics: HealthMetrics,
        signals: Signals,
        mut seeds: Discovered,
    ) -> (Self, Publisher) {
        let now = Instant::now();
        let Settings { config, credentials } = settings.borrow_and_update().clone();
        let mut core = Core::new(config, fastrand::u64(..), now);
        discover(&mut core, &seeds.borrow_and_update(), now);
        let (views, publisher) = watch::channel(Arc::new(View::default()));
        let (outcomes, ended) = mpsc::channel(OUTCOMES_MAX);
        let mut driver = Self {
            core,
            settings,
            dialer,
            credentials,
            metrics,
            signals,
            seeds,
            views,
            probers: HashMap::new(),
            outcomes,
            ended,
        };
        driver.do_outputs(now);
        (driver, publisher)
    }

    /// Runs until the process ends.
    pub async fn run(mut self) {
        let mut watch = Watch::Asleep;
        loop {
            let now = Instant::now();
            let waiting = self.watch_calls(now);
            self.core.handle_timeout(now);
            self.do_outputs(now);
            watch = watch.next(waiting, &self.signals, now);
            let timeout = self.core.poll_timeout(now);
            let until = watch.look_at().map_or(timeout, |at| at.min(timeout));
            tokio::select! {
                biased;
                Some(ended) = self.ended.recv() => {
                    let Ended { endpoint, probe, sent_at, outcome, round_trip } = ended;
                    if let Some(latency) = round_trip {
                        self.core.handle_latency(endpoint, latency);
                    }
                    self.core.handle_outcome(endpoint, probe, sent_at, outcome, Instant::now());
                }
                () = self.signals.woken() => {}
                Ok(()) = self.seeds.changed() => {
                    let seeds = self.seeds.borrow_and_update().clone();
                    discover(&mut self.core, &seeds, Instant::now());
                }
                Ok(()) = self.settings.changed() => self.adopt_settings(),
                () = tokio::time::sleep_until(until.into()) => {}
            }
        }
    }

    fn adopt_settings(&mut self) {
        let Settings { config, credentials } = self.settings.borrow_and_update().clone();
        if self.credentials != credentials {
            self.credentials = credentials;
            // The next probe of each member makes another, which asks for another token.
            self.probers.clear();
        }
        let now = Instant::now();
        self.core.handle_config(config, now);
        // Their weights may be others.
        discover(&mut self.core, &self.seeds.borrow().clone(), now);
    }

    /// Looks for calls that have waited for too long. Returns whether any waits.
    fn watch_calls(&mut self, now: Instant) -> bool {
        let mut waiting = false;
        let view = self.views.borrow().clone();
        for member in &view.members {
            for path in [Path::Local, Path::Quorum] {
                if let Some(silence) = member.vitals.silence(path, now) {
                    waiting = true;
                    self.core.handle_silence(member.endpoint.id, path, silence, now);
                }
            }
        }
        if self.signals.take_suspicion() {
            self.core.handle_suspicion(now);
        }
        waiting
    }

    fn do_outputs(&mut self, now: Instant) {
        while let Some(output) = self.core.poll_output(now) {
            match output {
                Output::News(news) => {
                    log(&news);
                    self.metrics.on_news(&news);
                }
                Output::Probe(endpoint, probe) => self.send(endpoint, probe, now),
                Output::Removed(endpoint) => drop(self.probers.remove(&endpoint)),
                Output::View(view) => {
                    self.metrics.on_view(&view);
                    self.views.send_replace(view);
                }
            }
        }
    }

    fn send(&mut self, id: EndpointId, probe: Probe, sent_at: Instant) {
        let Self { core, dialer, credentials, signals, .. } = self;
        let Some(endpoint) = core.endpoint(id) else { return };
        let prober = self.probers.entry(id).or_insert_with(|| {
            Arc::new(Prober::new(endpoint, dialer.clone(), credentials.clone(), signals.clone()))
        });
        self.metrics.on_probe(&endpoint.address.to_string(), probe);
        let (prober, outcomes) = (prober.clone(), self.outcomes.clone());
        tokio::spawn(async move {
            let mut asked = std::pin::pin!(prober.probe(probe, sent_at));
            let outcome = if probe == Probe::Status {
                tokio::select! {
                    outcome = &mut asked => outcome,
                    () = prober.pulse() => {
                        let alive = Outcome::Alive;
                        let _gone =
                            outcomes.send(Ended { endpoint: id, probe, sent_at, outcome: alive, round_trip: None }).await;
                        asked.await
                    }
                }
            } else {
                asked.await
            };
            let round_trip = prober.take_round_trip().filter(|_| probe == Probe::Status);
            let ended = Ended { endpoint: id, probe, sent_at, outcome, round_trip };
            // An error means that the driver is gone, and with it the process.
            let _gone = outcomes.send(ended).await;
        });
    }
}

/// Whether the calls are looked at now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watch {
    /// There were none; the next one wakes.
    Asleep,
    /// Until then.
    Awake(Instant),
    /// As asleep, but for one more look, then: a call may have begun just before and seen us awake.
    Dozing(Instant),
}

impl Watch {
    fn next(self, waiting: bool, signals: &Signals, now: Instant) -> Self {
        let woken = waiting || !signals.is_asleep();
        match self {
            Self::Awake(at) | Self::Dozing(at) if now < at => self,
            Self::Awake(_) if !waiting => {
                signals.sleep();
                Self::Dozing(now + WATCH_INTERVAL)
            }
            Self::Asleep | Self::Dozing(_) if !woken => Self::Asleep,
            Self::Asleep | Self::Awake(_) | Self::Dozing(_) => {
                signals.stay_awake();
                Self::Awake(now + WATCH_INTERVAL)
            }
        }
    }

    fn look_at(self) -> Option<Instant> {
        match self {
            Self::Asleep => None,
            Self::Awake(at) | Self::Dozing(at) => Some(at),
        }
    }
}

fn discover(core: &mut Core, (seeds, error): &(Vec<Seed>, Option<String>), now: Instant) {
    // What failed keeps its seeds; the others may have new ones.
    core.handle_seeds(seeds, now);
    if let Some(error) = error {
        core.handle_discovery_error(error.clone());
    }
}

fn log(news: &News) {
    match news {
        News::Elected { leader, term, first: _ } => {
            tracing::info!(%leader, %term, "the cluster has a leader");
        }
        News::Ejected { endpoint, reason, detail } => {
            tracing::warn!(endpoint = %endpoint.address, %reason, detail, "member is out of rotation");
        }
        News::LeaderLost { term } => tracing::warn!(%term, "the cluster has lost its leader"),
        News::Pinned(cluster) => tracing::info!(%cluster, "cluster found"),
        News::Removed(endpoint) => {
            tracing::info!(endpoint = %endpoint.address, source = %endpoint.source, "endpoint is gone");
        }
        News::Replaced { old, new } => {
            tracing::warn!(%old, %new, "another cluster has taken the place of the one before");
        }
        News::Returned(endpoint) => {
            tracing::info!(endpoint = %endpoint.address, source = %endpoint.source, "member is in rotation");
        }
    }
}

/// How often calls that wait are looked at.
const WATCH_INTERVAL: Duration = Duration::from_millis(50);

/// Probes of all members that may end at once.
const OUTCOMES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_begins_while_the_watch_falls_asleep_is_seen() {
        let (signals, start) = (Signals::default(), Instant::now());
        let at = |looks: u32| start + WATCH_INTERVAL * looks;
        let awake = Watch::Asleep.next(false, &signals, start);
        assert_eq!(awake, Watch::Awake(at(1)), "nobody has slept yet");
        let dozing = awake.next(false, &signals, at(1));
        assert_eq!((dozing, signals.is_asleep()), (Watch::Dozing(at(2)), true));
        assert_eq!(dozing.next(false, &signals, at(2)), Watch::Asleep);
        assert_eq!(dozing.next(true, &signals, at(2)), Watch::Awake(at(3)), "it has not woken anybody");
        assert!(!signals.is_asleep(), "and the next ones need not");
    }

    #[test]
    fn a_call_wakes_the_watch_for_a_while() {
        let (signals, start) = (Signals::default(), Instant::now());
        signals.sleep();
        assert_eq!(Watch::Asleep.next(false, &signals, start), Watch::Asleep);
        signals.on_call();
        let awake = Watch::Asleep.next(false, &signals, start);
        assert_eq!(awake, Watch::Awake(start + WATCH_INTERVAL));
        assert_eq!(awake.next(true, &signals, start), awake);
    }
}
