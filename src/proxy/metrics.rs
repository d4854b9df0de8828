//! What each RPC does.

use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Instant;

use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts};

use super::watermark::Waited;
use crate::telemetry::metrics::Metrics;
use crate::types::method::{COUNT, Rpc};
use crate::types::status::Code;

#[derive(Clone)]
pub struct ProxyMetrics {
    families: Arc<Families>,
    inflight: IntGauge,
    pub(super) budget_exhausted: IntCounter,
    pub(super) hedges: IntCounterVec,
    pub(super) retries: IntCounterVec,
    pub(super) json_lines_bytes: IntGauge,
    pub(super) read_ahead_bytes: IntGauge,
}

struct Families {
    calls: IntCounterVec,
    durations: HistogramVec,
    rpcs: [RpcMetrics; COUNT],
}

/// Handles of one RPC, made when it is first called: a label look-up costs ten times an
/// increment.
#[derive(Default)]
struct RpcMetrics {
    codes: [OnceLock<IntCounter>; Code::ALL.len()],
    duration: OnceLock<Histogram>,
}

impl ProxyMetrics {
    pub fn new(metrics: &Metrics) -> Self {
        let durations = HistogramOpts::new(
            "etcdlet_rpc_duration_seconds",
            "Time from a call's arrival to the end of its answer, except for endless calls.",
        )
        .buckets(BUCKETS.to_vec());
        let families = Families {
            calls: metrics.register(IntCounterVec::new(
                Opts::new("etcdlet_rpc_total", "Calls that ended, by method and gRPC code."),
                &["method", "code"],
            )),
            durations: metrics.register(HistogramVec::new(durations, &["method"])),
            rpcs: std::array::from_fn(|_| RpcMetrics::default()),
        };
        Self {
            families: Arc::new(families),
            budget_exhausted: metrics.register(IntCounter::new(
                "etcdlet_retry_budget_exhausted_total",
                "Calls that were not tried again because too many were.",
            )),
            hedges: metrics.register(IntCounterVec::new(
                Opts::new("etcdlet_hedges_total", "Second attempts beside a slow first one, by outcome."),
                &["outcome"],
            )),
            retries: metrics.register(IntCounterVec::new(
                Opts::new("etcdlet_retries_total", "Calls that were sent again, by reason."),
                &["reason"],
            )),
            inflight: metrics.register(IntGauge::new("etcdlet_rpc_inflight", "Calls under way.")),
            json_lines_bytes: metrics.register(IntGauge::new(
                "etcdlet_json_lines_bytes",
                "Bytes of messages of JSON streams that wait to be whole, or for their client.",
            )),
            read_ahead_bytes: metrics.register(IntGauge::new(
                "etcdlet_read_ahead_bytes",
                "Bytes of requests that were read ahead and are not answered yet.",
            )),
        }
    }

    pub(super) fn start(&self, rpc: &'static Rpc, started: Instant) -> Account {
        self.inflight.inc();
        Account { rpc, started, code: None, metrics: self.clone() }
    }
}

#[derive(Clone)]
pub struct HoldMetrics {
    pub(super) ended: IntCounterVec,
    pub(super) held: IntGauge,
}

impl HoldMetrics {
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            ended: metrics.register_counters(
                ("etcdlet_holds_total", "Calls that waited for a leader, by outcome."),
                "outcome",
                &["full"],
            ),
            held: metrics.register(IntGauge::new("etcdlet_held", "Calls that wait for a leader.")),
        }
    }
}

#[derive(Clone)]
pub struct WatermarkMetrics {
    pub(super) restores: IntCounter,
    pub(super) revision: IntGauge,
    waits: IntCounterVec,
}

impl WatermarkMetrics {
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            restores: metrics.register(IntCounter::new(
                "etcdlet_restores_total",
                "Restores of the cluster to an older revision that were seen.",
            )),
            revision: metrics.register(IntGauge::new(
                "etcdlet_watermark_revision",
                "The highest revision that a client of this node has seen.",
            )),
            waits: metrics.register(IntCounterVec::new(
                Opts::new(
                    "etcdlet_watermark_waits_total",
                    "Serializable answers that were too old, by outcome.",
                ),
                &["outcome"],
            )),
        }
    }

    pub(super) fn on_waited(&self, outcome: Waited) {
        self.waits.with_label_values(&[outcome.label()]).inc();
    }
}

/// One call in the metrics. Dropped without a code, it counts as cancelled by its client.
pub(super) struct Account {
    rpc: &'static Rpc,
    started: Instant,
    code: Option<Code>,
    metrics: ProxyMetrics,
}

impl Account {
    pub fn on_code(&mut self, code: Code) {
        self.code = Some(code);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let Families { calls, durations, rpcs } = &*self.metrics.families;
        let code = self.code.unwrap_or(Code::Canceled);
        let rpc = &rpcs[self.rpc.index()];
        rpc.codes[code as usize].get_or_init(|| calls.with_label_values(&[self.rpc.path, code.name()])).inc();
        if !self.rpc.endless {
            rpc.duration
                .get_or_init(|| durations.with_label_values(&[self.rpc.path]))
                .observe(self.started.elapsed().as_secs_f64());
        }
        self.metrics.inflight.dec();
    }
}

/// From a local answer to etcd's own limit of 7 s and beyond.
const BUCKETS: [f64; 14] =
    [0.000_25, 0.000_5, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.5, 2.0, 8.0, 32.0];
