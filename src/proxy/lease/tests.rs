//! The core, step by step and against what must hold after any steps.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::core::{ClientId, Core, Counts, Ended, LaneId, Next, Output, Taken, Unexpected};
use crate::types::status::{Code, Status};

const PATIENCE: Duration = Duration::from_secs(5);

struct Hub {
    core: Core,
    now: Instant,
    patience: Duration,
}

impl Hub {
    fn new(lanes: u64) -> Self {
        Self { core: Core::new(lanes), now: Instant::now(), patience: PATIENCE }
    }

    fn ask(&mut self, client: ClientId, lease: i64) {
        self.core.handle_request(self.now, client, Some(lease), Bytes::from(format!("lease {lease}")));
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.core.poll_output()).collect()
    }

    /// The lane that has to be opened now.
    fn started(&mut self) -> LaneId {
        let outputs = self.outputs();
        let mut starts = outputs.iter().filter_map(|output| match output {
            Output::Start(lane) => Some(*lane),
            Output::Client(_) | Output::Lane(_) => None,
        });
        match (starts.next(), starts.next()) {
            (Some(lane), None) => lane,
            _ => panic!("not one lane is started: {outputs:?}"),
        }
    }

    fn sent(&mut self, lane: LaneId) -> Vec<String> {
        let sent = std::iter::from_fn(|| self.core.poll_send(self.now, lane));
        sent.map(|frame| String::from_utf8(frame.to_vec()).unwrap()).collect()
    }

    fn answer(&mut self, lane: LaneId, lease: i64, text: &'static str) {
        self.core.handle_reply(self.now, lane, Some(lease), &Bytes::from_static(text.as_bytes())).unwrap();
    }

    fn taken(&mut self, client: ClientId) -> Vec<String> {
        let mut taken = Vec::new();
        loop {
            match self.core.take(self.now, client) {
                Some(Taken::Reply(frame)) => taken.push(String::from_utf8(frame.to_vec()).unwrap()),
                Some(Taken::End(status)) => {
                    taken.push(format!("{}: {}", status.code.name(), status.message));
                    return taken;
                }
                None => return taken,
            }
        }
    }

    fn broken(&mut self, lane: LaneId) -> Next {
        let lost = Status::new(Code::Unavailable, "lost");
        self.core.handle_ended(self.now, lane, &Ended::Broken(lost), self.patience)
    }

    fn ended(&mut self, lane: LaneId, code: Code, text: &'static str) -> Next {
        self.core.handle_ended(self.now, lane, &Ended::Status(Status::new(code, text)), self.patience)
    }
}

#[test]
fn requests_share_a_renewal_that_was_not_sent_when_they_came() {
    let mut hub = Hub::new(1);
    let (a, b, c) = (hub.core.handle_join(), hub.core.handle_join(), hub.core.handle_join());
    hub.ask(a, 7);
    let lane = hub.started();
    hub.ask(b, 7);
    assert_eq!(hub.sent(lane), ["lease 7"]);
    // Too late for that one; and there is never a second beside it.
    hub.ask(c, 7);
    assert_eq!(hub.sent(lane), [] as [&str; 0]);
    hub.answer(lane, 7, "first");
    assert_eq!((hub.taken(a), hub.taken(b)), (vec!["first".into()], vec!["first".into()]));
    assert_eq!(hub.taken(c), [] as [&str; 0]);
    assert_eq!(hub.sent(lane), ["lease 7"]);
    hub.answer(lane, 7, "second");
    assert_eq!(hub.taken(c), ["second"]);
    let counts = Counts { requests: 3, renewals: 2, ..Counts::default() };
    assert_eq!(hub.core.take_counts(), counts);
    // Nothing is renewed that nobody asks for.
    assert_eq!(hub.sent(lane), [] as [&str; 0]);
}

#[test]
fn answers_come_in_the_order_of_the_requests() {
    let mut hub = Hub::new(2);
    let a = hub.core.handle_join();
    hub.ask(a, 7);
    let first = hub.started();
    hub.ask(a, 8);
    let second = hub.started();
    hub.ask(a, 7);
    assert_eq!((hub.sent(first), hub.sent(second)), (vec!["lease 7".into()], vec!["lease 8".into()]));
    hub.answer(second, 8, "eight");
    assert!(!hub.outputs().contains(&Output::Client(a)), "nothing can be taken yet");
    assert_eq!(hub.taken(a), [] as [&str; 0]);
    hub.answer(first, 7, "seven");
    assert!(hub.outputs().contains(&Output::Client(a)));
    assert_eq!(hub.taken(a), ["seven", "eight", "seven"]);
}

