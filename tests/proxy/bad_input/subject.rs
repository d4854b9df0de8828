//! The sidecar under attack, and the proof that it is well.

use std::fs;
use std::time::Duration;

use etcdlet::net::nofile;
use etcdlet::proto::etcdserverpb as pb;
use http::HeaderMap;
use prost::Message;
use tokio::time::{Instant, sleep, timeout};

use crate::support::grpc::{Channel, End};
use crate::support::sidecar::Sidecar;
use crate::support::upstream::{Call, Upstream};

/// A sidecar in front of a scripted member.
pub(crate) struct Subject {
    pub(crate) sidecar: Sidecar,
    pub(crate) upstream: Upstream,
    base: u64,
}

impl Subject {
    /// In front of a member that answers every call with an empty message.
    pub(crate) async fn start() -> Self {
        Self::before(Upstream::start(|call| call.answer(b""))).await
    }

    pub(crate) async fn before(upstream: Upstream) -> Self {
        Self::with_limits(upstream, "handshake-timeout: 1s, http1-idle-timeout: 1s").await
    }

    pub(crate) async fn with_limits(upstream: Upstream, limits: &str) -> Self {
        Self::configured(upstream, &format!("limits: {{{limits}}}")).await
    }

    /// Whose streams are passed to the member one by one.
    pub(crate) async fn passing(upstream: Upstream, limits: &str) -> Self {
        let more = format!("limits: {{{limits}}}\nwatch: {{coalesce: false}}");
        Self::configured(upstream, &more).await
    }

    async fn configured(upstream: Upstream, more: &str) -> Self {
        let sidecar = configured(&upstream.url(), more);
        let subject = Self { sidecar, upstream, base: 0 };
        let channel = subject.channel().await;
        for _ in 0..WARM_UP_CALLS {
            assert_answered(&channel, "warm-up").await;
        }
        drop(channel);
        settle(&subject.sidecar, "warm-up", 0).await;
        let base = subject.sidecar.rss_bytes();
        Self { base, ..subject }
    }

    pub(crate) async fn channel(&self) -> Channel {
        Channel::connect(&self.sidecar.url()).await.expect("the sidecar accepts")
    }

    /// Everything that must hold after `blow`, with so many client connections still open.
    pub(crate) async fn assert_well(&self, blow: &str, connections: u64, growth_max: u64) {
        assert_well(&self.sidecar, blow).await;
        settle(&self.sidecar, blow, connections).await;
        self.assert_growth(blow, growth_max);
    }

    /// That memory is, and since [`Self::forget_peak`] was, at most so much above what it was at the start.
    pub(crate) fn assert_growth(&self, blow: &str, growth_max: u64) {
        let growth = self.growth();
        println!("{blow}: memory grew by {} KiB, allowed are {} KiB", growth >> 10, growth_max >> 10);
        assert!(growth <= growth_max, "{blow}: memory grew by {growth} bytes, allowed are {growth_max}");
    }

    /// The largest growth of memory since the start, or since [`Self::forget_peak`].
    pub(crate) fn growth(&self) -> u64 {
        self.peak().max(self.sidecar.rss_bytes()).saturating_sub(self.base)
    }

    /// Starts to watch the peak of memory anew.
    pub(crate) fn forget_peak(&self) {
        // proc(5): 5 resets the peak to what is resident now.
        fs::write(format!("/proc/{}/clear_refs", self.sidecar.pid()), "5")
            .expect("a child's peak can be reset");
    }

    fn peak(&self) -> u64 {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.sidecar.pid())).expect("the sidecar runs");
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB")?.trim().parse().ok());
        peak.map(|kib: u64| kib * 1024).expect("the status has a peak")
    }

    pub(crate) fn metric(&self, name: &str) -> u64 {
        metric(&self.sidecar.metrics(), name)
    }

    /// Waits until a metric has the value.
    pub(crate) async fn wait_for(&self, name: &str, value: u64) {
        let deadline = Instant::now() + SETTLING_LIMIT;
        loop {
            let found = self.metric(name);
            if found == value {
                return;
            }
            assert!(Instant::now() < deadline, "{name} is {found}, expected is {value}");
            sleep(POLL_INTERVAL).await;
        }
    }
}

/// A sidecar with one endpoint and these limits, written as in the configuration file.
pub(crate) fn sidecar_with_limits(endpoint: &str, limits: &str) -> Sidecar {
    configured(endpoint, &format!("limits: {{{limits}}}"))
}

