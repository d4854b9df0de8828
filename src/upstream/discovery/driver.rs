//! Keeps the seeds up to date.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus::{IntCounter, IntCounterVec, Opts};
use tokio::sync::watch;

use super::dns::{DnsError, Half, Resolved, Resolver};
use super::{Config, Srv, Verify, dns};
use crate::net::address::Address;
use crate::telemetry::metrics::Metrics;
use crate::upstream::health::Discovered;
use crate::upstream::health::core::Seed;
use crate::upstream::view::Source;

pub struct Driver {
    configs: watch::Receiver<Config>,
    config: Config,
    failures: IntCounterVec,
    resolver: Option<Arc<Resolver>>,
    names: Vec<Name>,
    /// What the targets of SRV records led to when they were last resolved.
    targets: HashMap<Address, Vec<dns::Seed>>,
    seeds: watch::Sender<(Vec<Seed>, Option<String>)>,
}

/// A name that is resolved again and again.
struct Name {
    source: Source,
    due: Instant,
    /// Until it has answered, those of the names that it came in place of.
    seeds: Vec<dns::Seed>,
    has_answered: bool,
    error: Option<String>,
    failures: IntCounter,
}

impl Driver {
    /// The static endpoints are there at once.
    pub fn try_new(
        mut configs: watch::Receiver<Config>,
        metrics: &Metrics,
    ) -> Result<(Self, Discovered), DnsError> {
        let failures = metrics.register(IntCounterVec::new(
            Opts::new("etcdlet_discovery_failures_total", "Names that could not be resolved."),
            &["source"],
        ));
        let config = configs.borrow_and_update().clone();
        let resolver = resolver(&config)?;
        let (seeds, discovered) = watch::channel((Vec::new(), None));
        let (names, targets) = Default::default();
        let mut driver = Self { configs, config, failures, resolver, names, targets, seeds };
        driver.names = driver.names_of(&driver.config);
        driver.publish();
        Ok((driver, discovered))
    }

