//! Who waits for which renewal, and which renewal waits for what. Pure: time comes in, decisions go out.
//!
//! ```text
//!   request ─> its renewal:  queued ──sent──> in flight ──answer──> over, or queued again for
//!              (one a lease)   ^ joined by      │ joined by nobody: who comes now waits in `open`
//!                              │ who comes now  │
//!                              └──── broken ────┘
//! ```
//!
//! Invariants: a request is answered by a renewal that was sent after the request came; a lease
//! has at most one renewal in flight; a renewal that nobody waits for any longer is not sent; the
//! answers of a client come in the order of its requests, and end with the first error.

mod parts;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::mem;
use std::time::{Duration, Instant};

use bytes::Bytes;

use parts::{Client, HELD_MAX, Lane, Progress, Renewal, Slot, Subject, Waiter, request};
pub(super) use parts::{ClientId, Counts, Ended, LaneId, Next, Output, Taken, Unexpected};

use super::verdict::{Verdict, unavailable, verdict};
use crate::types::status::{Code, Status};

/// One per identity.
pub(super) struct Core {
    /// How many lanes renewals share.
    shared: u64,
    clients: HashMap<ClientId, Client>,
    renewals: HashMap<Subject, Renewal>,
    lanes: BTreeMap<LaneId, Lane>,
    outputs: VecDeque<Output>,
    counts: Counts,
    /// The next number that names something.
    next: u64,
}

impl Core {
    pub fn new(shared: u64) -> Self {
        Self {
            shared,
            clients: HashMap::new(),
            renewals: HashMap::new(),
            lanes: BTreeMap::new(),
            outputs: VecDeque::new(),
            counts: Counts::default(),
            // Lower numbers are those of the shared lanes.
            next: shared,
        }
    }

    pub fn handle_join(&mut self) -> ClientId {
        let id = ClientId(self.number());
        self.clients.insert(id, Client::default());
        id
    }

    /// A client's request for a lease, or a message that is not understood (`None`).
    pub fn handle_request(&mut self, now: Instant, client: ClientId, lease: Option<i64>, frame: Bytes) {
        let subject = lease.map_or_else(|| Subject::Raw(self.number()), Subject::Lease);
        let Some(of) = self.clients.get_mut(&client) else { return };
        let waiter = Waiter { client, slot: of.first + of.slots.len() as u64, since: now };
        of.slots.push_back(Slot::Waiting(subject));
        self.counts.requests += 1;
        self.counts.waiting += 1;
        self.wait(now, subject, frame, waiter);
    }

    /// For a renewal that is yet to be sent.
    fn wait(&mut self, now: Instant, subject: Subject, frame: Bytes, waiter: Waiter) {
        match self.renewals.get_mut(&subject).map(|renewal| &mut renewal.progress) {
            Some(Progress::Queued { waiters }) => waiters.push(waiter),
            Some(Progress::Sent { open, .. }) => open.push(waiter),
            None => self.queue(now, subject, frame, vec![waiter]),
        }
    }

    pub fn handle_leave(&mut self, client: ClientId) {
        let Some(Client { slots, .. }) = self.clients.remove(&client) else { return };
        for slot in slots {
            let Slot::Waiting(subject) = slot else { continue };
            self.counts.waiting -= 1;
            let Some(renewal) = self.renewals.get_mut(&subject) else { continue };
            match &mut renewal.progress {
                Progress::Queued { waiters } => {
                    waiters.retain(|waiter| waiter.client != client);
                    if waiters.is_empty() {
                        let lane = renewal.lane;
                        self.renewals.remove(&subject);
                        self.unqueue(lane, subject);
                    }
                }
                Progress::Sent { waiters, open } => {
                    waiters.retain(|waiter| waiter.client != client);
                    open.retain(|waiter| waiter.client != client);
                }
            }
        }
        if self.clients.is_empty() {
            // Nobody may come back: each token has streams of its own.
            let lanes: Vec<LaneId> = self.lanes.keys().copied().collect();
            lanes.into_iter().for_each(|lane| self.handle_retire(lane));
        }
    }

