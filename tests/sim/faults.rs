//! What goes wrong, and what people do to a cluster.

use std::collections::BTreeSet;
use std::time::Duration;

use etcdlet::types::ids::MemberId;
use fastrand::Rng;

use super::event::Event;
use super::member::Member;
use super::process::Process;
use super::world::{Action, World};

/// Each has its own stream of chance; half of them are off in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// Reads from a disk have no answer yet, now and then.
    BusyDisk,
    /// A member starts an election, because it is told to.
    Campaign,
    /// One member crashes.
    Crash,
    /// A member crashes in the midst of what follows from an input.
    CrashAfterOutput,
    /// Some do not hear some others.
    Cut,
    /// A write fails, after which the member has to die.
    FailingDisk,
    ForgetLeader,
    /// Messages are lost, doubled, late, and so overtake each other.
    Lossy,
    Membership,
    /// All members crash.
    Outage,
    /// A member does nothing for a while, and does not know it.
    Pause,
    SlowDisk,
    /// A write takes for ever.
    StuckDisk,
    Transfer,
}

/// What ends by itself.
#[derive(Debug)]
pub(crate) enum Repair {
    Cut(BTreeSet<(MemberId, MemberId)>),
    Disk(MemberId),
    Network,
}

impl Fault {
    pub(crate) const ALL: [Self; 14] = [
        Self::BusyDisk,
        Self::Campaign,
        Self::Crash,
        Self::CrashAfterOutput,
        Self::Cut,
        Self::FailingDisk,
        Self::ForgetLeader,
        Self::Lossy,
        Self::Membership,
        Self::Outage,
        Self::Pause,
        Self::SlowDisk,
        Self::StuckDisk,
        Self::Transfer,
    ];

    /// How long it is between two of them, about.
    pub(crate) const fn every(self) -> Duration {
        Duration::from_secs(match self {
            Self::Membership | Self::Transfer => 2,
            Self::CrashAfterOutput => 4,
            Self::BusyDisk | Self::Cut | Self::ForgetLeader | Self::Lossy | Self::Pause => 5,
            Self::Campaign | Self::Crash | Self::FailingDisk | Self::SlowDisk | Self::StuckDisk => 7,
            Self::Outage => 15,
        })
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::BusyDisk => "busy disk",
            Self::Campaign => "campaign",
            Self::Crash => "crash of one",
            Self::CrashAfterOutput => "crash to come",
            Self::Cut => "cut",
            Self::FailingDisk => "failing disk",
            Self::ForgetLeader => "forgotten leader",
            Self::Lossy => "lossy network",
            Self::Membership => "membership change",
            Self::Outage => "outage",
            Self::Pause => "pause",
            Self::SlowDisk => "slow disk",
            Self::StuckDisk => "stuck disk",
            Self::Transfer => "transfer",
        }
    }
}

impl World {
    /// The next time for a fault that is on.
    pub(crate) fn schedule(&mut self, fault: Fault) {
        let Some(every) = self.scenario.faults.get(&fault).copied() else { return };
        let after = every.mul_f64(2.0 * self.chance(fault).f64());
        self.after(after, Action::Fault(fault));
    }

    pub(crate) fn chance(&mut self, fault: Fault) -> &mut Rng {
        self.chances.get_mut(&fault).expect("each fault has one")
    }

    pub(crate) fn cause(&mut self, fault: Fault) {
        let target = self.target(fault);
        self.count(fault.name());
        self.announce(&Event::Fault { what: format!("{} {target}", fault.name()) });
        match fault {
            Fault::BusyDisk => {
                let chance = self.chance(fault).fork();
                self.member(target).disk_mut().set_busy(Some(chance));
                self.mend_later(fault, Repair::Disk(target));
            }
            Fault::Campaign => self.input(target, |process| process.input(|node| node.campaign())),
            Fault::Crash => self.restart(target, Duration::from_secs(3)),
            Fault::CrashAfterOutput => self.member(target).crashes_soon = true,
            Fault::Cut => self.cut(target),
            Fault::FailingDisk => self.member(target).disk_fails = true,
            Fault::ForgetLeader => self.input(target, |process| process.input(|node| node.forget_leader())),
            Fault::Lossy => self.worsen_network(),
            Fault::Membership => self.change_membership(),
            Fault::Outage => {
                for id in self.members.keys().copied().collect::<Vec<_>>() {
                    if self.members[&id].is_up() {
                        self.restart(id, Duration::from_secs(1));
                    }
                }
            }
            Fault::Pause => {
                let until = self.now + Duration::from_secs(4).mul_f64(self.chance(fault).f64());
                self.member(target).paused_until = Some(until);
            }
            Fault::SlowDisk => {
                let factor = self.chance(fault).u32(5..100);
                self.member(target).disk_factor = factor;
                self.mend_later(fault, Repair::Disk(target));
            }
            Fault::StuckDisk => {
                let stuck = Duration::from_secs(5).mul_f64(self.chance(fault).f64());
                let until = self.now + stuck;
                let member = self.member(target);
                member.written_at = member.written_at.max(until);
            }
            Fault::Transfer => {
                let to = self.target(fault);
                let asked =
                    self.believed_leader().filter(|_| self.chance(fault).u8(..3) > 0).unwrap_or(target);
                self.input(asked, |process| process.input(|node| node.transfer_leader(to)));
                // What comes of it, it does not hear.
                if self.chance(fault).u8(..3) == 0 {
                    self.deafen(asked);
                }
            }
        }
    }

