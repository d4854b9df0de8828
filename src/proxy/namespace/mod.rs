//! Namespaces: a listener's prefix before every key of its clients.
//!
//! ```text
//!   Call ─> judge (edit it? refuse it?) ─> body: Request ─> the path of every other call ─┐
//!                                            └ flow: whole messages ─> edit ─> prefix     │
//!   Reply <──────────────────────────────── body: Answer <────────────────────────────────┘
//! ```
//!
//! `Namespaces::enter` is the one gate: behind it there are only full keys, so that hubs, retries and the
//! peeks know nothing of namespaces. `messages` says where keys stand, `prefix` what becomes of one,
//! `edit` does it on the bytes of the wire.
//!
//! Invariants:
//! - no key leaves the namespace, whatever a client sends: what cannot be read by everybody in the
//!   same way is refused, and so is what is not known;
//! - no key of others gets in: an answer that is not of the namespace fails, but for the keys of a
//!   lease, of which those of others are left out;
//! - every field that is not a key passes byte for byte, in order, known or not;
//! - what is held is bounded: a request's message by its length, all together by a total.
//!
//! It is a convenience and no wall: Auth, Maintenance and Cluster pass as they are, and so do the ids of leases.

mod body;
pub mod config;
mod edit;
mod flow;
mod judge;
mod messages;
mod metrics;
mod prefix;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use tokio::sync::oneshot;

pub use config::Config;
pub use metrics::NamespaceMetrics;

use crate::types::call::{Body, Call, Reply, is_grpc};
use crate::types::status::{Code, Status};
use body::{Answer, Request};
use flow::Flow;
use judge::{Refusal, Verdict};
use prefix::Namespace;

/// What all calls with a namespace have in common. Cheap to clone.
#[derive(Clone)]
pub struct Namespaces {
    config: Arc<ArcSwap<Config>>,
    metrics: NamespaceMetrics,
}

/// The message that goes to a member in the place of this one, if it is let in.
#[cfg(test)]
pub(crate) fn edited_request(prefix: &'static [u8], path: &str, message: &[u8]) -> Option<Vec<u8>> {
    let (request, _) = messages::of(path).expect("the path has keys");
    let namespace = Namespace::new(&Bytes::from_static(prefix));
    let frame = edit::edited(&namespace, request, message, flow::DEPTH_MAX).ok()?;
    Some(frame.map_or_else(|| message.to_vec(), |frame| frame[flow::PREFIX..].to_vec()))
}

/// A call at the gate.
pub(super) enum Entered {
    /// Nothing of it is edited.
    AsItIs(Call),
    Edited(Call, Edited),
    Refused(Code, Reply),
}

impl Namespaces {
    pub fn new(config: &Config, metrics: NamespaceMetrics) -> Self {
        Self { config: Arc::new(ArcSwap::from_pointee(config.clone())), metrics }
    }

    /// For messages from now on.
    pub fn set(&self, config: &Config) {
        self.config.store(Arc::new(config.clone()));
    }

    pub(super) fn enter(&self, mut call: Call) -> Entered {
        let (request, answer) = match judge::judge(&call) {
            Verdict::Passes => return Entered::AsItIs(call),
            Verdict::Refused(refusal) => return self.refuse(&call, refusal),
            Verdict::Edited(request, answer) => (request, answer),
        };
        judge::prepare(&mut call);
        let namespace = Namespace::new(&call.client.terms.namespace);
        let (refused, told) = oneshot::channel();
        let flow = Flow::of_requests(namespace.clone(), request, self);
        let body = std::mem::replace(&mut call.body, Body::Empty);
        // Nothing to edit, and nothing is to seem to follow.
        if !matches!(body, Body::Empty) {
            call.body = Body::stream(Request { body, flow, refused: Some(refused) });
        }
        Entered::Edited(call, Edited { flow: Flow::of_answers(namespace, answer, self), refused: told })
    }

    fn refuse(&self, call: &Call, refusal: Refusal) -> Entered {
        let (reason, status) = match refusal {
            Refusal::Compressed => ("compressed", flow::compressed()),
            Refusal::Gateway => ("gateway", Status::new(Code::Unimplemented, GATEWAY)),
            Refusal::UnknownMethod => {
                let path = call.head.uri.path();
                let text = format!(
                    "etcdlet: {path} is not known, and cannot be kept in the namespace of this listener"
                );
                ("unknown-method", Status::new(Code::Unimplemented, text))
            }
        };
        self.metrics.on_refused(reason);
        let reply = if call.is_grpc() { Reply::trailers_only(&status) } else { json(&status) };
        Entered::Refused(status.code, reply)
    }
}

/// The way back of a call that is edited.
pub(super) struct Edited {
    flow: Flow,
    refused: oneshot::Receiver<Status>,
}

impl Edited {
    /// The answer as its client may see it.
    pub async fn leave(self, reply: impl Future<Output = Reply>) -> Reply {
        let Self { flow, mut refused } = self;
        let reply = tokio::select! {
            biased;
            Ok(status) = &mut refused => return Reply::trailers_only(&status),
            reply = reply => reply,
        };
        // It ends the call behind in the same moment.
        if let Ok(status) = refused.try_recv() {
            return Reply::trailers_only(&status);
        }
        let Reply { mut head, body } = reply;
        if !is_grpc(&head.headers) || matches!(body, Body::Empty | Body::Trailers(_)) {
            return Reply { head, body };
        }
        head.headers.remove(CONTENT_LENGTH);
        Reply { head, body: Body::stream(Answer::new(body, flow, refused)) }
    }
}

/// An error as the JSON gateways of etcd write it: `error` up to 3.5, `message` in all.
fn json(status: &Status) -> Reply {
    let text = &status.message;
    let body =
        serde_json::json!({ "error": text, "message": text, "code": status.code as u8, "details": [] });
    let mut reply = Reply::text(status);
    reply.head.status = StatusCode::NOT_IMPLEMENTED;
    reply.head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Reply { body: Body::Full(Bytes::from(body.to_string())), ..reply }
}

const GATEWAY: &str = "etcdlet: this listener has a namespace, which holds for gRPC and not for JSON";
