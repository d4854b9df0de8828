//! Endpoints out of the DNS: address records of one name, service records of a domain.
//!
//! Of `hickory` only the transport is used. Its lookups hold answers in a cache of their own, lose
//! SRV records that stand behind a CNAME, and with several name servers take the first failure for
//! the answer. Here the name servers are asked as the C library does: one after the other in the
//! order of resolv.conf, where a denial is an answer and a failure leads to the next one.
//!
//! Invariants: nothing is remembered between two questions but the parsed system files, and those
//! are read again for each; a failure is never taken for 'no such records'.
//!
//! Deliberately absent: a cache (the caller asks again at `valid_until`), DNSSEC, encrypted DNS.

use std::fs;
use std::iter;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future;
use hickory_resolver::config::{NameServerConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::{DnsHandle, FirstAnswer};
use hickory_resolver::net::{DnsError as Denial, NetError};
use hickory_resolver::proto::op::{DnsRequestOptions, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::system_conf::parse_resolv_conf;
use hickory_resolver::{Hosts, NameServerPool, PoolContext, TlsConfig};

use crate::net::address::Address;

/// One address that a name led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed {
    /// Its host is an IP address where address records were asked for, else the SRV target.
    pub address: Address,
    /// The name that the certificate must have, where it is not the host.
    pub server_name: Option<String>,
    /// SRV: lower is preferred. 0 elsewhere.
    pub priority: u16,
    /// SRV weight, at least 1; 1 elsewhere.
    pub weight: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// At least one; sorted by address, without duplicates.
    pub seeds: Vec<Seed>,
    /// When the records expire, but not sooner than [`TTL_MIN`] and not later than [`TTL_MAX`].
    pub valid_until: Instant,
    /// The half of the question that got no answer: whoever knows some of it may keep that.
    pub missing: Option<Half>,
}

/// A name has addresses of two families, and a service two kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    Plain,
    Tls,
    V4,
    V6,
}

impl Half {
    /// Whether an endpoint with this address would be found by this half.
    pub fn has(self, address: &Address) -> bool {
        match self {
            Self::Plain => !address.tls,
            Self::Tls => address.tls,
            Self::V4 => address.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4()),
            Self::V6 => address.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6()),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// The name servers deny that there are such records.
    #[error("{name} has no {kind} records")]
    Absent { name: String, kind: &'static str },
    #[error("{name}: no sensible answer from the name server: {reason}")]
    Failed { name: String, reason: String },
    #[error("the SRV records of {0} lead to no https:// (upstream.insecure-discovery is false)")]
    Insecure(String),
    #[error("{0:?} is not a domain name")]
    Name(String),
    #[error("{0} is not the address of a name server")]
    NameServer(SocketAddr),
    #[error("{name}: the name server answers {code}")]
    Refused { name: String, code: ResponseCode },
    /// Neither name servers nor a search list are known.
    #[error("{RESOLV_CONF}: {0}")]
    System(String),
    #[error("{name}: no answer from the name server within {QUERY_TIMEOUT:?}")]
    Timeout { name: String },
}

pub struct Resolver {
    source: Source,
}

enum Source {
    Fixed(Arc<View>),
    /// What was read last; `None` until that has once succeeded.
    System(Mutex<Option<System>>),
}

struct System {
    files: Files,
    view: Arc<View>,
}

/// Whole contents, because time stamps are too coarse to tell two writes apart; both are small.
#[derive(PartialEq, Eq)]
struct Files {
    resolv_conf: Vec<u8>,
    hosts: Vec<u8>,
}

/// Whom to ask, as of one reading of the system's files.
struct View {
    /// Each alone in its pool: one pool of all would ask several at once.
    servers: Vec<NameServerPool<TokioRuntimeProvider>>,
    hosts: Hosts,
    search: Vec<Name>,
    /// A name with at least as many dots is tried as it is before the search list is.
    dots_min: usize,
}

/// What the records of one question say.
struct Found<T> {
    items: Vec<T>,
    valid_until: Instant,
    missing: Option<Half>,
}

impl Resolver {
    /// Asks the system's name servers (resolv.conf, hosts file), or these alone, without the files.
    ///
    /// Fails only by what is wrong with `nameservers`. That resolv.conf is of no use is an error of
    /// each question instead, because at boot it may be written after we have started.
    pub fn try_new(nameservers: &[SocketAddr]) -> Result<Self, DnsError> {
        if nameservers.is_empty() {
            return Ok(Self { source: Source::System(Mutex::default()) });
        }
        if let Some(address) = nameservers.iter().find(|address| address.port() == 0) {
            return Err(DnsError::NameServer(*address));
        }
        let servers = nameservers.iter().map(|&address| pool(name_server(address))).collect();
        let view = View { servers, hosts: Hosts::default(), search: Vec::new(), dots_min: 0 };
        Ok(Self { source: Source::Fixed(Arc::new(view)) })
    }