#[test]
fn an_answer_that_waited_for_another_is_not_told_when_it_is_old() {
    let mut hub = Hub::new(2);
    let a = hub.core.handle_join();
    hub.ask(a, 7);
    let first = hub.started();
    hub.ask(a, 8);
    let second = hub.started();
    assert_eq!((hub.sent(first), hub.sent(second)), (vec!["lease 7".into()], vec!["lease 8".into()]));
    hub.answer(second, 8, "eight");
    // The first lease has expired, and etcd waits for its revocation.
    hub.now += Duration::from_secs(2);
    hub.answer(first, 7, "seven");
    assert_eq!(hub.taken(a), ["seven"]);
    let [lane] =
        [first, second].into_iter().filter(|lane| !hub.sent(*lane).is_empty()).collect::<Vec<_>>()[..]
    else {
        panic!("not renewed once")
    };
    hub.answer(lane, 8, "eight, now");
    hub.now += Duration::from_secs(2);
    assert_eq!(hub.taken(a), ["eight, now"], "who reads late has to wait for nobody");
    assert_eq!(hub.core.take_counts(), Counts { requests: 2, renewals: 3, ..Counts::default() });
}

#[test]
fn streams_to_the_leader_end_with_the_last_client() {
    let mut hub = Hub::new(1);
    let (a, b) = (hub.core.handle_join(), hub.core.handle_join());
    hub.ask(a, 7);
    let lane = hub.started();
    hub.sent(lane);
    hub.core.handle_leave(b);
    assert!(!hub.core.has_sent_all(lane));
    hub.core.handle_leave(a);
    assert!(!hub.core.has_sent_all(lane), "an answer is on its way");
    hub.answer(lane, 7, "to nobody");
    assert!(hub.core.has_sent_all(lane));
    // Somebody comes before it has ended.
    let c = hub.core.handle_join();
    hub.ask(c, 7);
    assert_eq!(hub.sent(lane), [] as [&str; 0]);
    assert!(matches!(hub.ended(lane, Code::Ok, ""), Next::Again { .. }));
    assert_eq!(hub.sent(lane), ["lease 7"]);
    hub.answer(lane, 7, "for c");
    assert_eq!(hub.taken(c), ["for c"]);
}

#[test]
fn renewals_go_to_the_lane_that_waits_for_the_least() {
    let mut hub = Hub::new(2);
    let a = hub.core.handle_join();
    hub.ask(a, 1);
    let stuck = hub.started();
    assert_eq!(hub.sent(stuck), ["lease 1"]);
    hub.ask(a, 2);
    let other = hub.started();
    for lease in 2..20 {
        hub.ask(a, lease);
        assert_eq!(hub.sent(other), [format!("lease {lease}")]);
        hub.answer(other, lease, "answer");
    }
    // However much waits for the others.
    hub.now += Duration::from_millis(100);
    (20..30).for_each(|lease| hub.ask(a, lease));
    assert_eq!(hub.sent(other).len(), 10);
    assert_eq!(hub.sent(stuck), [] as [&str; 0]);
}

#[test]
fn what_a_broken_stream_has_not_answered_is_sent_again_in_its_order() {
    let mut hub = Hub::new(1);
    let (a, b) = (hub.core.handle_join(), hub.core.handle_join());
    for lease in [1, 2, 3] {
        hub.ask(a, lease);
    }
    let lane = hub.started();
    assert_eq!(hub.sent(lane), ["lease 1", "lease 2", "lease 3"]);
    hub.answer(lane, 1, "one");
    hub.ask(a, 4);
    hub.ask(b, 2);
    assert_eq!(hub.broken(lane), Next::Again { failures: 1 });
    assert_eq!(hub.sent(lane), ["lease 2", "lease 3", "lease 4"]);
    for (lease, text) in [(2, "two"), (3, "three"), (4, "four")] {
        hub.answer(lane, lease, text);
    }
    assert_eq!(hub.taken(a), ["one", "two", "three", "four"]);
    // It came before the renewal that was sent in the place of the lost one.
    assert_eq!(hub.taken(b), ["two"]);
    assert_eq!(hub.core.take_counts().resends, 2);
}

