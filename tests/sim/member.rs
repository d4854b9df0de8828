//! A machine in the cluster: a process that may be down, and the disk that outlives it.

use std::time::Duration;

use etcdlet::raft::{Error, Status};
use etcdlet::types::ids::MemberId;
use fastrand::Rng;

use super::disk::Disk;
use super::process::Process;
use super::scenario::Scenario;

#[derive(Debug)]
pub(crate) struct Member {
    pub id: MemberId,
    life: Life,
    /// How often it was started; what was under way in an earlier life concerns nobody.
    pub incarnation: u64,
    /// When what its disk and its state machine have to do now will be done.
    pub written_at: Duration,
    pub applied_at: Duration,
    /// True time that it takes for its clock to advance by one.
    pub pace: f64,
    /// By which a write takes longer.
    pub disk_factor: u32,
    /// The next write fails.
    pub disk_fails: bool,
    /// In the midst of what follows from its next input.
    pub crashes_soon: bool,
    /// It does nothing until then, and does not know it.
    pub paused_until: Option<Duration>,
    /// It was removed, and stays down.
    pub retired: bool,
}

#[derive(Debug)]
enum Life {
    Down(Box<Disk>),
    Up(Box<Process>),
}

impl Member {
    pub(crate) fn new(id: MemberId, disk: Disk, pace: f64) -> Self {
        Self {
            id,
            life: Life::Down(Box::new(disk)),
            incarnation: 0,
            written_at: Duration::ZERO,
            applied_at: Duration::ZERO,
            pace,
            disk_factor: 1,
            disk_fails: false,
            crashes_soon: false,
            paused_until: None,
            retired: false,
        }
    }

    /// An error is about what the disk holds.
    pub(crate) fn start(&mut self, scenario: &Scenario, seed: u64) -> Result<(), Error> {
        let Life::Down(disk) = &mut self.life else { return Ok(()) };
        let mut disk = std::mem::take(&mut **disk);
        disk.set_busy(None);
        let process = Process::start(scenario.config_of(self.id), disk, scenario.reads_unsynced, seed)?;
        self.life = Life::Up(Box::new(process));
        self.incarnation += 1;
        Ok(())
    }

    /// Gives whether it was up.
    pub(crate) fn crash(&mut self, chance: &mut Rng) -> bool {
        (self.written_at, self.applied_at, self.paused_until) = (Duration::ZERO, Duration::ZERO, None);
        match std::mem::replace(&mut self.life, Life::Down(Box::default())) {
            down @ Life::Down(_) => {
                self.life = down;
                false
            }
            Life::Up(process) => {
                let mut disk = process.into_disk();
                disk.crash(chance);
                self.life = Life::Down(Box::new(disk));
                true
            }
        }
    }

    /// What is wrong with the machine is mended. Its clock is right: one that runs fast on a member with an old log
    /// may prevent elections for ever, as its candidacies make others wait anew (Raft paper, section 5.6).
    pub(crate) fn end_faults(&mut self) {
        self.pace = 1.0;
        (self.disk_factor, self.disk_fails, self.crashes_soon) = (1, false, false);
        self.paused_until = None;
        self.pace = 1.0;
        self.disk_mut().set_busy(None);
    }

    pub(crate) fn process(&self) -> Option<&Process> {
        if let Life::Up(process) = &self.life { Some(process) } else { None }
    }

    pub(crate) fn process_mut(&mut self) -> Option<&mut Process> {
        if let Life::Up(process) = &mut self.life { Some(process) } else { None }
    }

    pub(crate) const fn is_up(&self) -> bool {
        matches!(self.life, Life::Up(_))
    }

    /// Whether it knows that it is no member.
    pub(crate) fn is_removed(&self) -> bool {
        let id = self.id;
        self.process().is_some_and(|process| {
            let membership = process.membership();
            !membership.voters.is_empty() && !membership.names(id)
        })
    }

    /// None while it is down.
    pub(crate) fn status(&self) -> Option<&Status> {
        self.process().map(Process::status)
    }

    pub(crate) const fn disk(&self) -> &Disk {
        match &self.life {
            Life::Down(disk) => disk,
            Life::Up(process) => process.disk(),
        }
    }

    pub(crate) const fn disk_mut(&mut self) -> &mut Disk {
        match &mut self.life {
            Life::Down(disk) => disk,
            Life::Up(process) => process.disk_mut(),
        }
    }
}