    /// The A and AAAA records of `address.host`, each with the scheme and the port of `address`.
    ///
    /// The name means what it means to every other program here: unless it ends with a dot, it is
    /// looked for in the domains of resolv.conf, as a pod expects of `etcd.kube-system.svc`. The dot
    /// saves what the search costs: in a pod, six questions in vain for each name that has few dots.
    pub async fn addresses(&self, address: &Address) -> Result<Resolved, DnsError> {
        let seed = |ip: IpAddr, server_name| Seed {
            address: Address { host: ip.to_string(), ..address.clone() },
            server_name,
            priority: 0,
            weight: 1,
        };
        if let Ok(ip) = address.host.parse() {
            return Ok(Resolved::new(vec![seed(ip, None)], Instant::now() + TTL_MAX, None));
        }
        let found = self.view()?.ips(&address.host).await?;
        let server_name = bare(&address.host);
        let seeds = found.items.into_iter().map(|ip| seed(ip, Some(server_name.to_owned())));
        Ok(Resolved::new(seeds.collect(), found.valid_until, found.missing))
    }

    /// The SRV records `_etcd-client-ssl._tcp.DOMAIN` (https) and `_etcd-client._tcp.DOMAIN` (http),
    /// with a suffix `_etcd-client-ssl-SUFFIX` and `_etcd-client-SUFFIX`: the names that etcd's own
    /// clients ask for (client/pkg/srv). Fails only if neither leads to an endpoint.
    pub async fn services(&self, domain: &str, suffix: &str) -> Result<Resolved, DnsError> {
        let domain = bare(domain);
        parse(domain)?;
        let suffix = if suffix.is_empty() { String::new() } else { format!("-{suffix}") };
        let view = self.view()?;
        let (ssl, plain) = future::join(
            view.services(format!("_etcd-client-ssl{suffix}._tcp.{domain}"), domain, true),
            view.services(format!("_etcd-client{suffix}._tcp.{domain}"), domain, false),
        )
        .await;
        match merge((Half::Tls, ssl), (Half::Plain, plain)) {
            Ok(found) => Ok(Resolved::new(found.items, found.valid_until, found.missing)),
            Err(DnsError::Absent { kind, .. }) => {
                Err(DnsError::Absent { name: format!("_etcd-client[-ssl]{suffix}._tcp.{domain}"), kind })
            }
            Err(failure) => Err(failure),
        }
    }

    fn view(&self) -> Result<Arc<View>, DnsError> {
        let held = match &self.source {
            Source::Fixed(view) => return Ok(view.clone()),
            Source::System(held) => held,
        };
        let files = Files::read();
        let mut held = held.lock().expect("nobody panics while holding the system's files");
        let current = System::renewed(held.take(), files).map_err(DnsError::System)?;
        Ok(held.insert(current).view.clone())
    }
}

impl Resolved {
    fn new(mut seeds: Vec<Seed>, valid_until: Instant, missing: Option<Half>) -> Self {
        seeds.sort_by_cached_key(|seed| (seed.address.to_string(), seed.priority));
        seeds.dedup_by(|later, first| later.address == first.address);
        Self { seeds, valid_until, missing }
    }
}

impl Files {
    fn read() -> Result<Self, String> {
        let resolv_conf = fs::read(RESOLV_CONF).map_err(|error| error.to_string())?;
        // A container may be without one.
        Ok(Self { resolv_conf, hosts: fs::read(HOSTS).unwrap_or_default() })
    }
}

impl System {
    fn renewed(previous: Option<Self>, files: Result<Files, String>) -> Result<Self, String> {
        match previous {
            Some(system) if files.as_ref().is_ok_and(|files| *files == system.files) => Ok(system),
            // A file that is just being written must not take the name servers away.
            Some(system) => Ok(files.and_then(Self::try_new).unwrap_or(system)),
            None => files.and_then(Self::try_new),
        }
    }

