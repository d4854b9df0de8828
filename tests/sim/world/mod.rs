//! Members, the network between them, and virtual time.

mod life;
mod requests;
mod traffic;

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use etcdlet::raft::{ConfState, EntryId, LogIndex, Message, Snapshot};
use etcdlet::types::ids::{MemberId, Term};
use fastrand::Rng;

use super::census::{self, Counts};
use super::disk::Disk;
use super::event::Event;
use super::faults::{Fault, Repair};
use super::invariant::{self, Invariant, View};
use super::linearizable::Answer;
use super::member::Member;
use super::network::Network;
use super::process::{Effect, Process};
use super::run::Options;
use super::scenario::{Scenario, TICK};
use super::seed::Seed;
use super::state_machine::{RequestId, StateMachine};
use super::trace::Trace;

pub(crate) struct World {
    pub now: Duration,
    pub scenario: Scenario,
    pub trace: Trace,
    /// How often what happened, for the proof that it did.
    pub counts: Counts,
    /// What is wrong, as soon as something is.
    pub violation: Option<String>,
    pub members: BTreeMap<MemberId, Member>,
    pub network: Network,
    /// One stream for each kind of fault.
    pub chances: BTreeMap<Fault, Rng>,
    /// The faults are over.
    pub is_calm: bool,
    queue: BTreeMap<(Duration, u64), Action>,
    queued: u64,
    invariants: Vec<Box<dyn Invariant>>,
    /// For clients, until they take them.
    answers: VecDeque<(RequestId, Answer)>,
    times: Rng,
    starts: Rng,
    crashes: Rng,
}

/// What happens at its time.
#[derive(Debug)]
pub(crate) enum Action {
    Applied {
        member: MemberId,
        incarnation: u64,
    },
    Calm,
    /// A client wakes up.
    Client(u64),
    Deliver {
        from: MemberId,
        message: Rc<Message>,
    },
    Fault(Fault),
    Repair(Repair),
    Retire(MemberId),
    /// The transport says what became of a snapshot.
    Snapshot {
        from: MemberId,
        incarnation: u64,
        to: MemberId,
        received: bool,
    },
    Start(MemberId),
    Tick(MemberId),
    /// The transport says that a message was lost.
    Unreachable {
        from: MemberId,
        incarnation: u64,
        to: MemberId,
    },
    Written {
        member: MemberId,
        incarnation: u64,
    },
}

impl World {
    pub(crate) fn new(seed: Seed, options: &Options) -> Self {
        let mut scenario = Scenario::draw(seed);
        scenario.config.bug = options.bug;
        let mut world = Self {
            now: Duration::ZERO,
            trace: Trace::default(),
            counts: Counts::new(),
            violation: None,
            members: BTreeMap::new(),
            network: Network::new(seed.stream("network", 0), scenario.delay_max),
            chances: (0..).zip(Fault::ALL).map(|(n, fault)| (fault, seed.stream("fault", n))).collect(),
            is_calm: false,
            queue: BTreeMap::new(),
            queued: 0,
            invariants: invariant::all(),
            answers: VecDeque::new(),
            times: seed.stream("times", 0),
            starts: seed.stream("starts", 0),
            crashes: seed.stream("crashes", 0),
            scenario,
        };
        let disk = Disk::new(world.beginning());
        for id in world.scenario.members() {
            world.add_member(id, disk.clone());
        }
        for fault in world.scenario.faults.keys().copied().collect::<Vec<_>>() {
            world.schedule(fault);
        }
        world.after(world.scenario.faulty, Action::Calm);
        world
    }

    /// The log of every first member: as if it were compacted up to its first entry, so that a later one needs a
    /// snapshot and learns from it who the members are.
    fn beginning(&self) -> Snapshot {
        let last = EntryId { term: Term(1), index: LogIndex(1) };
        let (voters, learners) = self.scenario.members().partition(|id| id.0 <= self.scenario.voters);
        let conf_state = ConfState { voters, learners, ..ConfState::default() };
        Snapshot { data: StateMachine::beginning_at(last.index).to_bytes(), conf_state, last }
    }

    /// The next thing happens. None if nothing will.
    pub(crate) fn next_action(&mut self) -> Option<Action> {
        let ((at, _), action) = self.queue.pop_first()?;
        self.now = at;
        Some(action)
    }

    pub(crate) fn after(&mut self, delay: Duration, action: Action) {
        self.queued += 1;
        self.queue.insert((self.now + delay, self.queued), action);
    }