    pub(crate) fn repair(&mut self, repair: Repair) {
        match repair {
            Repair::Cut(pairs) => self.network.cut.retain(|pair| !pairs.contains(pair)),
            Repair::Disk(id) => {
                let member = self.member(id);
                member.disk_factor = 1;
                member.disk_mut().set_busy(None);
            }
            Repair::Network => self.network.mend(),
        }
    }

    /// No more faults, and no traces of those that were.
    pub(crate) fn calm(&mut self) {
        self.is_calm = true;
        self.network.mend();
        self.network.cut.clear();
        self.start_all();
        self.announce(&Event::Calm);
    }

    /// Often the leader, as it has the most to lose.
    fn target(&mut self, fault: Fault) -> MemberId {
        let ids: Vec<MemberId> = self.members.values().filter(|it| !it.retired).map(|it| it.id).collect();
        let leader = self.believed_leader();
        let chance = self.chance(fault);
        let any = ids[chance.usize(..ids.len())];
        leader.filter(|_| chance.u8(..3) == 0).unwrap_or(any)
    }

    /// Of those that say that they lead, the one in the latest term.
    pub(crate) fn believed_leader(&self) -> Option<MemberId> {
        let statuses = self.members.values().filter_map(Member::status);
        let leading = statuses.filter(|status| status.soft_state.leader == Some(status.id));
        leading.max_by_key(|status| status.hard_state.term).map(|status| status.id)
    }

    fn cut(&mut self, target: MemberId) {
        let ids: Vec<MemberId> = self.members.keys().copied().collect();
        let chance = self.chance(Fault::Cut);
        let kind = chance.u8(..5);
        let side: BTreeSet<MemberId> = match kind {
            0 => ids.iter().copied().filter(|_| chance.bool()).collect(),
            1 => [ids[chance.usize(..ids.len())]].into(),
            _ => [target].into(),
        };
        let (out, back) = match chance.u8(..4) {
            0 => (true, false),
            1 => (false, true),
            _ => (true, true),
        };
        let single = kind == 4;
        let other = ids[chance.usize(..ids.len())];
        let mut pairs = BTreeSet::new();
        for (inside, outside) in side.iter().flat_map(|inside| ids.iter().map(move |it| (*inside, *it))) {
            if side.contains(&outside) || single && outside != other {
                continue;
            }
            if out {
                pairs.insert((inside, outside));
            }
            if back {
                pairs.insert((outside, inside));
            }
        }
        if out != back && !pairs.is_empty() {
            self.count("one-way cut");
        }
        self.network.cut.extend(&pairs);
        self.mend_later(Fault::Cut, Repair::Cut(pairs));
    }

    fn deafen(&mut self, target: MemberId) {
        let others = self.members.keys().filter(|id| **id != target);
        let pairs: BTreeSet<_> = others.map(|id| (*id, target)).collect();
        self.network.cut.extend(&pairs);
        self.mend_later(Fault::Transfer, Repair::Cut(pairs));
    }

    fn worsen_network(&mut self) {
        let chance = self.chance(Fault::Lossy);
        let (lost, doubled) = (chance.u32(0..400), chance.u32(0..300));
        let factor = if chance.bool() { chance.u32(1..30) } else { 1 };
        self.network.worsen(lost, doubled, factor);
        self.mend_later(Fault::Lossy, Repair::Network);
    }

    fn mend_later(&mut self, fault: Fault, repair: Repair) {
        let after = Duration::from_secs(5).mul_f64(self.chance(fault).f64());
        self.after(after, Action::Repair(repair));
    }

    fn input(&mut self, id: MemberId, run: impl FnOnce(&mut Process)) {
        self.process(id, None, run);
    }

    fn member(&mut self, id: MemberId) -> &mut Member {
        self.members.get_mut(&id).expect("faults have members for targets")
    }
}
