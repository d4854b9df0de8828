//! Leases, by ids that the client chose wherever it can.

use etcdlet::proto::etcdserverpb as pb;

use super::{GRANT, KEEP_ALIVE, LEASES, PUT, RANGE, REVOKE, TIME_TO_LIVE, TXN, WATCH, prefix, put, range};
use crate::differential::entry::{Entry, Step, call, entry};

pub(crate) fn entries() -> Vec<Entry> {
    [grants(), keys(), keep_alives(), expiry(), revokes()].into_iter().flatten().collect()
}

fn grants() -> Vec<Entry> {
    let mut table = vec![
        call("lease: none", LEASES, pb::LeaseLeasesRequest {}),
        call("lease: grant", GRANT, grant(1000, 600)),
        call("lease: grant of an id in use", GRANT, grant(1000, 600)),
        entry("lease: grant of any id")
            .unary(GRANT, grant(0, 300))
            .learn_id("lease of the server's choice", &[2]),
        entry("lease: revoke of that id").unary_with(REVOKE, |known| pb::LeaseRevokeRequest {
            id: known.id("lease of the server's choice").cast_signed(),
        }),
        call("lease: grant of a negative id", GRANT, grant(-5, 500)),
    ];
    for (index, ttl) in [0, -1, i64::MIN, 9_000_000_000, 9_000_000_001, i64::MAX].into_iter().enumerate() {
        let id = 1100 + i64::try_from(index).expect("a small index");
        let name = format!("lease: grant for {ttl} s");
        // The short ones are gone before their expiry could change a later answer.
        table.push(entry(name).unary(GRANT, grant(id, ttl)).unary(REVOKE, pb::LeaseRevokeRequest { id }));
    }
    table.push(call("lease: a second one", GRANT, grant(1001, 900)));
    table.push(call("lease: list", LEASES, pb::LeaseLeasesRequest {}));
    table
}

fn keys() -> Vec<Entry> {
    let ttl = |id, keys| pb::LeaseTimeToLiveRequest { id, keys };
    let with = |lease, key, value| pb::PutRequest { lease, ..put(key, value) };
    let txn = pb::TxnRequest {
        success: vec![pb::RequestOp {
            request: Some(pb::request_op::Request::RequestPut(with(1001, "l/t", "1"))),
        }],
        ..Default::default()
    };
    vec![
        call("lease: time to live without keys", TIME_TO_LIVE, ttl(1000, true)),
        call("lease: put", PUT, with(1000, "l/a", "1")),
        call("lease: time to live of a lease with a key", TIME_TO_LIVE, ttl(1000, true)),
        call("lease: time to live, keys not asked for", TIME_TO_LIVE, ttl(1000, false)),
        call("lease: time to live of an unknown lease", TIME_TO_LIVE, ttl(4711, true)),
        call("lease: time to live of lease 0", TIME_TO_LIVE, ttl(0, false)),
        call("lease: put under another lease", PUT, with(1001, "l/a", "2")),
        call("lease: the key has moved away", TIME_TO_LIVE, ttl(1000, true)),
        call("lease: the key has moved here", TIME_TO_LIVE, ttl(1001, true)),
        call("lease: put keeps the lease", PUT, pb::PutRequest { ignore_lease: true, ..put("l/a", "3") }),
        call("lease: range shows the lease", RANGE, prefix("l/")),
        call("lease: keys only", RANGE, pb::RangeRequest { keys_only: true, ..prefix("l/") }),
        call("lease: put in a transaction", TXN, txn),
        call("lease: put without the lease", PUT, put("l/a", "4")),
        call("lease: the key has left", TIME_TO_LIVE, ttl(1001, true)),
    ]
}

fn keep_alives() -> Vec<Entry> {
    let alive = |id| pb::LeaseKeepAliveRequest { id };
    vec![
        entry("lease: keep alive")
            .open(KEEP_ALIVE)
            .send(alive(1000))
            .receive(1)
            .send(alive(1000))
            .receive(1)
            .half_close()
            .end(),
        entry("lease: keep a gone lease alive")
            .open(KEEP_ALIVE)
            .send(alive(4711))
            .receive(1)
            .send(alive(1000))
            .receive(1),
        entry("lease: keep lease 0 alive").open(KEEP_ALIVE).send(alive(0)).receive(1),
        entry("lease: keep several alive")
            .open(KEEP_ALIVE)
            .send(alive(1000))
            .send(alive(4711))
            .send(alive(1001))
            .receive(3)
            .half_close()
            .end(),
        entry("lease: keep alive once").open_unary(KEEP_ALIVE, alive(1001)).end(),
        entry("lease: keep nothing alive").open(KEEP_ALIVE).half_close().end(),
        entry("lease: keep alive, reset by the client")
            .open(KEEP_ALIVE)
            .send(alive(1000))
            .receive(1)
            .step(Step::Reset),
        entry("lease: keep alive with a leader required")
            .open(KEEP_ALIVE)
            .meta("hasleader", "true")
            .send(alive(1000))
            .receive(1)
            .half_close()
            .end(),
    ]
}

fn expiry() -> Vec<Entry> {
    let watch = pb::WatchCreateRequest { key: "l/x".into(), ..Default::default() };
    let create =
        pb::WatchRequest { request_union: Some(pb::watch_request::RequestUnion::CreateRequest(watch)) };
    vec![
        entry("lease: expires with its key")
            .open(WATCH)
            .send(create)
            .receive(1)
            .unary(GRANT, grant(1200, 1))
            .unary(PUT, pb::PutRequest { lease: 1200, ..put("l/x", "1") })
            .receive(2)
            .unary(RANGE, range("l/x"))
            .unary(TIME_TO_LIVE, pb::LeaseTimeToLiveRequest { id: 1200, keys: true })
            .unary(PUT, pb::PutRequest { lease: 1200, ..put("l/x", "2") })
            .open(KEEP_ALIVE)
            .send(pb::LeaseKeepAliveRequest { id: 1200 })
            .receive(1),
    ]
}

fn revokes() -> Vec<Entry> {
    let revoke = |id| pb::LeaseRevokeRequest { id };
    vec![
        call("lease: revoke of an unknown lease", REVOKE, revoke(4711)),
        call("lease: revoke", REVOKE, revoke(1001)),
        call("lease: revoke again", REVOKE, revoke(1001)),
        call("lease: the keys are gone with it", RANGE, prefix("l/")),
        call("lease: list of what is left", LEASES, pb::LeaseLeasesRequest {}),
    ]
}

fn grant(id: i64, ttl: i64) -> pb::LeaseGrantRequest {
    pb::LeaseGrantRequest { ttl, id }
}