    /// Ends every client, whatever it waits for.
    pub fn handle_cut(&mut self, status: &Status) {
        for (id, client) in &mut self.clients {
            client.cut = Some(status.clone());
            self.outputs.push_back(Output::Client(*id));
        }
    }

    /// The next message for the lane's stream, which is as good as sent.
    pub fn poll_send(&mut self, now: Instant, lane: LaneId) -> Option<Bytes> {
        let lane = self.lanes.get_mut(&lane).filter(|lane| !lane.closing)?;
        let subject = lane.ready.pop_front()?;
        let renewal = self.renewals.get_mut(&subject).expect("a renewal leaves its lane before it goes");
        if let Progress::Queued { waiters } = &mut renewal.progress {
            renewal.progress = Progress::Sent { waiters: mem::take(waiters), open: Vec::new() };
        }
        lane.head_since.get_or_insert(now);
        lane.sent.push_back(subject);
        self.counts.renewals += 1;
        self.counts.inflight += 1;
        Some(renewal.frame.clone())
    }

    /// Whether nothing more is to be sent on the lane's present stream.
    pub fn has_sent_all(&self, lane: LaneId) -> bool {
        self.lanes
            .get(&lane)
            .is_none_or(|lane| lane.raw && lane.ready.is_empty() || lane.closing && lane.sent.is_empty())
    }

    /// A message of the member, and the lease that it is about.
    pub fn handle_reply(
        &mut self,
        now: Instant,
        id: LaneId,
        lease: Option<i64>,
        frame: &Bytes,
    ) -> Result<(), Unexpected> {
        let lane = self.lanes.get_mut(&id).ok_or(Unexpected)?;
        let subject = lane.sent.front().copied().ok_or(Unexpected)?;
        if matches!(subject, Subject::Lease(_)) && lease.map(Subject::Lease) != Some(subject) {
            return Err(Unexpected);
        }
        lane.sent.pop_front();
        lane.head_since = (!lane.sent.is_empty()).then_some(now);
        (lane.failures, lane.failing_since, lane.answered) = (0, None, true);
        if lane.closing && lane.sent.is_empty() {
            self.outputs.push_back(Output::Lane(id));
        }
        self.counts.inflight -= 1;
        let Some((waiters, open, message)) = self.take_renewal(subject) else { return Ok(()) };
        for waiter in waiters {
            self.deliver(waiter, Slot::Reply { frame: frame.clone(), held: lease.map(|lease| (lease, now)) });
        }
        if !open.is_empty() {
            self.queue(now, subject, message, open);
        }
        Ok(())
    }

    /// The lane's stream has ended. What it has not answered is sent again, unless the end was the
    /// answer, or it has waited for longer than `patience`.
    pub fn handle_ended(&mut self, now: Instant, id: LaneId, ended: &Ended, patience: Duration) -> Next {
        let Some(lane) = self.lanes.get_mut(&id) else { return Next::Stop };
        let (closing, answered) = (mem::take(&mut lane.closing), mem::take(&mut lane.answered));
        let mut unanswered = mem::take(&mut lane.sent);
        lane.head_since = None;
        self.counts.inflight -= unanswered.len() as i64;
        let (Ended::Broken(status) | Ended::Status(status)) = ended;
        let verdict = match ended {
            Ended::Status(status) => verdict(status, lane.raw),
            Ended::Broken(_) => Verdict::Again,
        };
        let failed = match verdict {
            Verdict::Again => !(closing && unanswered.is_empty()),
            Verdict::All => {
                unanswered.append(&mut lane.ready);
                for subject in unanswered.drain(..) {
                    self.fail(now, subject, status);
                }
                false
            }
            Verdict::First => {
                // Refused before anything was sent, it is about what waits.
                let untold = || if answered || closing { None } else { lane.ready.pop_front() };
                let first = unanswered.pop_front().or_else(untold);
                first.map(|subject| self.fail(now, subject, status)).is_none()
            }
        };
        self.resend(id, unanswered);
        if failed {
            self.on_failed(now, id, ended, patience);
        }
        let lane = self.lanes.get(&id).expect("nothing above removes a lane");
        if lane.ready.is_empty() {
            self.lanes.remove(&id);
            return Next::Stop;
        }
        Next::Again { failures: lane.failures }
    }

