//! HTTP/1.1 towards a member: hyper's pooled client over our dialer.
//!
//! ```text
//!   ask: a call ─> headers ─> pool ─> connector ─> one of the addresses: the member's own, or those
//!                                        │         of `http-endpoints` that may be its
//!                                        v
//!                                      speech: does it speak HTTP there at all?
//! ```
//!
//! Invariants: what was sent is never sent again from here, unless hyper says that it was not begun;
//! an answer that is not HTTP is told from one that broke off, connection by connection.

mod ask;
mod connector;
mod headers;
mod speech;

use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::client::legacy::{self, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};

pub(super) use ask::ask;
pub(super) use headers::strip;
pub(super) use speech::{GRPC_ONLY, Speech};

use super::dial::Dialer;
use super::view::Endpoint;
use crate::net::socket::Traffic;
use crate::types::call::Body;
use connector::Connector;

pub(super) struct Http1 {
    client: legacy::Client<Connector, Body>,
    pub speech: Arc<Speech>,
}

impl Http1 {
    pub fn new(endpoint: &Endpoint, dialer: Dialer, traffic: Traffic) -> Self {
        let speech = Arc::default();
        let connector = Connector::new(endpoint, dialer, traffic, &speech);
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(IDLE_MAX)
            .http1_preserve_header_case(true)
            .set_host(false)
            .build(connector);
        Self { client, speech }
    }

    pub async fn request(&self, request: Request<Body>) -> Result<Response<Incoming>, Error> {
        self.client.request(request).await
    }
}

/// Idle connections kept to an endpoint: as many as a busy node's HTTP clients reuse.
const IDLE_MAX: usize = 32;
