//! Members that form one cluster.

use std::thread;
use std::time::Instant;

use super::{Etcd, HEALTHY_LIMIT, Options, POLL_INTERVAL};

/// Members that form one cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) members: Vec<Etcd>,
}

impl Cluster {
    pub(crate) fn start(size: usize) -> Self {
        Options::default().start_cluster(size)
    }

    pub(crate) fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(Etcd::endpoint).collect()
    }

    /// The place of the leader in `members`, once there is one.
    pub(crate) fn leader(&mut self) -> usize {
        let deadline = Instant::now() + HEALTHY_LIMIT;
        while Instant::now() < deadline {
            // A member that was cut off may still believe in itself, in an older term.
            let leader = self
                .members
                .iter_mut()
                .enumerate()
                .filter_map(|(index, member)| {
                    let (id, leader, term) = member.status()?;
                    (id == leader).then_some((term, index))
                })
                .max();
            if let Some((_, index)) = leader {
                return index;
            }
            thread::sleep(POLL_INTERVAL);
        }
        panic!("the cluster has no leader");
    }

    /// The place in `members` of the one that runs and has this id, as the headers of its answers tell it.
    pub(crate) fn place_of(&mut self, id: u64) -> Option<usize> {
        self.members.iter_mut().position(|member| member.status().is_some_and(|(own, ..)| own == id))
    }

    pub(crate) fn wait_healthy(&mut self) {
        if let Err(report) = self.try_wait_healthy() {
            panic!("{report}");
        }
    }

    /// Fails at once when a member has ended: the others alone might wait for a quorum in vain.
    pub(super) fn try_wait_healthy(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + HEALTHY_LIMIT;
        loop {
            let late = Instant::now() >= deadline;
            let mut healthy = true;
            for member in &mut self.members {
                healthy &= member.is_healthy();
                if !member.is_running() || (!healthy && late) {
                    return Err(member.report());
                }
            }
            if healthy {
                return Ok(());
            }
            thread::sleep(POLL_INTERVAL);
        }
    }
}
