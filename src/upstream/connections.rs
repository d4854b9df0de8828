//! The connections of one thread to one endpoint.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use super::changes::Changes;
use super::dial::Dialer;
use super::http1::{self, Http1};
use super::lane::{Lane, LaneKind};
use super::metrics::EndpointMetrics;
use super::view::{Endpoint, Verdict};

pub(super) struct Connections {
    pub endpoint: Endpoint,
    pub http1: Http1,
    http1_calls_cut: Arc<Notify>,
    http1_streams_cut: Arc<Notify>,
    bulk: Arc<Lane>,
    stream: Arc<Lane>,
    unary: Arc<Lane>,
    tunnels_cut: Arc<Notify>,
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
            http1_calls_cut: Arc::default(),
            http1_streams_cut: Arc::default(),
            bulk: lane(LaneKind::Bulk),
            stream: lane(LaneKind::Stream),
            unary: lane(LaneKind::Unary),
            tunnels_cut: Arc::default(),
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

    /// Tunnels open to the endpoint, of all threads.
    pub fn tunnels(&self) -> u32 {
        u32::try_from(self.metrics.tunnels.get()).unwrap_or(0)
    }

    pub fn metrics(&self) -> &EndpointMetrics {
        &self.metrics
    }

    /// Ends what the verdict says can't be answered.
    pub fn obey(&self, verdict: Verdict) {
        if verdict >= Verdict::EvictReads {
            self.evicted.notify_waiters();
        }
        if verdict >= Verdict::CutStreams {
            self.stream.cut();
            self.http1_streams_cut.notify_waiters();
            self.tunnels_cut.notify_waiters();
        }
        if verdict >= Verdict::CutAll {
            self.bulk.cut();
            self.unary.cut();
            self.http1_calls_cut.notify_waiters();
        }
    }

    /// Ends when a call in HTTP/1 that is under way has to end, or one without an end.
    pub fn http1_cut(&self, endless: bool) -> OwnedNotified {
        let cut = if endless { &self.http1_streams_cut } else { &self.http1_calls_cut };
        cut.clone().notified_owned()
    }

    /// Ends when tunnels have to.
    pub fn tunnels_cut(&self) -> OwnedNotified {
        self.tunnels_cut.clone().notified_owned()
    }

    /// Ends when a read should not wait here any longer.
    pub async fn evicted(&self) {
        self.evicted.notified().await;
    }
}
