//! Everything but keys: leases, sessions, members, maintenance, users.

use etcdlet::proto::etcdserverpb as pb;

use super::pair::Pair;
use super::text::{blank_snapshot, blank_status, blank_table, sort_lines};

pub(crate) fn leases(pair: &mut Pair) {
    let granted = |out: &str| hex_after(out, "lease ");
    pair.same_naming("lease", "etcdctl lease grant 600", granted, str::to_owned);
    pair.same_naming(
        "lease_json",
        "etcdctl lease grant 500 -w json",
        |out| {
            let answer: serde_json::Value = serde_json::from_str(out).ok()?;
            answer["ID"].as_u64()
        },
        str::to_owned,
    );
    pair.same_all(&[
        "etcdctl lease grant",
        "etcdctl lease grant none",
        "etcdctl lease grant 9999999999",
        "etcdctl put l/a 1 --lease=$LEASE",
        "etcdctl get l/a -w json",
        // The remaining time may differ by a second.
        "etcdctl lease timetolive $LEASE --keys | sed 's/remaining([0-9]*s)/remaining/'",
        "etcdctl lease timetolive $LEASE -w json | sed 's/\"ttl\":[0-9]*/\"ttl\":N/'",
        // One key so far, because several come in any order.
        "etcdctl put l/b 1 --lease=$LEASE",
        "etcdctl lease timetolive 1234",
        "etcdctl lease list | sort",
        "etcdctl lease list -w json | wc -l",
        "etcdctl lease keep-alive --once $LEASE",
        "etcdctl lease keep-alive --once $LEASE -w json",
        "etcdctl lease keep-alive --once 1234",
        "etcdctl lease keep-alive none",
        "etcdctl lease revoke $LEASE",
        "etcdctl lease revoke $LEASE",
        "etcdctl get l/ --prefix",
        "etcdctl lease revoke $LEASE_JSON -w json",
        "etcdctl lease list",
    ]);
    let granted = |out: &str| hex_after(out, "lease ");
    pair.same_naming("short", "etcdctl lease grant 3", granted, str::to_owned);
    pair.same("etcdctl put l/short 1 --lease=$SHORT");
    let alive = pair.start("etcdctl lease keep-alive $SHORT");
    // Three renewals: it outlives its time.
    pair.wait_lines(&alive, 3);
    pair.same_all(&["etcdctl get l/short", "etcdctl lease revoke $SHORT"]);
    pair.wait_distinct(alive);
}

pub(crate) fn locks(pair: &mut Pair) {
    pair.same_all(&[
        "etcdctl lock mutex -- sh -c 'echo $ETCD_LOCK_REV; etcdctl get $ETCD_LOCK_KEY -w json | wc -l'",
        "etcdctl lock mutex -- sh -c 'exit 7'",
        "etcdctl lock mutex --ttl=5 -- sh -c 'etcdctl get mutex/ --prefix --keys-only | wc -l'",
        "etcdctl lock",
        "etcdctl get mutex/ --prefix --count-only -w fields",
    ]);
    let holder = pair.start("etcdctl lock mutex");
    pair.wait_lines(&holder, 1);
    let waiter = pair.start("etcdctl lock mutex -- echo mine");
    pair.same_in_the_end("test $(etcdctl get mutex/ --prefix --keys-only | grep -c .) = 2");
    pair.name_from_lines("holder", &holder, |out| hex_after(out, "mutex/"));
    pair.interrupt(holder);
    pair.wait(waiter);
}

pub(crate) fn elections(pair: &mut Pair) {
    let candidate = pair.start("etcdctl elect office one");
    pair.wait_lines(&candidate, 2);
    pair.name_from_lines("candidate", &candidate, |out| hex_after(out, "office/"));
    let listener = pair.start("etcdctl elect --listen office");
    pair.wait_lines(&listener, 2);
    let second = pair.start("etcdctl elect office two");
    pair.same_in_the_end("test $(etcdctl get office/ --prefix --keys-only | grep -c .) = 2");
    pair.interrupt(candidate);
    pair.wait_lines(&second, 2);
    pair.name_from_lines("second", &second, |out| hex_after(out, "office/"));
    pair.wait_lines(&listener, 4);
    pair.interrupt(listener);
    pair.interrupt(second);
    pair.same_all(&["etcdctl elect", "etcdctl elect office", "etcdctl get office/ --prefix"]);
}