#[test]
fn what_nobody_waits_for_is_not_sent() {
    let mut hub = Hub::new(1);
    let (a, b) = (hub.core.handle_join(), hub.core.handle_join());
    hub.ask(a, 1);
    let lane = hub.started();
    assert_eq!(hub.sent(lane), ["lease 1"]);
    hub.ask(a, 2);
    hub.ask(b, 2);
    hub.ask(a, 3);
    hub.core.handle_leave(a);
    assert_eq!(hub.sent(lane), ["lease 2"]);
    assert_eq!(hub.broken(lane), Next::Again { failures: 1 });
    assert_eq!(hub.sent(lane), ["lease 2"]);
    hub.core.handle_leave(b);
    assert_eq!(hub.broken(lane), Next::Stop);
    let counts = hub.core.take_counts();
    assert_eq!((counts.waiting, counts.inflight), (0, 0));
}

#[test]
fn an_error_ends_those_whose_request_it_answers() {
    let mut hub = Hub::new(1);
    let (a, b, c) = (hub.core.handle_join(), hub.core.handle_join(), hub.core.handle_join());
    hub.ask(a, 1);
    hub.ask(a, 2);
    let lane = hub.started();
    hub.ask(b, 1);
    assert_eq!(hub.sent(lane), ["lease 1", "lease 2"]);
    hub.ask(c, 1);
    hub.ask(b, 3);
    assert_eq!(hub.ended(lane, Code::PermissionDenied, "denied"), Next::Again { failures: 0 });
    assert_eq!(hub.taken(a), ["PermissionDenied: denied"]);
    assert_eq!(hub.taken(b), ["PermissionDenied: denied"]);
    assert_eq!(hub.taken(c), [] as [&str; 0]);
    // The client leaves with its other requests.
    hub.core.handle_leave(a);
    hub.core.handle_leave(b);
    assert_eq!(hub.sent(lane), ["lease 1"]);
    hub.answer(lane, 1, "one");
    assert_eq!(hub.taken(c), ["one"]);
}

#[test]
fn an_unknown_token_ends_all_and_as_a_break_for_those_whom_it_served() {
    let mut hub = Hub::new(1);
    let (a, b) = (hub.core.handle_join(), hub.core.handle_join());
    hub.ask(a, 1);
    let lane = hub.started();
    assert_eq!(hub.sent(lane), ["lease 1"]);
    hub.answer(lane, 1, "one");
    hub.ask(a, 1);
    hub.ask(b, 2);
    assert_eq!(hub.sent(lane), ["lease 1", "lease 2"]);
    assert_eq!(hub.ended(lane, Code::Unauthenticated, "invalid auth token"), Next::Stop);
    let text = "Unavailable: etcdlet: the member answered Unauthenticated: invalid auth token";
    assert_eq!(hub.taken(a), ["one", text]);
    assert_eq!(hub.taken(b), ["Unauthenticated: invalid auth token"]);
}

#[test]
fn a_refusal_before_anything_was_sent_is_about_what_waits() {
    let mut hub = Hub::new(1);
    let (a, b) = (hub.core.handle_join(), hub.core.handle_join());
    hub.ask(a, 1);
    let lane = hub.started();
    hub.ask(b, 2);
    assert_eq!(hub.ended(lane, Code::InvalidArgument, "no"), Next::Again { failures: 0 });
    assert_eq!(hub.ended(lane, Code::InvalidArgument, "no"), Next::Stop);
    assert_eq!(
        (hub.taken(a), hub.taken(b)),
        (vec!["InvalidArgument: no".into()], vec!["InvalidArgument: no".into()])
    );
}

#[test]
fn whoever_waits_for_too_long_while_streams_fail_is_told() {
    let mut hub = Hub::new(1);
    let (a, b) = (hub.core.handle_join(), hub.core.handle_join());
    hub.ask(a, 1);
    let lane = hub.started();
    assert_eq!(hub.broken(lane), Next::Again { failures: 1 });
    hub.now += PATIENCE / 2;
    hub.ask(b, 2);
    assert_eq!(hub.broken(lane), Next::Again { failures: 2 });
    hub.now += PATIENCE / 2;
    assert_eq!(hub.broken(lane), Next::Again { failures: 3 });
    assert_eq!(hub.taken(a), ["Unavailable: lost"]);
    assert_eq!(hub.taken(b), [] as [&str; 0]);
    assert_eq!(hub.sent(lane), ["lease 2"]);
    hub.answer(lane, 2, "two");
    assert_eq!(hub.taken(b), ["two"]);
}

