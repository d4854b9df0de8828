//! The connections of one thread to one endpoint.

use std::sync::Arc;

use tokio::sync::Notify;

use super::changes::Changes;
use super::dial::Dialer;
use super::http1::{self, Http1};
use super::lane::{Lane, LaneKind};
use super::metrics::EndpointMetrics;
use super::view::{Endpoint, Verdict};

pub(super) struct Connections {
    pub endpoint: Endpoint,
    pub http1: Http1,
    bulk: Arc<Lane>,
    stream: Arc<Lane>,
    unary: Arc<Lane>,
    metrics: EndpointMetrics,
    evicted: Notify,
}

impl Connections {
    pub fn new(
        endpoint: &Endpoint,
        dialer: &Dialer,
        metrics: &EndpointMetrics,
        changes: &Changes,
    ) -> Arc<Self> {
        let lane = |kind| Lane::new(endpoint.clone(), kind, dialer.clone(), metrics.clone(), changes.clone());
        Arc::new(Self {
            http1: http1::client(endpoint, dialer.clone(), metrics.traffic.clone()),
            bulk: lane(LaneKind::Bulk),
            stream: lane(LaneKind::Stream),
            unary: lane(LaneKind::Unary),
            metrics: metrics.clone(),
            evicted: Notify::new(),
            endpoint: endpoint.clone(),
        })
    }

    pub fn lane(&self, kind: LaneKind) -> &Arc<Lane> {
        match kind {
            LaneKind::Bulk => &self.bulk,
            LaneKind::Stream => &self.stream,
            LaneKind::Unary => &self.unary,
        }
    }

    /// Streams open to the endpoint, of all threads.
    pub fn streams(&self) -> u32 {
        u32::try_from(self.metrics.streams.get()).unwrap_or(0)
    }

    /// Ends what the verdict says can't be answered.
    pub fn obey(&self, verdict: Verdict) {
        if verdict >= Verdict::EvictReads {
            self.evicted.notify_waiters();
        }
        if verdict >= Verdict::CutStreams {
            self.stream.cut();
        }
        if verdict >= Verdict::CutAll {
            self.bulk.cut();
            self.unary.cut();
        }
    }

    /// Ends when a read should not wait here any longer.
    pub async fn evicted(&self) {
        self.evicted.notified().await;
    }
}