    /// Runs until the process ends.
    pub async fn run(mut self) {
        loop {
            for place in 0..self.names.len() {
                if Instant::now() >= self.names[place].due {
                    let resolved = self.resolve(self.names[place].source).await;
                    self.names[place].on_resolved(resolved);
                }
            }
            // Only now that every name was asked for: a new one takes the place of what was there.
            self.publish();
            let due = self.names.iter().map(|name| name.due).min();
            let wait = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = wait => {}
                changed = self.configs.changed() => match changed {
                    Ok(()) => self.adopt_config(),
                    Err(_) => return,
                },
            }
        }
    }

    /// What is the same as before keeps what is known of it. What is new stands for what is gone until
    /// it has answered.
    fn adopt_config(&mut self) {
        let config = self.configs.borrow_and_update().clone();
        match resolver(&config) {
            Ok(resolver) => self.resolver = resolver,
            Err(error) => {
                tracing::error!(%error, "the endpoints stay as they were");
                return;
            }
        }
        let same_servers = config.nameservers == self.config.nameservers;
        let is_same = |name: &Name| {
            same_servers
                && match name.source {
                    Source::Dns => config.dns == self.config.dns,
                    _ => config.srv == self.config.srv,
                }
        };
        let (mut known, gone): (Vec<_>, Vec<_>) = self.names.drain(..).partition(is_same);
        let gone: Vec<_> = gone.into_iter().flat_map(|name| name.seeds).collect();
        let mut names = self.names_of(&config);
        for name in &mut names {
            match known.iter().position(|known| known.source == name.source) {
                Some(place) => *name = known.swap_remove(place),
                None => name.seeds.clone_from(&gone),
            }
        }
        (self.names, self.config) = (names, config);
    }

    fn names_of(&self, config: &Config) -> Vec<Name> {
        let named = [(Source::Dns, config.dns.is_some()), (Source::Srv, config.srv.is_some())];
        let name = |source: Source| Name {
            source,
            due: Instant::now(),
            seeds: Vec::new(),
            has_answered: false,
            error: None,
            failures: self.failures.with_label_values(&[source.to_string()]),
        };
        named.into_iter().filter(|(_, is_named)| *is_named).map(|(source, _)| name(source)).collect()
    }

    async fn resolve(&mut self, source: Source) -> Result<Resolved, DnsError> {
        let resolver = self.resolver.clone().expect("there is one where there are names");
        let resolver = &*resolver;
        match (source, &self.config.dns, &self.config.srv) {
            (Source::Dns, Some(address), _) => resolver.addresses(address).await,
            (Source::Srv, _, Some(srv)) => {
                let services = srv.take(resolver.services(&srv.domain, &srv.name).await?)?;
                // Otherwise the system resolves the targets, whenever a connection is made.
                let by_ours = !self.config.nameservers.is_empty();
                if by_ours { self.resolve_targets(resolver, services).await } else { Ok(services) }
            }
            _ => unreachable!("names are made of what the configuration has"),
        }
    }

    /// Fails only when no target has an address: one that has none, or can't be asked about, must
    /// not take the others with it.
    async fn resolve_targets(
        &mut self,
        resolver: &Resolver,
        services: Resolved,
    ) -> Result<Resolved, DnsError> {
        let mut resolved = Resolved { seeds: Vec::new(), ..services };
        let (mut known, mut failure) = (HashMap::new(), None);
        for service in services.seeds {
            let before = self.targets.remove(&service.address).unwrap_or_default();
            let found = match resolver.addresses(&service.address).await {
                Ok(found) => {
                    resolved.valid_until = resolved.valid_until.min(found.valid_until);
                    kept(before, found.seeds, found.missing)
                }
                Err(error) => {
                    let denied = matches!(error, DnsError::Absent { .. });
                    tracing::debug!(target = %service.address, %error, "target of an SRV record not resolved");
                    failure.get_or_insert(error);
                    if denied { Vec::new() } else { before }
                }
            };
            resolved.seeds.extend(found.iter().map(|target| dns::Seed {
                address: target.address.clone(),
                server_name: service.server_name.clone(),
                ..service
            }));
            known.insert(service.address, found);
        }
        self.targets = known;
        match failure {
            Some(failure) if resolved.seeds.is_empty() => Err(failure),
            Some(_) | None => Ok(resolved),
        }
    }

    fn publish(&self) {
        let fixed = self.config.endpoints.iter().map(|address| Seed {
            address: address.clone(),
            server_name: None,
            source: Source::Static,
            priority: 0,
            weight: 1,
        });
        let mut seeds: Vec<Seed> = Vec::new();
        let named = self.names.iter().flat_map(|name| name.seeds.iter().map(|seed| name.seed(seed)));
        for seed in fixed.chain(named) {
            if !seeds.iter().any(|known| known.address == seed.address) {
                seeds.push(seed);
            }
        }
        let error = self.names.iter().find_map(|name| name.error.clone());
        self.seeds.send_if_modified(|known| {
            if seeds.is_empty() && error.is_some() {
                // As when a name that leads nowhere yet came in place of endpoints: what is known stays.
                seeds.clone_from(&known.0);
            }
            let changed = known.0 != seeds || known.1 != error;
            *known = (seeds, error);
            changed
        });
    }
}

impl Srv {
    /// What counts of the records.
    fn take(&self, mut services: Resolved) -> Result<Resolved, DnsError> {
        if !self.insecure {
            services.seeds.retain(|seed| seed.address.tls);
            if services.seeds.is_empty() {
                return Err(DnsError::Insecure(self.domain.clone()));
            }
        }
        if self.verify == Verify::Target {
            for seed in &mut services.seeds {
                // Said here, as the address may become an IP address yet.
                seed.server_name = Some(seed.address.host.clone());
            }
        }
        Ok(services)
    }
}

/// `None` where no name is to be resolved.
fn resolver(config: &Config) -> Result<Option<Arc<Resolver>>, DnsError> {
    let is_named = config.dns.is_some() || config.srv.is_some();
    is_named.then(|| Resolver::try_new(&config.nameservers).map(Arc::new)).transpose()
}

/// Whether a driver would take it.
pub fn check(config: &Config) -> Result<(), DnsError> {
    resolver(config).map(|_| ())
}

impl Name {
    fn seed(&self, seed: &dns::Seed) -> Seed {
        let dns::Seed { address, server_name, priority, weight } = seed.clone();
        Seed { address, server_name, source: self.source, priority, weight }
    }

