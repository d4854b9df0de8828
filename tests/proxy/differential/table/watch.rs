//! Watch: what a stream of watchers sees.

use bytes::Bytes;
use etcdlet::proto::etcdserverpb as pb;
use pb::watch_create_request::FilterType;
use pb::watch_request::RequestUnion;

use super::{COMPACT, DELETE, GRANT, PUT, REVOKE, TXN, WATCH, delete, interval, put};
use crate::differential::entry::{Entry, Step, entry};

pub(crate) fn entries() -> Vec<Entry> {
    [lives(), starts(), refused(), shapes(), controls(), big(), ends()].into_iter().flatten().collect()
}

fn lives() -> Vec<Entry> {
    let filtered = |filters: Vec<i32>| create(pb::WatchCreateRequest { filters, ..watch("w/f") });
    let (no_put, no_delete) = (FilterType::Noput as i32, FilterType::Nodelete as i32);
    let life = |name: &str, request: pb::WatchRequest| {
        entry(name).open(WATCH).send(request).receive(1).unary(PUT, put("w/f", "1"))
    };
    vec![
        entry("watch: a key")
            .open(WATCH)
            .send(create(watch("w/a")))
            .receive(1)
            .unary(PUT, put("w/a", "1"))
            .receive(1)
            .unary(PUT, put("w/b", "1"))
            .quiet()
            .unary(PUT, put("w/a", "2"))
            .receive(1)
            .unary(DELETE, delete("w/a"))
            .receive(1)
            .unary(DELETE, delete("w/a"))
            .quiet(),
        entry("watch: previous values")
            .open(WATCH)
            .send(create(pb::WatchCreateRequest { prev_kv: true, ..watch("w/p") }))
            .receive(1)
            .unary(PUT, put("w/p", "1"))
            .receive(1)
            .unary(PUT, put("w/p", "2"))
            .receive(1)
            .unary(DELETE, delete("w/p"))
            .receive(1),
        life("watch: no puts", filtered(vec![no_put])).quiet().unary(DELETE, delete("w/f")).receive(1),
        life("watch: no deletes", filtered(vec![no_delete])).receive(1).unary(DELETE, delete("w/f")).quiet(),
        life("watch: neither", filtered(vec![no_put, no_delete]))
            .quiet()
            .unary(DELETE, delete("w/f"))
            .quiet(),
        life("watch: an unknown filter", filtered(vec![7]))
            .receive(1)
            .unary(DELETE, delete("w/f"))
            .receive(1),
        entry("watch: with metadata")
            .open(WATCH)
            .meta("hasleader", "true")
            .meta("client-api-version", "3.5")
            .send(create(watch("w/m")))
            .receive(1)
            .unary(PUT, put("w/m", "1"))
            .meta("hasleader", "true")
            .receive(1),
    ]
}

fn starts() -> Vec<Entry> {
    let from = |revision| create(pb::WatchCreateRequest { start_revision: revision, ..tree("w/h/") });
    let mut table = vec![
        entry("watch: some history")
            .unary(PUT, put("w/h/a", "1"))
            .unary(PUT, put("w/h/b", "1"))
            .unary(TXN, writes(&["w/h/a", "w/h/c"]))
            .unary(DELETE, delete("w/h/a")),
        entry("watch: from the compacted revision")
            .open(WATCH)
            .send(from(12))
            .receive(2)
            .unary(PUT, put("w/h/d", "1"))
            .receive(1),
        entry("watch: from a past revision, with previous values")
            .open(WATCH)
            .send(create(pb::WatchCreateRequest { start_revision: 13, prev_kv: true, ..tree("w/h/") }))
            .receive(2),
        entry("watch: history of a filtered kind")
            .open(WATCH)
            .send(create(pb::WatchCreateRequest { start_revision: 13, filters: vec![0], ..tree("w/h/") }))
            .receive(2),
        entry("watch: from a future revision")
            .open(WATCH)
            .send(from(100_000))
            .receive(1)
            .unary(PUT, put("w/h/e", "1"))
            .quiet(),
        entry("watch: from the last revision that there can be")
            .open(WATCH)
            .send(from(i64::MAX))
            .receive(1)
            .quiet(),
    ];
    for revision in [1, 11] {
        let name = format!("watch: from a compacted revision {revision}");
        table.push(entry(name).open(WATCH).send(from(revision)).receive(2).quiet());
    }
    for revision in [-1, i64::MIN] {
        let name = format!("watch: from a negative revision {revision}");
        table.push(entry(name).open(WATCH).send(from(revision)).receive(1).quiet());
    }
    table
}