/// From one prefix to another of the same cluster, so that both its reading and its writing go through the sidecar.
pub(crate) fn mirror(pair: &mut Pair) {
    pair.same_all(&["etcdctl put from/a 1", "etcdctl put from/b 1"]);
    let mirror =
        pair.start("etcdctl make-mirror --prefix from/ --dest-prefix to/ ${ETCDCTL_ENDPOINTS#http://}");
    pair.same_in_the_end("test \"$(etcdctl get to/ --prefix --print-value-only | xargs)\" = '1 1'");
    pair.same_all(&["etcdctl put from/c 1", "etcdctl del from/a"]);
    pair.same_in_the_end("test \"$(etcdctl get to/ --prefix --keys-only | xargs)\" = 'to/b to/c'");
    pair.interrupt(mirror);
}

pub(crate) fn members(pair: &mut Pair) {
    for format in ["simple", "table", "json", "fields"] {
        pair.same_but(&format!("etcdctl member list -w {format}"), blank_table);
    }
    pair.same_message("MemberList", "etcdctl member list -w protobuf");
    pair.same_all(&[
        "etcdctl member list -w json --hex",
        "etcdctl member add",
        "etcdctl member add m --peer-urls=nonsense",
        "etcdctl member promote $MEMBER",
        "etcdctl member promote 1",
        "etcdctl member remove 1",
        "etcdctl member remove nonsense",
        "etcdctl member update 1 --peer-urls=http://127.0.0.1:1",
    ]);
    let added = |out: &str| hex_after(out, "Member ");
    pair.same_naming(
        "learner",
        "etcdctl member add m1 --learner --peer-urls=http://127.0.0.1:1",
        added,
        sort_members,
    );
    pair.same_but("etcdctl member list", sort_lines);
    pair.same_all(&[
        "etcdctl member update $LEARNER --peer-urls=http://127.0.0.1:3",
        "etcdctl member promote $LEARNER",
        "etcdctl member remove $LEARNER",
        "etcdctl member list",
    ]);
}

pub(crate) fn maintenance(pair: &mut Pair) {
    for format in ["simple", "table", "json", "fields"] {
        pair.same_but(&format!("etcdctl endpoint health -w {format}"), blank_table);
        pair.same_but(&format!("etcdctl endpoint status -w {format}"), blank_status);
    }
    pair.same_but("etcdctl endpoint status --cluster", blank_status);
    pair.same("etcdctl endpoint health --cluster");
    let half = pair.revision() / 2;
    pair.same_all(&[
        &format!("etcdctl compaction {half}"),
        &format!("etcdctl compaction {half}"),
        &format!("etcdctl compaction --physical {}", half + 1),
        "etcdctl compaction 1000000",
        "etcdctl compaction none",
        "etcdctl get a --rev=3",
        "etcdctl watch a --rev=3",
        "etcdctl defrag",
        "etcdctl defrag --cluster",
        "etcdctl alarm list",
        "etcdctl alarm disarm",
        "etcdctl move-leader $MEMBER",
        "etcdctl move-leader 1",
        "etcdctl snapshot save",
        "etcdctl snapshot save file.db",
        "stat -c %a file.db && ls file.db*",
    ]);
    pair.same_but("etcdutl snapshot status file.db -w json", blank_snapshot);
    let alarm = pb::AlarmRequest {
        action: pb::alarm_request::AlarmAction::Activate as i32,
        member_id: 0,
        alarm: pb::AlarmType::Nospace as i32,
    };
    pair.activate(&alarm);
    pair.same_all(&[
        "etcdctl alarm list",
        "etcdctl alarm list -w json",
        "etcdctl put a 1",
        "etcdctl endpoint health",
        "etcdctl del a",
        "etcdctl alarm disarm",
        "etcdctl put a 1",
    ]);
}