#[test]
fn another_patience_concerns_who_waits_already() {
    let mut hub = Hub::new(1);
    let a = hub.core.handle_join();
    hub.ask(a, 1);
    let lane = hub.started();
    assert_eq!(hub.broken(lane), Next::Again { failures: 1 });
    hub.patience = PATIENCE / 5;
    hub.now += hub.patience;
    assert_eq!(hub.broken(lane), Next::Stop);
    assert_eq!(hub.taken(a), ["Unavailable: lost"]);
}

#[test]
fn a_stream_that_breaks_after_a_long_silence_is_replaced_at_once() {
    let mut hub = Hub::new(1);
    let a = hub.core.handle_join();
    hub.ask(a, 1);
    let lane = hub.started();
    assert_eq!(hub.sent(lane), ["lease 1"]);
    hub.now += PATIENCE * 2;
    assert_eq!(hub.broken(lane), Next::Again { failures: 1 });
    assert_eq!(hub.sent(lane), ["lease 1"]);
    // But what etcd says after so long is its last word.
    assert_eq!(hub.ended(lane, Code::Unavailable, "etcdserver: no leader"), Next::Stop);
    assert_eq!(hub.taken(a), ["Unavailable: etcdserver: no leader"]);
}

#[test]
fn a_message_that_is_not_understood_travels_alone() {
    let mut hub = Hub::new(1);
    let (a, b) = (hub.core.handle_join(), hub.core.handle_join());
    hub.ask(a, 1);
    let shared = hub.started();
    hub.core.handle_request(hub.now, a, None, "nonsense".into());
    let alone = hub.started();
    assert_ne!(alone, shared);
    hub.ask(b, 2);
    assert!(!hub.core.has_sent_all(alone));
    assert_eq!(hub.sent(alone), ["nonsense"]);
    assert!(hub.core.has_sent_all(alone));
    assert_eq!(hub.sent(shared), ["lease 1", "lease 2"]);
    assert_eq!(hub.ended(alone, Code::Internal, "what?"), Next::Stop);
    assert_eq!(hub.taken(a), [] as [&str; 0]);
    hub.answer(shared, 1, "one");
    hub.answer(shared, 2, "two");
    assert_eq!(hub.taken(a), ["one", "Internal: what?"]);
    assert_eq!(hub.taken(b), ["two"]);
}

#[test]
fn a_retired_lane_ends_when_all_is_answered_and_others_take_its_place() {
    let mut hub = Hub::new(2);
    let a = hub.core.handle_join();
    hub.ask(a, 1);
    let old = hub.started();
    assert_eq!(hub.sent(old), ["lease 1"]);
    hub.core.handle_retire(old);
    hub.ask(a, 2);
    let new = hub.started();
    assert_ne!(new, old);
    assert!(!hub.core.has_sent_all(old));
    hub.outputs();
    hub.answer(old, 1, "one");
    assert!(hub.outputs().contains(&Output::Lane(old)));
    assert!(hub.core.has_sent_all(old) && hub.core.is_idle(old));
    assert_eq!(hub.ended(old, Code::Ok, ""), Next::Stop);
}

#[test]
fn an_answer_to_another_question_is_refused() {
    let mut hub = Hub::new(1);
    let a = hub.core.handle_join();
    hub.ask(a, 1);
    let lane = hub.started();
    assert_eq!(
        hub.core.handle_reply(hub.now, lane, Some(1), &Bytes::new()),
        Err(Unexpected),
        "not asked yet"
    );
    hub.sent(lane);
    assert_eq!(hub.core.handle_reply(hub.now, lane, Some(2), &Bytes::new()), Err(Unexpected));
    assert_eq!(hub.core.handle_reply(hub.now, lane, None, &Bytes::new()), Err(Unexpected));
    hub.broken(lane);
    assert_eq!(hub.sent(lane), ["lease 1"]);
}

/// Random steps. The answer to a renewal says when it was sent; whoever takes it must have asked
/// before.
#[test]
fn whatever_happens_every_request_is_answered_once_in_order_and_not_from_before() {
    for seed in 0..300 {
        let mut model = Model::new(seed);
        for _ in 0..400 {
            model.step();
        }
        model.finish();
    }
}

struct Model {
    rng: fastrand::Rng,
    hub: Hub,
    /// Counts steps.
    time: u64,
    /// Leases that were asked for and when, oldest first.
    clients: BTreeMap<u64, (ClientId, VecDeque<(i64, u64)>)>,
    /// What is under way on each lane: the lease and when it was sent.
    lanes: BTreeMap<LaneId, VecDeque<(i64, u64)>>,
    seed: u64,
}