fn refused() -> Vec<Entry> {
    let end = |key: &'static str, end: &'static str| {
        create(pb::WatchCreateRequest { range_end: end.into(), ..watch(key) })
    };
    let twice = pb::WatchCreateRequest { watch_id: 7, ..watch("w/i") };
    vec![
        entry("watch: an empty interval").open(WATCH).send(end("w/b", "w/b")).receive(1).quiet(),
        entry("watch: a reversed interval").open(WATCH).send(end("w/b", "w/a")).receive(1).quiet(),
        entry("watch: a refused watcher leaves the stream open")
            .open(WATCH)
            .send(end("w/b", "w/a"))
            .receive(1)
            .send(create(watch("w/b")))
            .receive(1)
            .unary(PUT, put("w/b", "1"))
            .receive(1),
        entry("watch: an id given twice")
            .open(WATCH)
            .send(create(twice.clone()))
            .receive(1)
            .send(create(twice.clone()))
            .receive(1)
            .send(create(watch("w/i")))
            .receive(1)
            .send(cancel(7))
            .receive(1)
            .send(create(twice))
            .receive(1),
        entry("watch: a negative id")
            .open(WATCH)
            .send(create(pb::WatchCreateRequest { watch_id: -1, ..watch("w/i") }))
            .receive(1)
            .unary(PUT, put("w/i", "1"))
            .receive(1),
    ]
}

fn shapes() -> Vec<Entry> {
    vec![
        entry("watch: a prefix sees a transaction at once")
            .open(WATCH)
            .send(create(tree("w/t/")))
            .receive(1)
            .unary(TXN, writes(&["w/t/b", "w/t/a", "w/t/c"]))
            .receive(1)
            .unary(DELETE, pb::DeleteRangeRequest { range_end: "w/t0".into(), ..delete("w/t/") })
            .receive(1),
        entry("watch: from a key")
            .open(WATCH)
            .send(create(pb::WatchCreateRequest { range_end: vec![0].into(), ..watch("w/z") }))
            .receive(1)
            .unary(PUT, put("x", "1"))
            .receive(1),
        entry("watch: everything")
            .open(WATCH)
            .send(create(tree("")))
            .receive(1)
            .unary(PUT, put("a", "1"))
            .receive(1),
        entry("watch: an empty key")
            .open(WATCH)
            .send(create(watch("")))
            .receive(1)
            .unary(PUT, put("a", "1"))
            .quiet(),
        entry("watch: keys that go with their lease")
            .unary(GRANT, pb::LeaseGrantRequest { ttl: 600, id: 501 })
            .open(WATCH)
            .send(create(tree("w/l/")))
            .receive(1)
            .unary(PUT, pb::PutRequest { lease: 501, ..put("w/l/b", "1") })
            .unary(PUT, pb::PutRequest { lease: 501, ..put("w/l/a", "1") })
            .receive(2)
            .unary(REVOKE, pb::LeaseRevokeRequest { id: 501 })
            .receive(1),
        entry("watch: two watchers of a key on one stream")
            .open(WATCH)
            .send(create(watch("w/2")))
            .send(create(pb::WatchCreateRequest { prev_kv: true, ..watch("w/2") }))
            .receive(2)
            .unary(PUT, put("w/2", "1"))
            .step(Step::ReceiveUnordered(2))
            .unary(PUT, put("w/2", "2"))
            .step(Step::ReceiveUnordered(2)),
        entry("watch: two streams on one connection")
            .open(WATCH)
            .send(create(watch("w/s")))
            .receive(1)
            .open(WATCH)
            .send(create(tree("w/")))
            .receive(1)
            .unary(PUT, put("w/s", "1"))
            .receive(1)
            .on(0)
            .receive(1),
    ]
}

fn controls() -> Vec<Entry> {
    let progress = || union(RequestUnion::ProgressRequest(pb::WatchProgressRequest {}));
    vec![
        entry("watch: cancel")
            .open(WATCH)
            .send(create(watch("w/c")))
            .receive(1)
            .send(cancel(0))
            .receive(1)
            .unary(PUT, put("w/c", "1"))
            .quiet()
            .send(create(watch("w/c")))
            .receive(1),
        entry("watch: cancel of an unknown id").open(WATCH).send(cancel(99)).quiet(),
        entry("watch: cancel twice")
            .open(WATCH)
            .send(create(watch("w/c")))
            .receive(1)
            .send(cancel(0))
            .send(cancel(0))
            .receive(1)
            .quiet(),
        entry("watch: progress on request")
            .open(WATCH)
            .send(create(watch("w/g")))
            .receive(1)
            .unary(PUT, put("w/g", "1"))
            .receive(1)
            .send(progress())
            .receive(1)
            .unary(PUT, put("w/elsewhere", "1"))
            .send(progress())
            .receive(1),
        entry("watch: progress notified")
            .open(WATCH)
            .send(create(pb::WatchCreateRequest { progress_notify: true, ..watch("w/g") }))
            .receive(2)
            .unary(PUT, put("w/g", "2"))
            .receive(2),
        entry("watch: progress without watchers").open(WATCH).send(progress()).quiet(),
        entry("watch: progress before a future revision")
            .open(WATCH)
            .send(create(pb::WatchCreateRequest { start_revision: 100_000, ..watch("w/g") }))
            .receive(1)
            .send(progress())
            .quiet(),
        entry("watch: a request of nothing")
            .open(WATCH)
            .send(pb::WatchRequest::default())
            .quiet()
            .send(create(watch("w/n")))
            .receive(1),
        entry("watch: compaction while watching")
            .open(WATCH)
            .send(create(watch("w/k")))
            .receive(1)
            .unary(PUT, put("w/k", "1"))
            .receive(1)
            .unary(COMPACT, pb::CompactionRequest { revision: 20, physical: true })
            .quiet()
            .unary(PUT, put("w/k", "2"))
            .receive(1),
    ]
}