    /// Lets the lane's stream end as soon as all is answered, so that the next one goes elsewhere.
    pub fn handle_retire(&mut self, id: LaneId) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.closing = true;
            self.outputs.push_back(Output::Lane(id));
        }
    }

    /// Whether the lane waits for nothing.
    pub fn is_idle(&self, lane: LaneId) -> bool {
        self.lanes.get(&lane).is_none_or(|lane| lane.ready.is_empty() && lane.sent.is_empty())
    }

    /// Whether the member takes long for what is next on the lane.
    pub fn is_stuck(&self, now: Instant, lane: LaneId) -> bool {
        self.lanes.get(&lane).is_some_and(|lane| lane.is_stuck(now))
    }

    /// The next answer for a client.
    pub fn take(&mut self, now: Instant, id: ClientId) -> Option<Taken> {
        let client = self.clients.get_mut(&id)?;
        if let Some(status) = &client.cut {
            return Some(Taken::End(status.clone()));
        }
        match client.slots.front()? {
            Slot::End(status) => Some(Taken::End(status.clone())),
            Slot::Reply { held: Some((lease, since)), .. } if now >= *since + HELD_MAX => {
                let lease = *lease;
                self.ask_again(now, id, lease);
                None
            }
            Slot::Reply { frame, .. } => {
                let frame = frame.clone();
                client.slots.pop_front();
                client.first += 1;
                Some(Taken::Reply(frame))
            }
            Slot::Waiting(_) => None,
        }
    }

    /// The first request of a client, whose answer is too old by now.
    fn ask_again(&mut self, now: Instant, id: ClientId, lease: i64) {
        let subject = Subject::Lease(lease);
        let Some(client) = self.clients.get_mut(&id) else { return };
        let waiter = Waiter { client: id, slot: client.first, since: now };
        client.slots[0] = Slot::Waiting(subject);
        self.counts.waiting += 1;
        self.wait(now, subject, request(lease), waiter);
    }

    /// Requests of a client whose answers it has not taken.
    pub fn waiting(&self, client: ClientId) -> usize {
        self.clients.get(&client).map_or(0, |client| client.slots.len())
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub fn take_counts(&mut self) -> Counts {
        mem::take(&mut self.counts)
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn queue(&mut self, now: Instant, subject: Subject, frame: Bytes, waiters: Vec<Waiter>) {
        let raw = matches!(subject, Subject::Raw(_));
        let id = if raw { LaneId(self.number()) } else { self.least_loaded(now) };
        self.renewals.insert(subject, Renewal { lane: id, frame, progress: Progress::Queued { waiters } });
        let known = self.lanes.contains_key(&id);
        let lane = self.lanes.entry(id).or_default();
        lane.raw = raw;
        lane.ready.push_back(subject);
        self.outputs.push_back(if known { Output::Lane(id) } else { Output::Start(id) });
    }

    /// The lane that waits for the least, but rather not one that is stuck behind a slow renewal.
    fn least_loaded(&self, now: Instant) -> LaneId {
        let load = |id: &LaneId| {
            let Some(lane) = self.lanes.get(id) else { return Default::default() };
            (lane.closing, lane.is_stuck(now), lane.ready.len() + lane.sent.len())
        };
        (0..self.shared).map(LaneId).min_by_key(load).expect("there is at least one lane")
    }

    fn unqueue(&mut self, id: LaneId, subject: Subject) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        lane.ready.retain(|ready| *ready != subject);
        if lane.raw {
            self.outputs.push_back(Output::Lane(id));
        }
    }

    fn take_renewal(&mut self, subject: Subject) -> Option<(Vec<Waiter>, Vec<Waiter>, Bytes)> {
        let Renewal { progress, frame, .. } = self.renewals.remove(&subject)?;
        let (waiters, open) = match progress {
            Progress::Queued { waiters } => (waiters, Vec::new()),
            Progress::Sent { waiters, open } => (waiters, open),
        };
        Some((waiters, open, frame))
    }

    fn deliver(&mut self, waiter: Waiter, slot: Slot) {
        let client = self.clients.get_mut(&waiter.client).expect("who leaves is taken off every list");
        client.accepted |= matches!(slot, Slot::Reply { .. });
        let at = waiter.slot - client.first;
        let slot = match slot {
            Slot::Reply { frame, .. } if at == 0 => Slot::Reply { frame, held: None },
            other => other,
        };
        client.slots[at as usize] = slot;
        self.counts.waiting -= 1;
        if at == 0 {
            self.outputs.push_back(Output::Client(waiter.client));
        }
    }

    /// Whoever waited for the renewal is told. Who came after it was sent gets one more.
    fn fail(&mut self, now: Instant, subject: Subject, status: &Status) {
        let Some((waiters, open, frame)) = self.take_renewal(subject) else { return };
        for waiter in waiters {
            self.end(waiter, status);
        }
        if !open.is_empty() {
            self.queue(now, subject, frame, open);
        }
    }

    fn end(&mut self, waiter: Waiter, status: &Status) {
        let accepted = self.clients.get(&waiter.client).is_some_and(|client| client.accepted);
        // A token that was good and is not known any longer: its client gets another one and comes
        // back, as after a break of its connection.
        let status = match status.code {
            Code::Unauthenticated if accepted => unavailable(status),
            _ => status.clone(),
        };
        self.deliver(waiter, Slot::End(status));
    }

    /// Puts renewals whose outcome is not known before all others, in their order.
    fn resend(&mut self, id: LaneId, unanswered: VecDeque<Subject>) {
        for subject in unanswered.into_iter().rev() {
            let Some((mut waiters, open, frame)) = self.take_renewal(subject) else { continue };
            // It will be sent after these came too.
            waiters.extend(open);
            if waiters.is_empty() {
                continue;
            }
            self.counts.resends += 1;
            let progress = Progress::Queued { waiters };
            self.renewals.insert(subject, Renewal { lane: id, frame, progress });
            self.lanes.get_mut(&id).expect("its caller has it").ready.push_front(subject);
        }
    }

    /// Whoever has waited for too long is told.
    fn on_failed(&mut self, now: Instant, id: LaneId, ended: &Ended, patience: Duration) {
        let lane = self.lanes.get_mut(&id).expect("its caller has it");
        lane.failures += 1;
        let since = *lane.failing_since.get_or_insert(now);
        // etcd itself has waited before it says something like that.
        let last = matches!(ended, Ended::Status(_)) || now >= since + patience;
        if !last {
            return;
        }
        let (Ended::Broken(status) | Ended::Status(status)) = ended;
        let status = unavailable(status);
        for subject in mem::take(&mut lane.ready) {
            let Some((waiters, _, frame)) = self.take_renewal(subject) else { continue };
            let (given_up, left): (Vec<_>, Vec<_>) =
                waiters.into_iter().partition(|waiter| now >= waiter.since + patience);
            for waiter in given_up {
                self.deliver(waiter, Slot::End(status.clone()));
            }
            if !left.is_empty() {
                let progress = Progress::Queued { waiters: left };
                self.renewals.insert(subject, Renewal { lane: id, frame, progress });
                self.lanes.get_mut(&id).expect("nothing removes it").ready.push_back(subject);
            }
        }
    }
}