    pub(crate) fn perform(&mut self, action: Action) {
        if let Some(until) = action.member().and_then(|id| self.members.get(&id)?.paused_until)
            && until > self.now
        {
            self.after(until - self.now, action);
            return;
        }
        match action {
            Action::Applied { member, incarnation } => {
                self.process(member, Some(incarnation), Process::handle_applied);
                self.maintain(member);
            }
            Action::Calm => self.calm(),
            Action::Client(_) => unreachable!("clients are woken by the run"),
            Action::Deliver { from, message } => self.deliver(from, &message),
            Action::Fault(fault) => {
                if !self.is_calm {
                    self.cause(fault);
                    self.schedule(fault);
                }
            }
            Action::Repair(repair) => self.repair(repair),
            Action::Retire(member) => self.retire(member),
            Action::Snapshot { from, incarnation, to, received } => {
                let report = |process: &mut Process| process.input(|node| node.report_snapshot(to, received));
                self.process(from, Some(incarnation), report);
            }
            Action::Start(member) => {
                if !self.members[&member].retired {
                    self.start(member);
                }
            }
            Action::Tick(member) => {
                self.process(member, None, |process| process.input(|node| node.tick()));
                let pace = self.members[&member].pace;
                self.after(TICK.mul_f64(pace), Action::Tick(member));
                self.maintain(member);
            }
            Action::Unreachable { from, incarnation, to } => {
                self.count("unreachable");
                let report = |process: &mut Process| process.input(|node| node.report_unreachable(to));
                self.process(from, Some(incarnation), report);
            }
            Action::Written { member, incarnation } => self.write(member, incarnation),
        }
    }

    /// Lets a member do something, if it is up (and has been since), and then what follows from it.
    pub(crate) fn process<T>(
        &mut self,
        id: MemberId,
        incarnation: Option<u64>,
        run: impl FnOnce(&mut Process) -> T,
    ) -> Option<T> {
        let member = self.members.get_mut(&id)?;
        if incarnation.is_some_and(|incarnation| incarnation != member.incarnation) {
            return None;
        }
        let process = member.process_mut()?;
        let result = run(process);
        let effects = process.take_effects();
        let incarnation = member.incarnation;
        let crashes = std::mem::take(&mut member.crashes_soon) && !effects.is_empty();
        let kept = if crashes { self.crashes.usize(0..=effects.len()) } else { effects.len() };
        for effect in effects.into_iter().take(kept) {
            self.take_effect(id, incarnation, effect);
        }
        if crashes {
            self.count("crash after an output");
            self.restart(id, Duration::from_secs(1));
        }
        Some(result)
    }

    fn take_effect(&mut self, id: MemberId, incarnation: u64, effect: Effect) {
        match effect {
            Effect::Apply => {
                let time = Duration::from_micros(self.times.u64(0..2_000));
                let member = self.members.get_mut(&id).expect("it has an effect");
                let at = member.applied_at.max(self.now) + time;
                member.applied_at = at;
                self.after(at - self.now, Action::Applied { member: id, incarnation });
            }
            Effect::Event(event) => {
                if let Event::Answered { id, answer, .. } = &event {
                    self.answers.push_back((*id, answer.clone()));
                }
                self.announce(&event);
            }
            Effect::Send(message) => self.send(id, &message),
            Effect::Write => {
                let time = Duration::from_micros(self.times.u64(0..5_000));
                let member = self.members.get_mut(&id).expect("it has an effect");
                // What has to wait for long goes together with others that wait.
                let waits = member.written_at > self.now + Duration::from_millis(100);
                let time = if waits { Duration::ZERO } else { time * member.disk_factor };
                let at = member.written_at.max(self.now) + time;
                member.written_at = at;
                self.after(at - self.now, Action::Written { member: id, incarnation });
            }
        }
    }

    /// A write is done, unless the disk fails: then the member must not go on.
    fn write(&mut self, id: MemberId, incarnation: u64) {
        let member = self.members.get_mut(&id).expect("it writes");
        if member.incarnation == incarnation && std::mem::take(&mut member.disk_fails) {
            self.count("failed sync");
            self.restart(id, Duration::from_secs(2));
            return;
        }
        self.process(id, Some(incarnation), Process::handle_written);
        self.maintain(id);
    }

    pub(crate) fn fail(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    pub(crate) fn announce(&mut self, event: &Event) {
        self.trace.record(self.now, event);
        census::note(&mut self.counts, event);
        let view = View { scenario: &self.scenario, members: &self.members };
        for invariant in &mut self.invariants {
            if let Err(what) = invariant.observe(event, &view) {
                self.violation.get_or_insert(format!("{}: {what}", invariant.name()));
            }
        }
    }

    /// Whether an invariant wants the run to go on.
    pub(crate) fn waits(&self) -> bool {
        let view = View { scenario: &self.scenario, members: &self.members };
        self.invariants.iter().any(|invariant| invariant.waits(&view))
    }

    /// After the last event.
    pub(crate) fn finish(&mut self) {
        let view = View { scenario: &self.scenario, members: &self.members };
        for invariant in &mut self.invariants {
            if let Err(what) = invariant.finish(&view) {
                self.violation.get_or_insert(format!("{}: {what}", invariant.name()));
            }
        }
        for remark in self.invariants.iter().filter_map(|invariant| invariant.remark()).collect::<Vec<_>>() {
            self.count(remark);
        }
    }

    pub(crate) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }
}

impl Action {
    /// Whom it takes, if it has to be awake for that.
    fn member(&self) -> Option<MemberId> {
        match self {
            Self::Applied { member, .. } | Self::Tick(member) | Self::Written { member, .. } => Some(*member),
            Self::Deliver { message, .. } => Some(message.to),
            Self::Snapshot { from, .. } | Self::Unreachable { from, .. } => Some(*from),
            _ => None,
        }
    }
}