    fn on_resolved(&mut self, resolved: Result<Resolved, DnsError>) {
        match resolved {
            Ok(Resolved { seeds, valid_until, missing }) => {
                if self.error.take().is_some() {
                    tracing::info!(source = %self.source, "discovery works again");
                }
                self.due = valid_until.max(Instant::now() + RESOLVE_INTERVAL_MIN);
                let mut before = std::mem::take(&mut self.seeds);
                if !std::mem::replace(&mut self.has_answered, true) {
                    before.clear();
                }
                self.seeds = kept(before, seeds, missing);
            }
            Err(error) => {
                self.failures.inc();
                let error = error.to_string();
                if self.error.as_ref() != Some(&error) {
                    tracing::warn!(source = %self.source, error, "discovery failed; what is known stays");
                }
                self.error = Some(error);
                self.due = Instant::now() + RETRY_INTERVAL.mul_f64(1.0 + fastrand::f64());
            }
        }
    }
}

/// What was found, and what was known before of the half that got no answer.
fn kept(before: Vec<dns::Seed>, mut found: Vec<dns::Seed>, missing: Option<Half>) -> Vec<dns::Seed> {
    let is_missing = |seed: &dns::Seed| missing.is_some_and(|half| half.has(&seed.address));
    for seed in before.into_iter().filter(is_missing) {
        if !found.iter().any(|other| other.address == seed.address) {
            found.push(seed);
        }
    }
    found
}

const RESOLVE_INTERVAL_MIN: Duration = Duration::from_secs(1);
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_new_name_stands_for_the_one_before_until_it_has_answered() {
        let config = |name: &str| Config {
            endpoints: vec!["http://10.0.0.1:2379".parse().unwrap()],
            dns: Some(format!("http://{name}:2379").parse().unwrap()),
            nameservers: vec!["127.0.0.1:53".parse().unwrap()],
            srv: None,
        };
        let (configs, receiver) = watch::channel(config("good"));
        let (mut driver, discovered) = Driver::try_new(receiver, &Metrics::new()).unwrap();
        let known = || {
            let (seeds, _error) = &*discovered.borrow();
            seeds.iter().map(|seed| seed.address.host.clone()).collect::<Vec<_>>()
        };
        driver.on_resolved(found(&["10.0.0.2", "fd00::2"], None));
        assert_eq!(known(), ["10.0.0.1", "10.0.0.2", "fd00::2"]);

        let other_servers = Config { nameservers: vec!["127.0.0.2:53".parse().unwrap()], ..config("good") };
        let srv = Some(typo());
        let service = Config { dns: None, srv, ..config("good") };
        for next in [config("typo"), config("other-typo"), service, config("good"), other_servers.clone()] {
            configs.send_replace(next);
            driver.adopt_config();
            driver.on_resolved(Err(DnsError::Timeout { name: "it".to_owned() }));
            assert_eq!(known(), ["10.0.0.1", "10.0.0.2", "fd00::2"]);
        }

        // Of the half that is missing there is nothing of its own to keep.
        driver.on_resolved(found(&["10.0.0.3"], Some(Half::V6)));
        assert_eq!(known(), ["10.0.0.1", "10.0.0.3"]);
        configs.send_replace(Config { dns: None, ..other_servers });
        driver.adopt_config();
        driver.publish();
        assert_eq!(known(), ["10.0.0.1"]);
    }

    #[test]
    fn certificates_name_the_domain_or_the_target() {
        let services = || {
            let mut services = found(&["m0.etcd.test"], None).unwrap();
            services.seeds[0].server_name = Some("etcd.test".to_owned());
            services
        };
        let name = |verify| {
            let srv = Srv { insecure: true, verify, ..typo() };
            srv.take(services()).unwrap().seeds[0].server_name.clone().unwrap()
        };
        assert_eq!(
            (name(Verify::Domain).as_str(), name(Verify::Target).as_str()),
            ("etcd.test", "m0.etcd.test")
        );
        assert_eq!(typo().take(services()), Err(DnsError::Insecure("typo".to_owned())));
    }

    fn typo() -> Srv {
        Srv { domain: "typo".to_owned(), name: String::new(), insecure: false, verify: Verify::Domain }
    }

    impl Driver {
        /// An answer to its only name.
        fn on_resolved(&mut self, resolved: Result<Resolved, DnsError>) {
            self.names[0].on_resolved(resolved);
            self.publish();
        }
    }

    fn found(hosts: &[&str], missing: Option<Half>) -> Result<Resolved, DnsError> {
        let address = |host: &&str| Address { tls: false, host: (*host).to_owned(), port: 2379 };
        let seed = |address| dns::Seed { address, server_name: None, priority: 0, weight: 1 };
        let seeds = hosts.iter().map(address).map(seed).collect();
        Ok(Resolved { seeds, valid_until: Instant::now(), missing })
    }
}
