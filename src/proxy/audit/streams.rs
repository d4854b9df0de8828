//! What is told of streams: which watches were created on one, which leases it kept alive.

use std::collections::VecDeque;

use super::about::{About, Limits, Message};
use super::table::CREATE;
use crate::proxy::peek::{Fields, Value};

/// What a call's messages are.
pub(super) enum Stream {
    KeepAlive(KeepAlives),
    /// One request at most matters.
    None,
    Watch(Watches),
}

#[derive(Default)]
pub(super) struct KeepAlives {
    pub leases: Vec<i64>,
    pub leases_left_out: bool,
}

impl KeepAlives {
    pub fn on_request(&mut self, message: &[u8], limits: &Limits) {
        let mut lease = 0;
        for field in Fields(message) {
            if let Ok((1, Value::Varint(id))) = field {
                lease = id.cast_signed();
            }
        }
        if !self.leases.contains(&lease) {
            if self.leases.len() < limits.keys {
                self.leases.push(lease);
            } else {
                self.leases_left_out = true;
            }
        }
    }
}

#[derive(Default)]
pub(super) struct Watches {
    /// Not answered yet. etcd answers creates in their order.
    pub pending: VecDeque<About>,
    pub creates: u64,
    pub cancels: u64,
}

/// What a member says of a watch.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Response {
    pub watch_id: i64,
    pub created: bool,
    pub canceled: bool,
    pub cancel_reason: String,
}

impl Watches {
    /// Gives back a create whose answer can't be waited for.
    pub fn on_request(&mut self, message: &[u8], namespace: &[u8], limits: &Limits) -> Option<About> {
        let mut created = None;
        for field in Fields(message) {
            match field {
                // Of several, the last one counts.
                Ok((1, Value::Bytes(create))) => created = Some(create),
                Ok((2, Value::Bytes(_))) => self.cancels += 1,
                _ => {}
            }
        }
        let mut about = About::default();
        // Without a key, it is from the smallest.
        about.read(Message::Wire(&SMALLEST), &CREATE, namespace, limits);
        about.read(Message::Wire(created?), &CREATE, namespace, limits);
        self.creates += 1;
        self.pending.push_back(about);
        if self.pending.len() > PENDING_MAX { self.pending.pop_front() } else { None }
    }

    /// The create that this answers, if it answers one.
    pub fn on_answer(&mut self, message: &[u8]) -> Option<(About, Response)> {
        let mut response = Response::default();
        for field in Fields(message).map_while(Result::ok) {
            match field {
                (2, Value::Varint(id)) => response.watch_id = id.cast_signed(),
                (3, Value::Varint(created)) => response.created = created != 0,
                (4, Value::Varint(canceled)) => response.canceled = canceled != 0,
                (6, Value::Bytes(reason)) => {
                    response.cancel_reason = String::from_utf8_lossy(reason).into_owned();
                }
                // Events come last.
                (7.., _) => break,
                _ => {}
            }
        }
        if !response.created {
            return None;
        }
        Some((self.pending.pop_front()?, response))
    }
}

/// The code in the reason of a cancel: `rpc error: code = PermissionDenied desc = …`.
pub(super) fn code_in(reason: &str) -> &str {
    let code = reason.strip_prefix("rpc error: code = ").and_then(|rest| rest.split(' ').next());
    code.unwrap_or("Unknown")
}

/// A create of the key that is one zero byte (`recvLoop` of etcd's
/// `server/etcdserver/api/v3rpc/watch.go`).
const SMALLEST: [u8; 3] = [1 << 3 | 2, 1, 0];

/// A client that creates more without reading an answer is told of at once.
const PENDING_MAX: usize = 1024;