    fn try_new(files: Files) -> Result<Self, String> {
        let (config, options) = parse_resolv_conf(&files.resolv_conf).map_err(|error| error.to_string())?;
        let mut hosts = Hosts::default();
        let text = String::from_utf8_lossy(&files.hosts);
        hosts.read_hosts_conf(text.as_bytes()).map_err(|error| format!("{HOSTS}: {error}"))?;
        // Its `domain` is left out: where resolv.conf names one, it is in the search list already,
        // and the host name's own domain is none that anybody asked for.
        let (_, search, servers) = config.into_parts();
        let servers = servers.into_iter().map(pool).collect();
        let view = View { servers, hosts, search, dots_min: options.ndots };
        Ok(Self { files, view: Arc::new(view) })
    }
}

impl View {
    async fn ips(&self, host: &str) -> Result<Found<IpAddr>, DnsError> {
        let name = parse(host)?;
        // The file decides for both families: it is there to overrule the DNS.
        if let Some(found) = self.ips_in_hosts(&name) {
            return Ok(found);
        }
        for candidate in self.candidates(&name) {
            let (v4, v6) = future::join(
                self.ask(&candidate, RecordType::A, RData::ip_addr),
                self.ask(&candidate, RecordType::AAAA, RData::ip_addr),
            )
            .await;
            match merge((Half::V4, v4), (Half::V6, v6)) {
                Err(DnsError::Absent { .. }) => {}
                // A failure ends the search: the next domain's name may be somebody else's.
                decided => return decided,
            }
        }
        Err(DnsError::Absent { name: bare(host).to_owned(), kind: "A or AAAA" })
    }

    fn ips_in_hosts(&self, name: &Name) -> Option<Found<IpAddr>> {
        let items: Vec<IpAddr> = [RecordType::A, RecordType::AAAA]
            .into_iter()
            .filter_map(|kind| self.hosts.lookup_static_host(&Query::query(name.clone(), kind)))
            .flat_map(|lookup| lookup.answers().iter().filter_map(|it| it.data.ip_addr()).collect::<Vec<_>>())
            .collect();
        (!items.is_empty()).then(|| Found { items, valid_until: Instant::now() + TTL_MAX, missing: None })
    }

    /// The absolute names that a name may stand for, in the order in which they are tried.
    fn candidates(&self, name: &Name) -> Vec<Name> {
        let mut itself = name.clone();
        itself.set_fqdn(true);
        if name.is_fqdn() {
            return vec![itself];
        }
        let searched = self.search.iter().filter_map(|domain| name.clone().append_domain(domain).ok());
        // Between the labels, and none at the end.
        let dots = name.iter().count().saturating_sub(1);
        if dots >= self.dots_min {
            iter::once(itself).chain(searched).collect()
        } else {
            searched.chain([itself]).collect()
        }
    }

    async fn services(&self, name: String, domain: &str, tls: bool) -> Result<Found<Seed>, DnsError> {
        // Absolute, as no search list is meant for these.
        let mut name = parse(&name)?;
        name.set_fqdn(true);
        self.ask(&name, RecordType::SRV, |data| service(data, domain, tls)).await
    }

