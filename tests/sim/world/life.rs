//! Members begin, crash and go.

use std::time::Duration;

use etcdlet::raft::LogIndex;
use etcdlet::types::ids::MemberId;

use super::{Action, World};
use crate::disk::Disk;
use crate::event::Event;
use crate::member::Member;
use crate::process::Process;
use crate::scenario::TICK;

impl World {
    /// A machine with this disk, from now on.
    pub(crate) fn add_member(&mut self, id: MemberId, disk: Disk) {
        let pace = self.scenario.pace(&mut self.times);
        self.members.insert(id, Member::new(id, disk, pace));
        self.start(id);
        let first_tick = TICK.mul_f64(self.times.f64());
        self.after(first_tick, Action::Tick(id));
    }

    /// If it is down.
    pub(crate) fn start(&mut self, id: MemberId) {
        let seed = self.starts.u64(..);
        let member = self.members.get_mut(&id).expect("only members are started");
        if member.is_up() {
            return;
        }
        match member.start(&self.scenario, seed) {
            Ok(()) => self.announce(&Event::Started { member: id }),
            Err(error) => self.fail(format!("member {id} cannot start: {error}")),
        }
    }

    /// If it is up.
    pub(crate) fn crash(&mut self, id: MemberId) {
        let member = self.members.get_mut(&id).expect("only members crash");
        if member.crash(&mut self.crashes) {
            self.announce(&Event::Crashed { member: id });
        }
    }

    /// Crashes it and starts it again. A lease counts on it that nobody forgets whom it heard.
    pub(crate) fn restart(&mut self, id: MemberId, down_max: Duration) {
        self.count("crash");
        self.crash(id);
        let down = down_max.mul_f64(self.crashes.f64()).max(self.scenario.down_min());
        self.after(down, Action::Start(id));
    }

    /// It has applied its own removal, and if it still stands, it goes; as etcd's members do. In the calm part it comes
    /// back, as others may count on its vote, but no longer leads.
    pub(super) fn retire(&mut self, id: MemberId) {
        if !self.goes(id) {
            return;
        }
        self.count("retired");
        if self.is_calm {
            self.restart(id, Duration::ZERO);
            return;
        }
        self.crash(id);
        self.members.get_mut(&id).expect("it has been found").retired = true;
    }

    /// All of them, the removed ones too: others may have to hear from them that they are removed.
    pub(crate) fn start_all(&mut self) {
        let ids: Vec<MemberId> = self.members.keys().copied().collect();
        for id in ids {
            let member = self.members.get_mut(&id).expect("it is there");
            member.retired = false;
            member.end_faults();
            let down = self.scenario.down_min();
            if down.is_zero() {
                self.start(id);
            } else {
                self.after(down, Action::Start(id));
            }
            self.retire(id);
        }
    }
}

/// What members do without being asked.
impl World {
    /// Snapshots and compaction, and leaving when removed.
    pub(super) fn maintain(&mut self, id: MemberId) {
        let every = self.scenario.snapshot_every;
        let Some(process) = self.members.get_mut(&id).and_then(Member::process_mut) else { return };
        let held = process.disk().durable();
        let (covered, first) = (held.snapshot.last.index, held.compacted.index);
        let applied = process.machine().applied();
        // A newcomer takes only a snapshot that knows of it.
        let is_outdated = applied > covered && held.snapshot.conf_state != *process.membership();
        let is_due = applied.0.saturating_sub(covered.0) >= every || is_outdated;
        if covered > first && self.times.u8(..4) == 0 {
            let behind = self.times.u64(0..=(covered - first).min(every));
            process.compact(LogIndex(covered.0 - behind));
        }
        if is_due && !process.is_checkpointing() {
            self.count("snapshot taken");
            self.process(id, None, Process::begin_checkpoint);
        }
        if self.goes(id) {
            let after = Duration::from_secs(2).mul_f64(self.times.f64());
            self.after(after, Action::Retire(id));
        }
    }

    fn goes(&self, id: MemberId) -> bool {
        self.members[&id].is_removed()
            && if self.is_calm { self.believed_leader() == Some(id) } else { self.scenario.removed_leave }
    }
}
