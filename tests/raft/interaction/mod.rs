//! A cluster whose every step is a command: the environment of etcd-io/raft's `rafttest`.
//!
//! Nodes are called 1, 2, 3, … in the order in which they are added; each has its storage in memory.
//! Nothing happens by itself: a node is asked for its Ready, messages wait until they are delivered,
//! and the work of storage threads until it is done.
//!
//! ```text
//! add-nodes 3 voters=(1, 2) learners=(3) index=2 content=x   from a snapshot, or from nothing;
//!                                                            more options are those of the nodes
//! campaign 1        forget-leader 1        transfer-leadership from=1 to=2
//! propose 1 data    read-index 1 context
//! propose-conf-change 1 v1=true transition=auto|implicit|explicit      input: `v1 l2 r3 u4`
//! report-unreachable 1 2        report-snapshot 1 2 received=true        1 hears of 2
//!
//! tick-election 1      as many ticks as the shortest timeout has     tick-heartbeat 1
//! set-randomized-election-timeout 1 timeout=5                        up to the next reset
//!
//! process-ready 1 2    outputs are printed and done, or left to the threads
//! process-append-thread 1 2      process-apply-thread 1 2            one piece of work each
//! deliver-msgs 1 2 type=MsgApp drop=(3, 4)                           those to 3 and 4 get lost
//! stabilize 1 2        all of that until nothing is left; everybody, if nobody is named
//! send-snapshot 1 2    compact 1 5         forgets the stored entries up to 5
//!
//! raft-log 1           raft-state          status 1
//! log-level none       nothing is printed but errors; stabilize takes it as an option too
//! ```
//!
//! Of these, etcd-io/raft has no `read-index` and `report-snapshot`, and of the nodes' options none of
//! `disable-proposal-forwarding`, `max-inflight-bytes`, `max-size-per-msg`, `max-uncommitted-entries-size`.

mod add_nodes;
mod commands;
mod member;
mod network;
mod printout;
mod requests;
mod show;
mod work;

use member::Member;
use network::Network;
use printout::Printout;

use crate::transcript::{Command, Interpreter};

#[derive(Default)]
pub(crate) struct Environment {
    members: Vec<Member>,
    network: Network,
    printout: Printout,
}

impl Environment {
    fn member(&mut self, id: u64) -> &mut Member {
        let place = usize::try_from(id).expect("it is small").checked_sub(1);
        place.and_then(|it| self.members.get_mut(it)).unwrap_or_else(|| panic!("there is no node {id}"))
    }
}

impl Interpreter for Environment {
    fn run(&mut self, command: &Command) -> String {
        let outcome = commands::run(self, command);
        self.printout.finish(outcome)
    }
}