    /// What `item` takes out of the records; at least one.
    async fn ask<T>(
        &self,
        name: &Name,
        kind: RecordType,
        item: impl Fn(&RData) -> Option<T>,
    ) -> Result<Found<T>, DnsError> {
        let records = self.query(name, kind).await?;
        // Whoever is asked follows a CNAME himself: what is in the answer belongs to the question.
        let items: Vec<T> = records.iter().filter_map(|record| item(&record.data)).collect();
        if items.is_empty() {
            return Err(DnsError::Absent { name: text(name), kind: kind.into() });
        }
        let ttl = records.iter().map(|record| u64::from(record.ttl)).min().unwrap_or_default();
        let ttl = Duration::from_secs(ttl).clamp(TTL_MIN, TTL_MAX);
        Ok(Found { items, valid_until: Instant::now() + ttl, missing: None })
    }

    /// The answer section; it may be empty.
    async fn query(&self, name: &Name, kind: RecordType) -> Result<Vec<Record>, DnsError> {
        let mut failure = DnsError::System("no name server".to_owned());
        for server in iter::repeat_n(&self.servers, ATTEMPTS).flatten() {
            let question = Query::query(name.clone(), kind);
            let exchange = server.lookup(question, DnsRequestOptions::default()).first_answer();
            // Its own limit holds for UDP and then again for TCP, which a truncated answer leads to.
            let answer = tokio::time::timeout(QUERY_TIMEOUT, exchange).await;
            let name = text(name);
            failure = match answer.unwrap_or(Err(NetError::Timeout)) {
                Ok(response) => match response.response_code {
                    ResponseCode::NoError | ResponseCode::NXDomain => {
                        return Ok(response.into_message().answers);
                    }
                    code => DnsError::Refused { name, code },
                },
                Err(NetError::Dns(Denial::NoRecordsFound(_))) => return Ok(Vec::new()),
                Err(NetError::Dns(Denial::ResponseCode(code))) => DnsError::Refused { name, code },
                Err(NetError::Timeout) => DnsError::Timeout { name },
                Err(error) => DnsError::Failed { name, reason: error.to_string() },
            };
        }
        Err(failure)
    }
}

/// The endpoint that an SRV record of `domain` names, if it is a name that hosts can have.
pub(crate) fn service(data: &RData, domain: &str, tls: bool) -> Option<Seed> {
    match data {
        // Written with escapes, which no resolver takes back.
        RData::SRV(record) if record.target.to_ascii().contains('\\') => None,
        // A target of the root alone says that the service is decidedly not there (RFC 2782).
        RData::SRV(record) if !record.target.is_root() => Some(Seed {
            address: Address {
                tls,
                host: bare(&record.target.to_lowercase().to_ascii()).to_owned(),
                port: record.port,
            },
            server_name: Some(domain.to_owned()),
            priority: record.priority,
            weight: record.weight.max(1),
        }),
        _ => None,
    }
}

/// Two halves of one question. One that fails does not hide the other (there are name servers that
/// never answer AAAA), but is asked again soon.
fn merge<T>(
    (first_half, first): (Half, Result<Found<T>, DnsError>),
    (second_half, second): (Half, Result<Found<T>, DnsError>),
) -> Result<Found<T>, DnsError> {
    let missing = if first.is_err() { first_half } else { second_half };
    match (first, second) {
        (Ok(mut found), Ok(more)) => {
            found.items.extend(more.items);
            found.valid_until = found.valid_until.min(more.valid_until);
            Ok(found)
        }
        (Ok(found), Err(DnsError::Absent { .. })) | (Err(DnsError::Absent { .. }), Ok(found)) => Ok(found),
        (Ok(mut found), Err(_)) | (Err(_), Ok(mut found)) => {
            found.missing = Some(missing);
            found.valid_until = found.valid_until.min(Instant::now() + HALF_TTL_MAX);
            Ok(found)
        }
        (Err(DnsError::Absent { .. }), Err(failure)) | (Err(failure), Err(_)) => Err(failure),
    }
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let mut config = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut config.connections {
        connection.port = address.port();
    }
    config
}

fn pool(server: NameServerConfig) -> NameServerPool<TokioRuntimeProvider> {
    let mut options = ResolverOpts::default();
    options.timeout = QUERY_TIMEOUT;
    let tls = TlsConfig::new().expect("without encrypted DNS it is empty");
    let context = Arc::new(PoolContext::new(options, tls));
    NameServerPool::from_config([server], context, TokioRuntimeProvider::default())
}

fn parse(name: &str) -> Result<Name, DnsError> {
    match Name::from_str_relaxed(name) {
        Ok(parsed) if parsed.iter().next().is_some() => Ok(parsed),
        _ => Err(DnsError::Name(name.to_owned())),
    }
}

fn text(name: &Name) -> String {
    bare(&name.to_ascii()).to_owned()
}

/// Without the dot that marks it as absolute, which no certificate and no user writes.
fn bare(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

const RESOLV_CONF: &str = "/etc/resolv.conf";
const HOSTS: &str = "/etc/hosts";

/// Records of a second or less are asked for once a second.
pub const TTL_MIN: Duration = Duration::from_secs(1);

/// A longer TTL is not waited for: members move without their operator thinking of it beforehand.
pub const TTL_MAX: Duration = Duration::from_secs(30);

/// How long one half of an answer holds while the other cannot be had.
const HALF_TTL_MAX: Duration = Duration::from_secs(5);

const QUERY_TIMEOUT: Duration = Duration::from_secs(2);

/// Rounds over the name servers.
const ATTEMPTS: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn view(resolv_conf: &str, hosts: &str) -> Arc<View> {
        let files = Files { resolv_conf: resolv_conf.into(), hosts: hosts.into() };
        System::try_new(files).unwrap().view
    }

    #[test]
    fn a_name_is_searched_for_as_in_a_pod_unless_it_ends_with_a_dot() {
        let pod = "search apps.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.0.0.10\n";
        let names = |options: &str, name: &str| {
            let view = view(&format!("{pod}{options}"), "");
            view.candidates(&parse(name).unwrap()).iter().map(Name::to_ascii).collect::<Vec<_>>()
        };
        assert_eq!(
            names("options ndots:5", "etcd.kube-system.svc"),
            [
                "etcd.kube-system.svc.apps.svc.cluster.local.",
                "etcd.kube-system.svc.svc.cluster.local.",
                "etcd.kube-system.svc.cluster.local.",
                "etcd.kube-system.svc.",
            ]
        );
        assert_eq!(names("", "etcd.test")[0], "etcd.test.");
        assert_eq!(names("", "etcd")[0], "etcd.apps.svc.cluster.local.");
        assert_eq!(names("options ndots:5", "etcd.test."), ["etcd.test."]);
    }

    #[test]
    fn the_hosts_file_decides_for_both_families() {
        let view =
            view("nameserver 10.0.0.10", "10.0.0.1 etcd etcd.test\n10.0.0.2 etcd.test\nfd00::1 v6\n\u{fffd}");
        let ips = |name: &str| {
            let found = view.ips_in_hosts(&parse(name).unwrap())?;
            Some(found.items.iter().map(IpAddr::to_string).collect::<Vec<_>>())
        };
        assert_eq!(ips("ETCD.test."), Some(vec!["10.0.0.1".into(), "10.0.0.2".into()]));
        assert_eq!(ips("etcd"), Some(vec!["10.0.0.1".into()]));
        assert_eq!(ips("v6"), Some(vec!["fd00::1".into()]));
        assert_eq!(ips("else"), None);
    }

    #[test]
    fn the_files_are_parsed_again_when_they_change_and_kept_while_they_are_unusable() {
        let files = |text: &str| Ok(Files { resolv_conf: text.into(), hosts: Vec::new() });
        let (one, two) = ("nameserver 10.0.0.1\n", "nameserver 10.0.0.1\nnameserver 10.0.0.2\n");
        assert!(System::renewed(None, Err("gone".into())).is_err());
        assert!(System::renewed(None, files("search example.com\n")).is_err());
        let first = System::renewed(None, files(one)).unwrap();
        let view = first.view.clone();
        let mut kept = System::renewed(Some(first), files(one)).unwrap();
        for unusable in [files(""), Err("gone".into())] {
            kept = System::renewed(Some(kept), unusable).unwrap();
        }
        assert!(Arc::ptr_eq(&kept.view, &view));
        let changed = System::renewed(Some(kept), files(two)).unwrap();
        assert_eq!((view.servers.len(), changed.view.servers.len()), (1, 2));
    }
}
