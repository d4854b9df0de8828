//! `add-nodes`: new members, by the next numbers.

use bytes::Bytes;
use etcdlet::raft::config::NO_LIMIT;
use etcdlet::raft::{ConfState, Config, EntryId, LogIndex, MemoryStorage, Persist, ReadMode, Snapshot};
use etcdlet::types::ids::{MemberId, Term};

use super::Environment;
use super::commands::Outcome;
use super::member::Member;
use crate::transcript::Command;

impl Environment {
    pub(super) fn add_nodes(&mut self, command: &Command) -> Outcome {
        let [count] = command.exactly();
        let snapshot = snapshot(command)?;
        for _ in 0..count {
            let mut config = config(command, MemberId(self.members.len() as u64 + 1));
            let mut storage = MemoryStorage::default();
            if let Some(snapshot) = &snapshot {
                config.applied = snapshot.last.index;
                storage.persist(&Persist { snapshot: Some(snapshot.clone()), ..Persist::default() });
            }
            self.members.push(Member::try_new(config, storage)?);
        }
        Ok(())
    }
}

/// What they begin with, if it is not nothing.
fn snapshot(command: &Command) -> Result<Option<Box<Snapshot>>, &'static str> {
    let ids = |key| command.values(key).unwrap_or_default().into_iter().map(MemberId).collect();
    let conf_state = ConfState { voters: ids("voters"), learners: ids("learners"), ..ConfState::default() };
    let index = command.value("index").unwrap_or_default();
    let data = Bytes::from(command.value::<String>("content").unwrap_or_default());
    if conf_state == ConfState::default() && index == 0 && data.is_empty() {
        return Ok(None);
    }
    if index <= 1 {
        return Err("index must be specified as > 1 due to bootstrap");
    }
    let last = EntryId { term: Term(1), index: LogIndex(index) };
    Ok(Some(Box::new(Snapshot { data, conf_state, last })))
}

fn config(command: &Command, id: MemberId) -> Config {
    let is = |key| command.value(key).unwrap_or_default();
    let size = |key| command.value(key).unwrap_or(NO_LIMIT);
    Config {
        election_ticks: 3,
        heartbeat_ticks: 1,
        asynchronous_storage: is("async-storage-writes"),
        message_bytes_max: size("max-size-per-msg"),
        applying_bytes_max: size("max-committed-size-per-ready"),
        uncommitted_bytes_max: size("max-uncommitted-entries-size"),
        inflight_messages_max: command.value("inflight").unwrap_or(usize::MAX),
        inflight_bytes_max: size("max-inflight-bytes"),
        check_quorum: is("checkquorum"),
        pre_vote: is("prevote"),
        read_mode: match command.value::<String>("read-only").as_deref() {
            Some("lease-based") => ReadMode::LeaseBased,
            None | Some("safe") => ReadMode::Safe,
            Some(other) => panic!("read-only={other}: it is safe or lease-based"),
        },
        proposal_forwarding: !is("disable-proposal-forwarding"),
        conf_change_validation: !is("disable-conf-change-validation"),
        step_down_on_removal: is("step-down-on-removal"),
        ..Config::new(id)
    }
}

pub(super) const KEYS: &[&str] = &[
    "async-storage-writes",
    "checkquorum",
    "content",
    "disable-conf-change-validation",
    "disable-proposal-forwarding",
    "index",
    "inflight",
    "learners",
    "max-committed-size-per-ready",
    "max-inflight-bytes",
    "max-size-per-msg",
    "max-uncommitted-entries-size",
    "prevote",
    "read-only",
    "step-down-on-removal",
    "voters",
];