pub(crate) fn users(pair: &mut Pair) {
    pair.same_all(&[
        "etcdctl auth status",
        "etcdctl auth enable",
        "etcdctl user add root:pw",
        "etcdctl user add alice --new-user-password=a",
        "etcdctl user add carol --no-password",
        "printf 'b\\n' | etcdctl user add bob --interactive=false",
        "etcdctl user add alice:again",
        "etcdctl user add ''",
        "etcdctl user list",
        "etcdctl user list -w json",
        "etcdctl user delete bob",
        "etcdctl user delete bob",
        "printf 'alice\\n' | etcdctl user passwd alice --interactive=false",
        "etcdctl role add reader",
        "etcdctl role add reader",
        "etcdctl role add writer",
        "etcdctl role list",
        "etcdctl role grant-permission reader read a b",
        "etcdctl role grant-permission reader read auth/ --prefix",
        "etcdctl role grant-permission reader read z --from-key",
        "etcdctl role grant-permission writer readwrite auth/w",
        "etcdctl role grant-permission writer nonsense auth/w",
        "etcdctl role grant-permission nobody read a",
        "etcdctl role get reader",
        "etcdctl role get reader -w json",
        "etcdctl role get nobody",
        "etcdctl role revoke-permission reader a b",
        "etcdctl role revoke-permission reader a b",
        "etcdctl role revoke-permission reader z --from-key",
        "etcdctl role get reader",
        "etcdctl user grant-role alice reader",
        "etcdctl user grant-role alice writer",
        "etcdctl user grant-role nobody reader",
        "etcdctl user grant-role alice nobody",
        "etcdctl user get alice",
        "etcdctl user get alice --detail",
        "etcdctl user get nobody",
        "etcdctl auth enable",
        "etcdctl auth status",
        "etcdctl --user root:pw auth status",
    ]);
    guarded(pair);
}

fn guarded(pair: &mut Pair) {
    pair.same_all(&[
        "etcdctl put auth/w 1",
        "etcdctl --user root:pw put auth/r 1",
        "etcdctl --user root:wrong put auth/r 1",
        "etcdctl --user nobody:x put auth/r 1",
        "etcdctl --user root --password pw put auth/r 2",
        "etcdctl --user alice:alice get auth/ --prefix",
        "etcdctl --user alice:alice put auth/w 1",
        "etcdctl --user alice:alice put auth/r 1",
        "etcdctl --user alice:alice get other",
        "etcdctl --user alice:alice watch auth/r --rev=1000 & sleep 0.3; kill $!",
        "etcdctl --user alice:alice watch other",
        "etcdctl watch auth/r",
        "etcdctl --user alice:alice user list",
        "etcdctl --user alice:alice user get alice",
        "etcdctl --user alice:alice member list",
        "etcdctl --user alice:alice endpoint health",
        "etcdctl --user alice:alice snapshot save no.db",
        "etcdctl --user alice:alice defrag",
        "etcdctl --user alice:alice compaction 3",
        "etcdctl endpoint health",
        "etcdctl endpoint status",
        "etcdctl member list",
        "etcdctl alarm list",
        "etcdctl --user root:pw snapshot save yes.db",
        "etcdctl --user root:pw role revoke-permission writer auth/w",
        "etcdctl --user alice:alice put auth/w 2",
        "etcdctl --user root:pw user revoke-role alice writer",
        "etcdctl --user root:pw user revoke-role alice writer",
        "etcdctl --user root:pw role delete reader",
        "etcdctl --user alice:alice get auth/r",
        "etcdctl --user root:pw user delete root",
        "etcdctl --user root:pw role delete root",
        "etcdctl auth disable",
        "etcdctl --user root:pw auth disable",
        "etcdctl get auth/ --prefix",
        "etcdctl --user root:pw get auth/r",
    ]);
}

/// The members of `ETCD_INITIAL_CLUSTER` are in the order of their ids too.
fn sort_members(text: &str) -> String {
    sort_lines(&text.replace([',', '"'], "\n").replace("ETCD_INITIAL_CLUSTER=", "ETCD_INITIAL_CLUSTER=\n"))
}

/// The number in hexadecimal behind a text.
fn hex_after(text: &str, before: &str) -> Option<u64> {
    let (_, rest) = text.split_once(before)?;
    let rest = rest.trim_start();
    let end = rest.find(|character: char| !character.is_ascii_hexdigit()).unwrap_or(rest.len());
    u64::from_str_radix(&rest[..end], 16).ok()
}
