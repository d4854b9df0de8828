//! One URL of the cluster and its connections.

use std::sync::Arc;

use tokio::sync::Notify;

use super::dial::Dialer;
use super::http1::{self, Http1};
use super::lane::{Lane, LaneKind};
use super::metrics::EndpointMetrics;
use crate::net::address::Address;

pub(super) struct Endpoint {
    pub address: Address,
    pub http1: Http1,
    bulk: Arc<Lane>,
    stream: Arc<Lane>,
    unary: Arc<Lane>,
}

impl Endpoint {
    pub fn new(address: Address, dialer: &Dialer, metrics: &EndpointMetrics, changed: &Arc<Notify>) -> Self {
        let lane = |kind| Lane::new(address.clone(), kind, dialer.clone(), metrics.clone(), changed.clone());
        Self {
            http1: http1::client(address.clone(), dialer.clone(), metrics.traffic.clone()),
            bulk: lane(LaneKind::Bulk),
            stream: lane(LaneKind::Stream),
            unary: lane(LaneKind::Unary),
            address,
        }
    }

    pub fn lane(&self, kind: LaneKind) -> &Arc<Lane> {
        match kind {
            LaneKind::Bulk => &self.bulk,
            LaneKind::Stream => &self.stream,
            LaneKind::Unary => &self.unary,
        }
    }
}
