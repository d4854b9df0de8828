//! The audit log: who did what to which key. Off by default.
//!
//! ```text
//!   call ─> begin (table: is it told?) ─> request body ──> about: keys, ids, by the table's fields
//!                                         answer ────────> header, second field, status
//!                                         end or drop ───> line ─> telemetry/access/
//! ```
//!
//! Invariants: a call is told at its end, once, however it ends; a value, a password or a token is
//! never told, because no field that has one is looked at; what passes by is neither changed nor
//! held up; where nothing is told, a call costs one branch, and where only writes are told, so does
//! a read.
//!
//! Deliberately absent: calls of etcdlet's own (probes, shared watches and keep-alives), which
//! clients did not make.

mod about;
mod body;
pub mod config;
mod entry;
mod failure;
mod gather;
mod line;
mod metrics;
mod render;
mod streams;
mod table;
#[cfg(test)]
mod tests;
mod tokens;

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method};

pub(super) use body::Open;
pub use config::{Calls, Config};
#[cfg(test)]
pub(crate) use tests::fuzzed;

use crate::telemetry::access::{Sink, Target};
use crate::telemetry::metrics::Metrics;
use crate::types::call::{Body, Call};
use crate::types::gateway;
use crate::types::method::{Effect, Rpc, UNKNOWN};
use crate::types::status::percent_decode;
use crate::upstream::health::Publisher;
use about::Limits;
use entry::{Entry, Kind, Told};
use metrics::AuditMetrics;
use table::{Answers, Row};
use tokens::Holder;

/// Tells calls, or nothing. One for the process; cheap to clone.
#[derive(Clone)]
pub struct Audit(Option<Arc<Office>>);

#[derive(Debug, thiserror::Error)]
#[error("cannot write the audit log {target}: {source}")]
pub struct AuditError {
    target: Target,
    source: io::Error,
}

struct Office {
    sink: Sink,
    limits: Limits,
    tells_reads: bool,
    tokens: tokens::Tokens,
    budget: gather::Budget,
    /// To know the members by their endpoints.
    views: Publisher,
}

impl Audit {
    /// Opens the log, if there is to be one.
    pub fn open(config: &Config, views: Publisher, metrics: &Metrics) -> Result<Self, AuditError> {
        if config.calls == Calls::Off {
            return Ok(Self(None));
        }
        let target = config.sink.target.clone();
        let sink = Sink::open(&config.sink, metrics).map_err(|source| AuditError { target, source })?;
        let AuditMetrics { request_bytes, tokens } = AuditMetrics::new(metrics);
        Ok(Self(Some(Arc::new(Office {
            sink,
            limits: Limits { keys: config.keys_max, key_bytes: config.key_bytes_max },
            tells_reads: config.calls == Calls::All,
            tokens: tokens::Tokens::new(config.tokens_max, tokens),
            budget: gather::Budget::new(config.request_bytes_max, request_bytes),
            views,
        }))))
    }

    /// For who has moved the file.
    pub fn reopen(&self) {
        if let Some(office) = &self.0 {
            office.sink.reopen();
        }
    }

    /// Writes what is there, as long as `limit` lasts. What is told later is lost.
    pub fn close(&self, limit: Duration) {
        if let Some(office) = &self.0 {
            office.sink.close(limit);
        }
    }

    /// `None` where this call is not told.
    pub(super) fn begin(&self, call: &mut Call) -> Option<Open> {
        self.0.as_ref().and_then(|office| office.begin(call))
    }
}

impl Office {
    fn begin(self: &Arc<Self>, call: &mut Call) -> Option<Open> {
        let (kind, rpc) = classify(call);
        if !self.tells_reads && is_read(call, kind, rpc) {
            return None;
        }
        let row = match kind {
            Kind::Grpc | Kind::Json => Row::of(rpc.method),
            Kind::Http => &table::HTTP,
        };
        let mut told = Told::new(kind, row);
        // Of these nothing is read.
        told.about.incomplete = match kind {
            Kind::Grpc | Kind::Json => std::ptr::eq(row, &table::UNKNOWN),
            Kind::Http => !is_read(call, kind, rpc),
        };
        let headers = &call.head.headers;
        let holder = token(headers, kind).map(|token| {
            let holder = Holder::of(token.as_bytes(), &self.tokens);
            match row.answer {
                // etcd does not look at the token of who signs in, so that it may be anybody's.
                Answers::Token => Holder { user: None, ..holder },
                _ => holder,
            }
        });
        let entry = Arc::new(Entry {
            office: self.clone(),
            kind,
            row,
            started: Instant::now(),
            client: call.client.clone(),
            // Roles are of the cluster, not of the namespace.
            namespace: match rpc.method.starts_with("/etcdserverpb.Auth/") {
                true => Bytes::new(),
                false => call.client.terms.namespace.clone(),
            },
            uri: call.head.uri.clone(),
            agent: headers.get(http::header::USER_AGENT).cloned(),
            holder,
            told: Mutex::new(Some(told)),
        });
        call.head.extensions.insert(IsTold);
        if !matches!(call.body, Body::Empty) {
            let body = std::mem::replace(&mut call.body, Body::Empty);
            call.body = Body::stream(body::Request { body, entry: entry.clone() });
        }
        Some(Open(entry))
    }
}

/// Among the extensions of a call's head.
#[derive(Clone, Copy)]
struct IsTold;

/// Whether the reply should say among its head's extensions who has answered
/// ([`From`](crate::upstream::From)).
pub(super) fn is_told(call: &Call) -> bool {
    call.head.extensions.get::<IsTold>().is_some()
}

/// What the call is, and by which row of the method table it is judged: by that of its path as Go's HTTP
/// server decodes it, which stands before both of etcd's APIs.
fn classify(call: &Call) -> (Kind, &'static Rpc) {
    let path = || percent_decode(call.head.uri.path().as_bytes());
    if call.is_grpc() {
        let is_known = *call.rpc != UNKNOWN;
        return (Kind::Grpc, if is_known { call.rpc } else { Rpc::of(&path()) });
    }
    let method = match call.rpc.method {
        // What is sent on a WebSocket counts as sent to its path (`server/embed/serve.go`).
        "" if call.rpc.is_websocket() || call.head.method == Method::POST => {
            gateway::row(&path()).map_or("", |row| row.method)
        }
        method => method,
    };
    if method.is_empty() { (Kind::Http, call.rpc) } else { (Kind::Json, Rpc::of(method)) }
}

/// Whether the call certainly changes nothing, before a byte of it is looked at.
fn is_read(call: &Call, kind: Kind, rpc: &'static Rpc) -> bool {
    match kind {
        Kind::Grpc | Kind::Json => rpc.effect == Effect::Read,
        Kind::Http => call.head.method.is_safe() && !rpc.is_websocket(),
    }
}

/// Where etcd looks for it (`server/auth/store.go`, `AuthInfoFromCtx`), in metadata or in the headers
/// of which its gateway makes them (grpc-gateway's `DefaultHeaderMatcher`).
fn token(headers: &HeaderMap, kind: Kind) -> Option<&http::HeaderValue> {
    let name = match kind {
        Kind::Grpc => "token",
        Kind::Http | Kind::Json => "grpc-metadata-token",
    };
    let of_gateway = || headers.get("grpc-metadata-authorization").filter(|_| kind != Kind::Grpc);
    headers.get(name).or_else(|| headers.get(http::header::AUTHORIZATION)).or_else(of_gateway)
}
