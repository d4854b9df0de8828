//! What kind of cluster and what kind of trouble a seed stands for; drawn before anything happens.

use std::collections::BTreeMap;
use std::time::Duration;

use etcdlet::raft::config::NO_LIMIT;
use etcdlet::raft::{Config, ReadMode};
use etcdlet::types::ids::MemberId;
use fastrand::Rng;

use super::faults::Fault;
use super::seed::Seed;

#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    /// Members 1 to `voters`; learners have the numbers behind.
    pub voters: u64,
    pub learners: u64,
    /// As every member has it, but for its id.
    pub config: Config,
    /// Messages go through the wire's form.
    pub wire: bool,
    /// What is written can be read before it is durable.
    pub reads_unsynced: bool,
    /// Applied entries between two snapshots of a member.
    pub snapshot_every: u64,
    pub delay_max: Duration,
    /// What goes wrong, and how long it is until the next time, about.
    pub faults: BTreeMap<Fault, Duration>,
    /// Clocks run at different paces.
    pub skewed: bool,
    /// Members stop when they have applied their own removal.
    pub removed_leave: bool,
    /// How long there are faults.
    pub faulty: Duration,
    /// Within which the cluster has to be whole again when there are none any more.
    pub calm_max: Duration,
}

impl Scenario {
    pub(crate) fn draw(seed: Seed) -> Self {
        let mut chance = seed.stream("scenario", 0);
        let check_quorum = chance.u8(..4) > 0;
        let lease = check_quorum && chance.u8(..3) == 0;
        let small = chance.bool();
        let config = Config {
            asynchronous_storage: chance.bool(),
            pre_vote: chance.u8(..3) > 0,
            check_quorum,
            read_mode: if lease { ReadMode::LeaseBased } else { ReadMode::Safe },
            proposal_forwarding: chance.u8(..4) > 0,
            step_down_on_removal: chance.bool(),
            message_bytes_max: if small { chance.u64(0..300) } else { 1 << 20 },
            applying_bytes_max: if small { chance.u64(1..500) } else { 1 << 20 },
            uncommitted_bytes_max: if small { chance.u64(50..500) } else { NO_LIMIT },
            inflight_messages_max: if small { chance.usize(1..8) } else { 512 },
            pending_reads_max: if small { 20 } else { 65_536 },
            ..Config::new(MemberId(1))
        };
        Self {
            voters: [1, 2, 3, 3, 3, 3, 4, 5, 5, 7][chance.usize(..10)],
            learners: [0, 0, 1, 2][chance.usize(..4)],
            config,
            wire: chance.u8(..4) == 0,
            reads_unsynced: chance.bool(),
            snapshot_every: chance.u64(5..200),
            delay_max: Duration::from_millis([2, 10, 50][chance.usize(..3)]),
            faults: draw_faults(&mut chance, lease),
            skewed: chance.bool(),
            removed_leave: chance.bool(),
            faulty: Duration::from_secs(20),
            calm_max: Duration::from_secs(60),
        }
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = MemberId> + use<> {
        (1..=self.voters + self.learners).map(MemberId)
    }

    /// How long a member takes for a tick of its clock, against true time.
    pub(crate) fn pace(&self, chance: &mut Rng) -> f64 {
        let drawn = chance.f64();
        match (self.skewed, self.config.read_mode) {
            (false, _) => 1.0,
            // The lease lasts half of what it relies on.
            (true, ReadMode::LeaseBased) => 0.8 + 0.4 * drawn,
            (true, ReadMode::Safe) => 0.5 + drawn,
        }
    }

    /// Who comes back has forgotten whom it heard, on which a lease counts for an election timeout.
    pub(crate) fn down_min(&self) -> Duration {
        if self.config.read_mode == ReadMode::LeaseBased {
            TICK * self.config.election_ticks * 5 / 4
        } else {
            Duration::ZERO
        }
    }

    pub(crate) fn config_of(&self, id: MemberId) -> Config {
        Config { id, ..self.config.clone() }
    }
}

fn draw_faults(chance: &mut Rng, lease: bool) -> BTreeMap<Fault, Duration> {
    // A lease counts on clocks that run.
    let possible = Fault::ALL.into_iter().filter(|fault| !(lease && *fault == Fault::Pause));
    possible
        .filter_map(|fault| {
            let (is_on, rarely) = (chance.bool(), chance.f64());
            is_on.then(|| (fault, fault.every().mul_f64(0.2 + rarely)))
        })
        .collect()
}

/// What a member takes for it by its own clock.
pub(crate) const TICK: Duration = Duration::from_millis(100);
