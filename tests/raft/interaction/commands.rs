//! The commands by their names.

use std::error::Error;

use super::Environment;
use super::member::Thread;
use crate::transcript::{Command, Kind};

/// The error is printed last.
pub(super) type Outcome = Result<(), Box<dyn Error>>;

pub(super) fn run(environment: &mut Environment, command: &Command) -> Outcome {
    let known = COMMANDS.iter().find(|(name, ..)| *name == command.name);
    let (_, keys, run) = known.expect("its name says of which kind a transcript is");
    command.takes_only(keys);
    run(environment, command)
}

/// Name, keys of its arguments, what it does.
type Entry = (&'static str, &'static [&'static str], fn(&mut Environment, &Command) -> Outcome);

const COMMANDS: &[Entry] = &[
    ("_breakpoint", &[], |_, _| Ok(())),
    ("add-nodes", super::add_nodes::KEYS, Environment::add_nodes),
    ("campaign", &[], Environment::campaign),
    ("compact", &[], Environment::compact),
    ("deliver-msgs", &["drop", "type"], Environment::deliver_msgs),
    ("forget-leader", &[], Environment::forget_leader),
    ("log-level", &[], Environment::log_level),
    ("process-append-thread", &[], |it, command| it.process_thread(command, Thread::Append)),
    ("process-apply-thread", &[], |it, command| it.process_thread(command, Thread::Apply)),
    ("process-ready", &[], Environment::process_ready),
    ("propose", &[], Environment::propose),
    ("propose-conf-change", &["transition", "v1"], Environment::propose_conf_change),
    ("raft-log", &[], Environment::raft_log),
    ("raft-state", &[], Environment::raft_state),
    ("read-index", &[], Environment::read_index),
    ("report-snapshot", &["received"], Environment::report_snapshot),
    ("report-unreachable", &[], Environment::report_unreachable),
    ("send-snapshot", &[], Environment::send_snapshot),
    ("set-randomized-election-timeout", &["timeout"], Environment::set_randomized_election_timeout),
    ("stabilize", &["log-level"], Environment::stabilize),
    ("status", &[], Environment::status),
    ("tick-election", &[], Environment::tick_election),
    ("tick-heartbeat", &[], Environment::tick_heartbeat),
    ("transfer-leadership", &["from", "to"], Environment::transfer_leadership),
];

#[test]
fn every_command_that_belongs_here_is_known() {
    let names: Vec<&str> = COMMANDS.iter().map(|(name, ..)| *name).collect();
    assert_eq!(names, Kind::Interaction.commands());
}