/// Four revisions of 700 kB: more than the 2 MiB at which etcd splits a response for those who ask for it.
fn big() -> Vec<Entry> {
    let mut table = Vec::new();
    for index in 0..4u8 {
        let request = pb::PutRequest { value: vec![b'0' + index; 700_000].into(), ..put("big", "") };
        table.push(entry(format!("watch: large value {index}")).unary(PUT, request));
    }
    let history = |fragment| create(pb::WatchCreateRequest { start_revision: 21, fragment, ..watch("big") });
    table.extend([
        entry("watch: a large history at once").open(WATCH).send(history(false)).receive(1).events(4).quiet(),
        entry("watch: a large history in fragments")
            .open(WATCH)
            .send(history(true))
            .receive(1)
            .events(4)
            .quiet(),
        entry("watch: away with the large value").unary(DELETE, delete("big")),
    ]);
    table
}

fn ends() -> Vec<Entry> {
    vec![
        entry("watch: a half-closed stream goes on")
            .open(WATCH)
            .send(create(watch("w/e")))
            .receive(1)
            .half_close()
            .unary(PUT, put("w/e", "1"))
            .receive(1),
        entry("watch: half-closed without a watcher").open(WATCH).half_close().quiet(),
        entry("watch: reset by the client")
            .open(WATCH)
            .send(create(watch("w/e")))
            .receive(1)
            .step(Step::Reset)
            .unary(PUT, put("w/e", "2"))
            .open(WATCH)
            .send(create(watch("w/e")))
            .receive(1)
            .unary(PUT, put("w/e", "3"))
            .receive(1),
        entry("watch: garbage")
            .open(WATCH)
            .step(Step::Raw(Bytes::from_static(b"\0\0\0\0\x03\xff\xff\xff")))
            .end(),
        entry("watch: garbage behind a watcher")
            .open(WATCH)
            .send(create(watch("w/e")))
            .receive(1)
            .step(Step::Raw(Bytes::from_static(b"\0\0\0\0\x03\xff\xff\xff")))
            .end(),
        entry("watch: a truncated request")
            .open(WATCH)
            .send(create(watch("w/e")))
            .receive(1)
            .step(Step::Raw(Bytes::from_static(b"\0\0\0\0\x09\x0a")))
            .half_close()
            .end(),
        entry("watch: until the deadline")
            .open(WATCH)
            .meta("grpc-timeout", "400m")
            .send(create(watch("w/e")))
            .receive(1)
            .deadline(),
    ]
}

fn create(request: pb::WatchCreateRequest) -> pb::WatchRequest {
    union(RequestUnion::CreateRequest(request))
}

fn cancel(watch_id: i64) -> pb::WatchRequest {
    union(RequestUnion::CancelRequest(pb::WatchCancelRequest { watch_id }))
}

fn union(request: RequestUnion) -> pb::WatchRequest {
    pb::WatchRequest { request_union: Some(request) }
}

fn watch(key: &'static str) -> pb::WatchCreateRequest {
    pb::WatchCreateRequest { key: key.into(), ..Default::default() }
}

fn tree(prefix: &'static str) -> pb::WatchCreateRequest {
    let (key, range_end) = interval(prefix);
    pb::WatchCreateRequest { key: key.into(), range_end: range_end.into(), ..Default::default() }
}

fn writes(keys: &[&'static str]) -> pb::TxnRequest {
    let op = |key: &&'static str| pb::RequestOp {
        request: Some(pb::request_op::Request::RequestPut(put(key, "t"))),
    };
    pb::TxnRequest { success: keys.iter().map(op).collect(), ..Default::default() }
}