fn configured(endpoint: &str, more: &str) -> Sidecar {
    nofile::raise();
    Sidecar::with_config(&format!(
        "listen: [{{url: 'http://{{listen}}'}}]\n\
         admin: {{url: 'http://{{admin}}'}}\n\
         upstream: {{endpoints: ['{endpoint}']}}\n\
         {more}\n"
    ))
}

/// That the sidecar answers a normal call within a second and has not panicked.
pub(crate) async fn assert_well(sidecar: &Sidecar, blow: &str) {
    let normal = async {
        let channel = Channel::connect(&sidecar.url()).await.expect("the sidecar accepts");
        assert_answered(&channel, blow).await;
    };
    timeout(ANSWER_LIMIT, normal)
        .await
        .unwrap_or_else(|_| panic!("{blow}: no answer within {ANSWER_LIMIT:?}"));
    assert_no_panic(sidecar, blow);
}

pub(crate) fn assert_no_panic(sidecar: &Sidecar, blow: &str) {
    let log = sidecar.log();
    assert!(!log.contains("panic"), "{blow}: the sidecar panicked:\n{log}");
}

/// One normal call on a connection that must not have suffered.
pub(crate) async fn assert_answered(channel: &Channel, blow: &str) {
    let request = pb::RangeRequest { key: "a".into(), ..Default::default() };
    let answer = channel.unary(RANGE, HeaderMap::new(), &request.encode_to_vec()).await;
    assert!(matches!(answer.end, End::Trailers(_)) && answer.status().code == Some(0), "{blow}: {answer:?}");
}

/// Waits until the gauges show nothing but so many client connections.
pub(crate) async fn settle(sidecar: &Sidecar, blow: &str, connections: u64) {
    let deadline = Instant::now() + SETTLING_LIMIT;
    loop {
        let metrics = sidecar.metrics();
        let open: Vec<(&str, u64)> = [("etcdlet_connections", connections)]
            .into_iter()
            .chain(CALL_GAUGES.map(|gauge| (gauge, 0)))
            .filter(|(gauge, expected)| metric(&metrics, gauge) != *expected)
            .map(|(gauge, _)| (gauge, metric(&metrics, gauge)))
            .collect();
        if open.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "{blow}: after {SETTLING_LIMIT:?} the gauges still show {open:?}");
        sleep(POLL_INTERVAL).await;
    }
}

/// The sum of a metric over its labels; given with labels, that one only.
pub(crate) fn metric(metrics: &str, name: &str) -> u64 {
    let value = |line: &str| {
        let rest = line.strip_prefix(name)?;
        let is_name = name.ends_with('}') || rest.starts_with(['{', ' ']);
        is_name.then(|| rest.rsplit(' ').next()?.parse::<f64>().ok())?
    };
    metrics.lines().filter_map(value).sum::<f64>() as u64
}

/// A member whose long calls go to `long` and whose others are answered with an empty message: long is any Snapshot,
/// and a Range of the key "long".
pub(crate) fn upstream_with_long_answers<F>(
    long: impl Fn(Call) -> F + Clone + Send + Sync + 'static,
) -> Upstream
where
    F: Future<Output = ()> + Send + 'static,
{
    Upstream::start(move |mut call| {
        let long = long.clone();
        async move {
            let request: pb::RangeRequest = call.message().await;
            if call.path() == SNAPSHOT || request.key == "long" {
                long(call).await;
            } else {
                call.answer(b"").await;
            }
        }
    })
}

/// The request that [`upstream_with_long_answers`] takes for a long one, and nothing in it says so to the sidecar.
pub(crate) fn long_range() -> Vec<u8> {
    pb::RangeRequest { key: "long".into(), ..Default::default() }.encode_to_vec()
}

pub(crate) const PUT: &str = "/etcdserverpb.KV/Put";
pub(crate) const RANGE: &str = "/etcdserverpb.KV/Range";
pub(crate) const SNAPSHOT: &str = "/etcdserverpb.Maintenance/Snapshot";
pub(crate) const WATCH: &str = "/etcdserverpb.Watch/Watch";

pub(crate) const KIB: u64 = 1 << 10;
pub(crate) const MIB: u64 = 1 << 20;

const CALL_GAUGES: [&str; 4] =
    ["etcdlet_read_ahead_bytes", "etcdlet_rpc_inflight", "etcdlet_streams", "etcdlet_upstream_streams"];

const ANSWER_LIMIT: Duration = Duration::from_secs(1);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
const SETTLING_LIMIT: Duration = Duration::from_secs(5);
/// Enough to have made what is made once.
const WARM_UP_CALLS: usize = 200;
