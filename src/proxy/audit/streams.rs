//! What is told of streams: which watches were created on one, which leases it kept alive.

use std::collections::VecDeque;

use super::about::{About, Limits, Message};
use super::gather::Budget;
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
    /// Not answered yet, within the budget. etcd answers creates in their order.
    pending: VecDeque<About>,
    /// There were too many at once, so that nobody knows any longer which one an answer is for.
    overflowed: bool,
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
    /// Gives back the creates whose answers can't be waited for.
    pub fn on_request(
        &mut self,
        message: &[u8],
        namespace: &[u8],
        limits: &Limits,
        budget: &Budget,
    ) -> VecDeque<About> {
        let mut created = None;
        for field in Fields(message) {
            match field {
                // Of several, the last one counts.
                Ok((1, Value::Bytes(create))) => created = Some(create),
                Ok((2, Value::Bytes(_))) => self.cancels += 1,
                _ => {}
            }
        }
        let Some(created) = created else { return VecDeque::new() };
        let mut about = About::default();
        // Without a key, it is from the smallest.
        about.read(Message::Wire(&SMALLEST), &CREATE, namespace, limits);
        about.read(Message::Wire(created), &CREATE, namespace, limits);
        self.creates += 1;
        self.overflowed |= budget.take(about.bytes());
        self.pending.push_back(about);
        self.overflowed |= self.pending.len() > PENDING_MAX;
        if self.overflowed { self.give_up(budget) } else { VecDeque::new() }
    }

    /// Those whose answers are not waited for any longer.
    pub fn give_up(&mut self, budget: &Budget) -> VecDeque<About> {
        budget.give_back(self.pending.iter().map(About::bytes).sum());
        std::mem::take(&mut self.pending)
    }

    /// The create that this answers, if it answers one.
    pub fn on_answer(&mut self, message: &[u8], budget: &Budget) -> Option<(About, Response)> {
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
        let create = self.pending.pop_front()?;
        budget.give_back(create.bytes());
        Some((create, response))
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

/// A client that creates more before they are answered is told of at once, from then on.
const PENDING_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::super::about::{Is, Key};
    use super::*;
    use crate::proto::etcdserverpb as pb;

    const LIMITS: Limits = Limits { keys: 10, key_bytes: 100 };

    #[test]
    fn an_answer_is_given_to_no_other_create_than_its_own() {
        for (creates, budget, expected) in [
            (PENDING_MAX, Budget::default(), PENDING_MAX),
            (PENDING_MAX + 100, Budget::default(), 0),
            (100, with_budget(1000), 0),
        ] {
            let (mut watches, mut given_back) = (Watches::default(), Vec::new());
            for number in 0..creates {
                given_back.extend(create(&mut watches, number, &budget));
            }
            let mut answered = 0;
            for number in 0..creates {
                let watch_id = number as i64;
                let answer = pb::WatchResponse { watch_id, created: true, ..Default::default() };
                let answer = watches.on_answer(&answer.encode_to_vec(), &budget);
                let Some((about, response)) = answer else { continue };
                assert_eq!(about.fact("key"), Some(&key(watch_id)));
                assert_eq!(response.watch_id, watch_id);
                answered += 1;
            }
            assert_eq!((answered, given_back.len()), (expected, creates - expected));
            for (number, about) in given_back.iter().enumerate() {
                assert_eq!(about.fact("key"), Some(&key(number as i64)));
            }
            assert_eq!(budget.used(), 0);
        }
    }

    #[test]
    fn what_waits_for_an_answer_counts() {
        let (mut watches, budget) = (Watches::default(), Budget::default());
        for number in 0..10 {
            assert!(create(&mut watches, number, &budget).is_empty());
        }
        assert!((500..5000).contains(&budget.used()), "{}", budget.used());
        assert_eq!(watches.give_up(&budget).len(), 10);
        assert_eq!(budget.used(), 0);
    }

    fn create(watches: &mut Watches, number: usize, budget: &Budget) -> VecDeque<About> {
        let key = number.to_string().into();
        let create = pb::WatchCreateRequest { key, ..Default::default() };
        let union = pb::watch_request::RequestUnion::CreateRequest(create);
        let request = pb::WatchRequest { request_union: Some(union) };
        watches.on_request(&request.encode_to_vec(), b"", &LIMITS, budget)
    }

    fn with_budget(max: usize) -> Budget {
        Budget::new(max, prometheus::IntGauge::new("bytes", "For tests.").unwrap())
    }

    fn key(number: i64) -> Is {
        let bytes = number.to_string().into_bytes();
        Is::Key(Key { length: bytes.len(), bytes })
    }
}
