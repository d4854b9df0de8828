//! What is kept of a call so that it can be sent once more.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderValue;
use http::request::Parts;

use super::peek;
use super::replay::Replay;
use crate::types::call::{Body, Call, Wire};
use crate::types::client::Client;
use crate::types::method::Rpc;

/// What is needed to send a call once more.
pub(super) struct Copy {
    rpc: &'static Rpc,
    wire: Wire,
    head: Box<Parts>,
    pub deadline: Option<Instant>,
    client: Arc<Client>,
    body: CopyBody,
}

enum CopyBody {
    Stream(Replay),
    /// Empty for a request without a body.
    Whole(Bytes),
}

impl Copy {
    pub fn of(call: &mut Call) -> Self {
        let body = match std::mem::replace(&mut call.body, Body::Empty) {
            Body::Full(bytes) => {
                call.body = Body::Full(bytes.clone());
                CopyBody::Whole(bytes)
            }
            Body::Stream(body) => {
                let (body, replay) = Replay::of(body);
                call.body = body;
                CopyBody::Stream(replay)
            }
            Body::Empty | Body::Trailers(_) | Body::Whole(..) => CopyBody::Whole(Bytes::new()),
        };
        Self {
            rpc: call.rpc,
            wire: call.wire,
            head: call.head.clone(),
            deadline: call.deadline,
            client: call.client.clone(),
            body,
        }
    }

    /// Turns a serializable `Range` into a linearizable one. Returns whether it was one.
    pub fn linearize(&mut self) -> bool {
        let CopyBody::Whole(bytes) = &mut self.body else { return false };
        let linearizable = match self.rpc.path {
            "/etcdserverpb.KV/Range" => peek::linearizable(bytes),
            "/v3/kv/range" => peek::json_request::linearizable(bytes).map(Bytes::from),
            _ => None,
        };
        let Some(linearizable) = linearizable else { return false };
        *bytes = linearizable;
        if let Some(length) = self.head.headers.get_mut(http::header::CONTENT_LENGTH) {
            *length = HeaderValue::from(bytes.len());
        }
        true
    }

    /// Whether all that was sent of it is still here.
    pub fn is_whole(&self) -> bool {
        match &self.body {
            CopyBody::Stream(replay) => replay.is_whole(),
            CopyBody::Whole(_) => true,
        }
    }

    /// The call again, with the time that is left. It must be whole, and any call that was made of
    /// it before is at an end.
    pub fn call(&self, now: Instant) -> Call {
        let mut call = self.again();
        if self.deadline.is_some() {
            expire(&mut call, self.deadline, now);
        }
        call
    }

    /// The same with another deadline.
    pub fn call_until(&self, deadline: Option<Instant>, now: Instant) -> Call {
        let mut call = self.again();
        expire(&mut call, deadline, now);
        call
    }

    fn again(&self) -> Call {
        let body = match &self.body {
            CopyBody::Stream(replay) => replay.rewind(),
            CopyBody::Whole(bytes) if bytes.is_empty() => Body::Empty,
            CopyBody::Whole(bytes) => Body::Full(bytes.clone()),
        };
        Call {
            rpc: self.rpc,
            wire: self.wire,
            head: self.head.clone(),
            deadline: self.deadline,
            client: self.client.clone(),
            body,
        }
    }
}

/// Gives a call the time until `deadline`.
fn expire(call: &mut Call, deadline: Option<Instant>, now: Instant) {
    call.deadline = deadline;
    let headers = &mut call.head.headers;
    let Some(deadline) = deadline else {
        headers.remove("grpc-timeout");
        return;
    };
    let left = deadline.saturating_duration_since(now).as_millis().clamp(1, TIMEOUT_DIGITS_MAX);
    let value = HeaderValue::from_str(&format!("{left}m")).expect("digits and a letter are visible ASCII");
    match headers.get_mut("grpc-timeout") {
        // Not by `insert`, which wants room for one more first, and panics where there is none.
        Some(timeout) => *timeout = value,
        None => {
            // Without room the member does not know; we do.
            let _full = headers.try_insert("grpc-timeout", value);
        }
    }
}

/// `grpc-timeout` has at most eight digits.
const TIMEOUT_DIGITS_MAX: u128 = 99_999_999;