impl Model {
    fn new(seed: u64) -> Self {
        let (clients, lanes) = Default::default();
        Self { rng: fastrand::Rng::with_seed(seed), hub: Hub::new(2), time: 0, clients, lanes, seed }
    }

    fn step(&mut self) {
        self.time += 1;
        let lane = self.rng.usize(..self.lanes.len().max(1));
        let lane = self.lanes.keys().nth(lane).copied();
        let client = self.rng.usize(..self.clients.len().max(1));
        let client = self.clients.keys().nth(client).copied();
        match (self.rng.u8(..100), client, lane) {
            (0..10, ..) | (_, None, _) => {
                let id = self.hub.core.handle_join();
                self.clients.insert(self.time, (id, VecDeque::new()));
            }
            (10..45, Some(client), _) => {
                let lease = self.rng.i64(0..4);
                let (id, asked) = self.clients.get_mut(&client).unwrap();
                asked.push_back((lease, self.time));
                self.hub.ask(*id, lease);
            }
            (45..50, Some(client), _) => {
                let (id, _) = self.clients.remove(&client).unwrap();
                self.hub.core.handle_leave(id);
            }
            (50..72, _, Some(lane)) => self.send(lane),
            (72..92, _, Some(lane)) => self.answer(lane),
            (92..96, _, Some(lane)) => {
                self.lanes.insert(lane, VecDeque::new());
                if self.hub.broken(lane) == Next::Stop {
                    self.lanes.remove(&lane);
                }
            }
            (96..98, _, Some(lane)) => self.hub.core.handle_retire(lane),
            _ => {}
        }
        self.look();
    }

    fn send(&mut self, lane: LaneId) {
        if let Some(frame) = self.hub.core.poll_send(self.hub.now, lane) {
            let text = String::from_utf8(frame.to_vec()).unwrap();
            let lease: i64 = text.strip_prefix("lease ").unwrap().parse().unwrap();
            let twice = self.lanes.values().flatten().any(|(other, _)| *other == lease);
            assert!(!twice, "two renewals of {lease} at once, seed {}", self.seed);
            let wanted = self.clients.values().any(|(_, asked)| asked.iter().any(|(of, _)| *of == lease));
            assert!(wanted, "nobody asked for {lease}, seed {}", self.seed);
            self.lanes.get_mut(&lane).unwrap().push_back((lease, self.time));
        }
        if self.hub.core.has_sent_all(lane) && self.hub.ended(lane, Code::Ok, "") == Next::Stop {
            self.lanes.remove(&lane);
        }
    }

    fn answer(&mut self, lane: LaneId) {
        let Some((lease, sent)) = self.lanes.get_mut(&lane).unwrap().pop_front() else { return };
        let answer = Bytes::from(format!("{lease} {sent}"));
        self.hub.core.handle_reply(self.hub.now, lane, Some(lease), &answer).unwrap();
    }

    fn look(&mut self) {
        for output in self.hub.outputs() {
            if let Output::Start(lane) = output {
                assert!(self.lanes.insert(lane, VecDeque::new()).is_none(), "seed {}", self.seed);
            }
        }
        for (id, asked) in self.clients.values_mut() {
            for text in self.hub.taken(*id) {
                let (lease, sent) = text.split_once(' ').unwrap();
                let (wanted, when) = asked.pop_front().expect("an answer to no request");
                assert_eq!(lease.parse(), Ok(wanted), "seed {}", self.seed);
                assert!(sent.parse::<u64>().unwrap() > when, "too old an answer, seed {}", self.seed);
            }
        }
    }

    /// When nothing fails any longer, everybody gets an answer.
    fn finish(&mut self) {
        for _ in 0..1000 {
            self.time += 1;
            if self.clients.values().all(|(_, asked)| asked.is_empty()) {
                break;
            }
            for lane in self.lanes.keys().copied().collect::<Vec<_>>() {
                self.send(lane);
                if self.lanes.contains_key(&lane) {
                    self.answer(lane);
                }
            }
            self.look();
        }
        for (_, asked) in self.clients.values() {
            assert!(asked.is_empty(), "{asked:?} got no answer, seed {}", self.seed);
        }
        let counts = self.hub.core.take_counts();
        assert_eq!((counts.waiting, counts.inflight), (0, 0), "seed {}", self.seed);
    }
}
