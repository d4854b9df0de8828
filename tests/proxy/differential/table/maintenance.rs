//! Maintenance: alarms, figures, snapshots, and what one member alone refuses.

use etcdlet::proto::etcdserverpb as pb;
use pb::alarm_request::AlarmAction;
use pb::downgrade_request::DowngradeAction;

use super::{
    ALARM, COMPACT, DEFRAGMENT, DELETE, DOWNGRADE, GRANT, HASH, HASH_KV, MOVE_LEADER, PUT, RANGE, REVOKE,
    SNAPSHOT, STATUS, TXN, delete, prefix, put,
};
use crate::differential::entry::{Call, Entry, Step, call, entry};

pub(crate) fn entries() -> Vec<Entry> {
    [figures(), alarms(), leaders(), downgrades()].into_iter().flatten().collect()
}

fn figures() -> Vec<Entry> {
    let hash = |revision| pb::HashKvRequest { revision };
    vec![
        call("status", STATUS, pb::StatusRequest {}),
        call("hash", HASH, pb::HashRequest {}),
        call("hash of the keys now", HASH_KV, hash(0)),
        call("hash of the keys since the compaction", HASH_KV, hash(40)),
        call("hash of the keys compacted", HASH_KV, hash(1)),
        call("hash of the keys to come", HASH_KV, hash(100_000)),
        call("hash of the keys at a negative revision", HASH_KV, hash(-1)),
        call("defragment", DEFRAGMENT, pb::DefragmentRequest {}),
        entry("snapshot").step(Step::Snapshot(Call::new(SNAPSHOT).message(pb::SnapshotRequest {}))),
        call("status afterwards", STATUS, pb::StatusRequest {}),
    ]
}

fn alarms() -> Vec<Entry> {
    let list = |alarm| pb::AlarmRequest { action: AlarmAction::Get as i32, member_id: 0, alarm };
    let set = |name: &'static str, action: AlarmAction, alarm: pb::AlarmType| {
        entry(name).unary_with(ALARM, move |known| pb::AlarmRequest {
            action: action as i32,
            member_id: known.id("member"),
            alarm: alarm as i32,
        })
    };
    let txn = pb::TxnRequest {
        success: vec![pb::RequestOp { request: Some(pb::request_op::Request::RequestPut(put("m/a", "1"))) }],
        ..Default::default()
    };
    vec![
        call("alarm: none", ALARM, list(0)),
        set("alarm: activate no space", AlarmAction::Activate, pb::AlarmType::Nospace),
        set("alarm: activate no space again", AlarmAction::Activate, pb::AlarmType::Nospace),
        call("alarm: list", ALARM, list(0)),
        call("alarm: list of no space", ALARM, list(1)),
        call("alarm: list of corruption", ALARM, list(2)),
        call("alarm: status shows it", STATUS, pb::StatusRequest {}),
        call("alarm: put", PUT, put("m/a", "1")),
        call("alarm: put of an empty key", PUT, put("", "1")),
        call("alarm: txn with a put", TXN, txn.clone()),
        call("alarm: grant", GRANT, pb::LeaseGrantRequest { ttl: 600, id: 3000 }),
        call("alarm: range", RANGE, prefix("w/")),
        call("alarm: delete", DELETE, delete("w/b")),
        call("alarm: revoke", REVOKE, pb::LeaseRevokeRequest { id: 1000 }),
        call("alarm: compact", COMPACT, pb::CompactionRequest { revision: 30, physical: true }),
        set("alarm: deactivate no space", AlarmAction::Deactivate, pb::AlarmType::Nospace),
        set("alarm: deactivate no space again", AlarmAction::Deactivate, pb::AlarmType::Nospace),
        call("alarm: put is possible again", PUT, put("m/a", "1")),
        set("alarm: activate corruption", AlarmAction::Activate, pb::AlarmType::Corrupt),
        call("alarm: put into a corrupt store", PUT, put("m/a", "2")),
        call("alarm: txn in a corrupt store", TXN, txn),
        call("alarm: delete in a corrupt store", DELETE, delete("m/a")),
        call("alarm: range in a corrupt store", RANGE, prefix("m/")),
        call("alarm: status of a corrupt store", STATUS, pb::StatusRequest {}),
        set("alarm: deactivate corruption", AlarmAction::Deactivate, pb::AlarmType::Corrupt),
        set("alarm: activate nothing", AlarmAction::Activate, pb::AlarmType::None),
        // No unknown action: it is replicated first, and then every member dies of it.
        call("alarm: none again", ALARM, list(0)),
    ]
}

fn leaders() -> Vec<Entry> {
    let target = |target_id| pb::MoveLeaderRequest { target_id };
    vec![
        call("move leader to nobody", MOVE_LEADER, target(0)),
        call("move leader to an unknown member", MOVE_LEADER, target(1)),
        entry("move leader to the leader").unary_with(MOVE_LEADER, move |known| target(known.id("member"))),
    ]
}

fn downgrades() -> Vec<Entry> {
    let request = |action: DowngradeAction, version: &str| pb::DowngradeRequest {
        action: action as i32,
        version: version.to_owned(),
    };
    let mut table = vec![
        // The cluster agrees on its version some seconds after its start.
        entry("downgrade: validate the version before").until(
            DOWNGRADE,
            request(DowngradeAction::Validate, "3.4.0"),
            |answer| answer.status().code == Some(0),
        ),
        call("downgrade: enable a bad version", DOWNGRADE, request(DowngradeAction::Enable, "3.9.0")),
        call("downgrade: cancel nothing", DOWNGRADE, request(DowngradeAction::Cancel, "")),
        call(
            "downgrade: an unknown action",
            DOWNGRADE,
            pb::DowngradeRequest { action: 9, version: "3.4.0".to_owned() },
        ),
    ];
    for version in ["", "x", "3", "3.4", "3.5.0", "3.6.0", "2.9.9"] {
        let name = format!("downgrade: validate {version:?}");
        table.push(call(name, DOWNGRADE, request(DowngradeAction::Validate, version)));
    }
    table
}
