//! What happens to a call between the listener and the cluster.
//!
//! ```text
//!   Call ─> admit (loop?) ─> identity (whose?) ─> route (read ahead, peek, lane)
//!        ─> upstream ─> settle (trailers, codes, metrics) ─> Reply
//! ```
//!
//! Invariants: every call gets a [`Reply`]; a gRPC reply ends with a `grpc-status`, whatever
//! happens behind; a body is not decoded, except for a look at a few fields that choose a lane;
//! `CANCELLED` and `DEADLINE_EXCEEDED` reach a client only when they are its own doing.

mod admit;
pub mod config;
pub mod drain;
mod identity;
pub mod metrics;
mod peek;
mod read_ahead;
mod route;
mod settle;

use std::sync::Arc;
use std::time::Instant;

pub use config::Config;
pub use drain::Drain;

use crate::types::call::{Call, Reply};
use crate::types::status::{Code, Status};
use crate::upstream::{Answer, Failure, Upstream};

/// The whole path of a call. One per thread of the data path.
pub struct Proxy {
    admission: admit::Admission,
    read_ahead: read_ahead::Budget,
    upstream: Upstream,
    drain: Drain,
    metrics: metrics::ProxyMetrics,
}

impl Proxy {
    pub fn new(
        config: &Config,
        upstream: Upstream,
        drain: Drain,
        metrics: metrics::ProxyMetrics,
    ) -> Arc<Self> {
        Arc::new(Self {
            admission: admit::Admission::new(),
            read_ahead: read_ahead::Budget::new(config, metrics.read_ahead_bytes.clone()),
            upstream,
            drain,
            metrics,
        })
    }

    pub async fn call(&self, mut call: Call) -> Reply {
        let started = Instant::now();
        let account = self.metrics.start(call.rpc, started);
        let settlement = settle::Settlement::of(&call, account);
        // First, because a call that loops must not cost anything.
        if let Err(status) = self.admission.admit(&mut call.head.headers) {
            return settlement.refuse(&status);
        }
        if self.upstream.presents_common_name()
            && let Err(status) = identity::disown(&mut call.head.headers)
        {
            return settlement.refuse(&status);
        }
        let expired = settlement.expired();
        let drained = settlement.drained(&self.drain);
        tokio::select! {
            biased;
            answered = self.answer(call) => match answered {
                Ok(answer) => settlement.settle(answer, &self.drain),
                Err(Unanswered::Abandoned) => settlement.refuse(&abandoned()),
                Err(Unanswered::Failed(failure)) => settlement.fail(&failure),
            },
            status = expired => settlement.refuse(&status),
            status = drained => settlement.refuse(&status),
        }
    }

    async fn answer(&self, mut call: Call) -> Result<Answer, Unanswered> {
        // The lane depends on the request, so its body is read ahead before a stream is opened.
        let routed = route::route(&mut call, &self.read_ahead).await;
        let (lane, _held) = routed.map_err(|_broken| Unanswered::Abandoned)?;
        let sent = self.upstream.send(call, lane);
        self.upstream.answer(sent).await.map_err(Unanswered::Failed)
    }

    /// Connects to the cluster ahead of the first call.
    pub fn warm(&self) {
        self.upstream.warm();
    }
}

enum Unanswered {
    /// The client left in the middle of its request.
    Abandoned,
    Failed(Failure),
}

/// For the metrics: nobody is there to read it.
fn abandoned() -> Status {
    Status::new(Code::Canceled, "context canceled")
}
