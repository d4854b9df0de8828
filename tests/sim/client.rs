//! Load: requests with values that nobody else writes, tried again elsewhere until they are answered or given up.

use std::collections::BTreeMap;
use std::time::Duration;

use etcdlet::types::ids::MemberId;
use fastrand::Rng;

use super::linearizable::{Answer, Request};
use super::seed::Seed;
use super::state_machine::{Command, RequestId};
use super::world::World;

#[derive(Debug)]
pub(crate) struct Clients(BTreeMap<u64, Client>);

#[derive(Debug)]
struct Client {
    id: u64,
    chance: Rng,
    /// The member that it keeps to as long as that answers: also one that a partition has left behind.
    member: MemberId,
    sequence: u64,
    under_way: Option<UnderWay>,
    /// The value of each key as it was last told.
    known: BTreeMap<String, Option<String>>,
}

#[derive(Debug)]
struct UnderWay {
    command: Command,
    /// As an entry, even if it is a read.
    by_log: bool,
    tried: u32,
    tries_max: u32,
}

impl Clients {
    pub(crate) fn new(seed: Seed, world: &mut World) -> Self {
        let count = seed.stream("clients", 0).u64(3..=6);
        let clients = (1..=count).map(|id| {
            let mut chance = seed.stream("client", id);
            world.wake_client(id, Duration::from_millis(chance.u64(..1_000)));
            let member = MemberId(chance.u64(1..=world.scenario.voters));
            let (under_way, known) = (None, BTreeMap::new());
            (id, Client { id, chance, member, sequence: 0, under_way, known })
        });
        Self(clients.collect())
    }

    /// It is a client's time to do something.
    pub(crate) fn wake(&mut self, world: &mut World, id: u64) {
        let client = self.0.get_mut(&id).expect("only clients are woken");
        let pause = client.wake(world);
        world.wake_client(id, pause);
    }

    pub(crate) fn handle_answer(&mut self, world: &mut World, id: RequestId, answer: &Answer) {
        let client = self.0.get_mut(&id.client).expect("only clients are answered");
        if let Some(under_way) = client.under_way.take_if(|it| it.command.id == id) {
            world.count(if under_way.by_log { "requests answered" } else { "reads answered" });
            client.learn(under_way.command, answer);
        }
    }
}

impl Client {
    /// Gives after which time it wants to be woken again.
    fn wake(&mut self, world: &mut World) -> Duration {
        let mut under_way = match self.under_way.take() {
            None => self.next_request(),
            Some(it) if it.tried == it.tries_max => {
                world.count("requests given up");
                self.turn_elsewhere(world);
                self.next_request()
            }
            Some(it) => {
                if self.chance.bool() {
                    self.turn_elsewhere(world);
                }
                it
            }
        };
        let UnderWay { command, by_log, tried, .. } = &mut under_way;
        let asked =
            if *by_log { world.propose(self.member, command) } else { world.read(self.member, command) };
        let pause = if asked.is_ok() {
            // More slowly each time: what comes again is another entry, for a cluster that is behind already.
            *tried += 1;
            self.chance.u64(20..200) << (*tried - 1)
        } else {
            // Nobody has taken it, so it costs no try.
            self.turn_elsewhere(world);
            self.chance.u64(20..100)
        };
        self.under_way = Some(under_way);
        Duration::from_millis(pause)
    }

    fn turn_elsewhere(&mut self, world: &World) {
        let others: Vec<MemberId> = world.members.keys().copied().filter(|id| *id != self.member).collect();
        self.member = self.chance.choice(others).unwrap_or(self.member);
    }

    fn next_request(&mut self) -> UnderWay {
        self.sequence += 1;
        let id = RequestId { client: self.id, sequence: self.sequence };
        let key = format!("k{}", self.chance.u8(..KEYS));
        let request = match self.chance.u8(..20) {
            0 => Request::Delete,
            1..=3 => {
                let expected = self.known.get(&key).cloned().unwrap_or_default();
                Request::CompareAndSwap { expected, new: Some(self.new_value()) }
            }
            4..=9 => Request::Put(self.new_value()),
            _ => Request::Get,
        };
        let by_log = request != Request::Get || self.chance.u8(..10) == 0;
        // Some are impatient, so that what they wanted may be done long after.
        let tries_max = if self.chance.u8(..10) == 0 { 1 } else { 6 };
        UnderWay { command: Command { id, key, request }, by_log, tried: 0, tries_max }
    }

    fn new_value(&self) -> String {
        format!("{}.{}", self.id, self.sequence)
    }

    fn learn(&mut self, command: Command, answer: &Answer) {
        let value = match (command.request, answer) {
            (_, Answer::Deleted(_)) => None,
            (_, Answer::Found(value)) => value.clone(),
            (Request::Put(new), _) => Some(new),
            (Request::CompareAndSwap { new, .. }, Answer::Swapped(true)) => new,
            _ => return,
        };
        self.known.insert(command.key, value);
    }
}

/// Few, so that requests meet.
const KEYS: u8 = 6;
