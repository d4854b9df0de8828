//! Many members do what one member never does: forget what was acknowledged. A client of the sidecar must not notice.

use std::collections::BTreeMap;

use etcdlet::proto::etcdserverpb as pb;

use super::{
    LEASE_GRANT, LEASE_LEASES, LEASE_REVOKE, TXN, beside_others, connect, get, in_front, put, range,
};
use crate::bad_input::length;
use crate::support::etcd::Cluster;
use crate::support::grpc::{Channel, Status};
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn a_serializable_get_shows_every_put_that_was_acknowledged() {
    every_put_is_read(Read::Get, ROUNDS * length()).await;
}

#[tokio::test]
async fn a_serializable_transaction_shows_every_put_that_was_acknowledged() {
    every_put_is_read(Read::Txn, ROUNDS * length() / 4).await;
}

#[derive(Clone, Copy)]
enum Read {
    Get,
    Txn,
}

impl Read {
    async fn read(self, channel: &Channel, key: &str) -> Result<pb::RangeResponse, Status> {
        match self {
            Self::Get => get(channel, key, true).await,
            Self::Txn => {
                let request = pb::request_op::Request::RequestRange(range(key, true));
                let success = vec![pb::RequestOp { request: Some(request) }];
                let txn = pb::TxnRequest { success, ..Default::default() };
                let answer: pb::TxnResponse = channel.call(TXN, &txn).await?;
                let response = answer.responses.into_iter().next().and_then(|it| it.response);
                let Some(pb::response_op::Response::ResponseRange(read)) = response else {
                    panic!("a range is answered by {response:?}")
                };
                Ok(pb::RangeResponse { header: answer.header, ..read })
            }
        }
    }
}

async fn every_put_is_read(read: Read, rounds: usize) {
    let _turn = beside_others().await;
    let cluster = Cluster::start(3);
    let sidecar = in_front(&cluster).await;
    let tallies = by_workers(&sidecar, async move |worker, channels| {
        let mut tally = Tally::default();
        for round in 0..rounds / WORKERS {
            let (key, value) = (format!("{worker}/{}", round % 10), round.to_string());
            // What a follower does not know yet must be hidden from the other connections as well.
            let (writer, reader) = (&channels[round % 2], &channels[round / 2 % 2]);
            let put = put(writer, &key, &value).await.expect("a put succeeds").header;
            let answer = read.read(reader, &key).await.expect("a serializable read succeeds");
            let header = answer.header.expect("etcd sends one");
            let written = put.expect("etcd sends one").revision;
            let fresh = header.revision >= written && answer.kvs.first().is_some_and(|it| it.value == value);
            tally.add(header.member_id, !fresh);
        }
        tally
    });
    Tally::sum(tallies.await).assert_fresh("serializable reads", rounds);
}

#[tokio::test]
async fn lease_leases_shows_every_grant_and_every_revoke_that_was_acknowledged() {
    let _turn = beside_others().await;
    let cluster = Cluster::start(3);
    let sidecar = in_front(&cluster).await;
    let rounds = ROUNDS * length();
    let tallies = by_workers(&sidecar, async move |_, channels| {
        let mut tally = Tally::default();
        for round in 0..rounds / WORKERS {
            let (writer, reader) = (&channels[round % 2], &channels[round / 2 % 2]);
            let grant = pb::LeaseGrantRequest { ttl: 600, id: 0 };
            let granted: pb::LeaseGrantResponse =
                writer.call(LEASE_GRANT, &grant).await.expect("a grant succeeds");
            let (member, there) = lists(reader, granted.id).await;
            tally.add(member, !there);
            let revoke = pb::LeaseRevokeRequest { id: granted.id };
            let _: pb::LeaseRevokeResponse =
                writer.call(LEASE_REVOKE, &revoke).await.expect("a revoke succeeds");
            let (member, there) = lists(reader, granted.id).await;
            tally.add(member, there);
        }
        tally
    });
    Tally::sum(tallies.await).assert_fresh("LeaseLeases", 2 * rounds);
}

/// Who answered, and whether the lease is there.
async fn lists(channel: &Channel, lease: i64) -> (u64, bool) {
    let all: pb::LeaseLeasesResponse =
        channel.call(LEASE_LEASES, &pb::LeaseLeasesRequest {}).await.expect("LeaseLeases succeeds");
    (all.header.expect("etcd sends one").member_id, all.leases.iter().any(|it| it.id == lease))
}

#[tokio::test]
async fn the_revision_of_serializable_reads_never_goes_back() {
    let _turn = beside_others().await;
    let cluster = Cluster::start(3);
    let sidecar = in_front(&cluster).await;
    let rounds = ROUNDS * length();
    let tallies = by_workers(&sidecar, async move |worker, channels| {
        let (mut tally, mut highest) = (Tally::default(), 0);
        for round in 0..rounds / WORKERS {
            // Half of the clients only read what the others write.
            if worker % 2 == 0 {
                put(&channels[0], &format!("{worker}"), &round.to_string()).await.expect("a put succeeds");
            }
            for channel in &channels {
                let read = get(channel, "0", true).await.expect("a serializable get succeeds");
                let header = read.header.expect("etcd sends one");
                tally.add(header.member_id, header.revision < highest);
                highest = highest.max(header.revision);
            }
        }
        tally
    });
    Tally::sum(tallies.await).assert_fresh("revisions", 2 * rounds);
}

#[tokio::test]
async fn followers_answer_serializable_gets() {
    let _turn = beside_others().await;
    let mut cluster = Cluster::start(3);
    let sidecar = in_front(&cluster).await;
    put(&connect(&sidecar).await, "key", "value").await.expect("a put succeeds");
    let leader = cluster.leader();
    let leader = cluster.members[leader].id();
    let tallies = by_workers(&sidecar, async move |_, channels| {
        let mut tally = Tally::default();
        for round in 0..ROUNDS / WORKERS {
            let read = get(&channels[round % 2], "key", true).await.expect("a serializable get succeeds");
            tally.add(read.header.expect("etcd sends one").member_id, read.kvs.is_empty());
        }
        tally
    });
    let sum = Tally::sum(tallies.await);
    sum.assert_fresh("serializable gets without writes", ROUNDS);
    assert!(sum.answers.keys().any(|&member| member != leader), "only the leader answered");
}

/// Runs the work on so many connections at once, two for each worker.
async fn by_workers<W>(sidecar: &Sidecar, work: W) -> Vec<Tally>
where
    W: AsyncFn(usize, [Channel; 2]) -> Tally,
{
    let mut workers = Vec::new();
    for worker in 0..WORKERS {
        workers.push(work(worker, [connect(sidecar).await, connect(sidecar).await]));
    }
    futures_util::future::join_all(workers).await
}

/// How many answers came from which member, and how many of them were older than what was acknowledged.
#[derive(Debug, Default)]
struct Tally {
    answers: BTreeMap<u64, usize>,
    stale: BTreeMap<u64, usize>,
}

impl Tally {
    fn add(&mut self, member: u64, stale: bool) {
        *self.answers.entry(member).or_default() += 1;
        if stale {
            *self.stale.entry(member).or_default() += 1;
        }
    }

    fn sum(tallies: Vec<Self>) -> Self {
        let mut sum = Self::default();
        for Self { answers, stale } in tallies {
            for (counts, more) in [(&mut sum.answers, answers), (&mut sum.stale, stale)] {
                for (member, count) in more {
                    *counts.entry(member).or_default() += count;
                }
            }
        }
        sum
    }

    fn assert_fresh(&self, what: &str, answers: usize) {
        let shown = |counts: &BTreeMap<u64, usize>| {
            counts.iter().map(|(member, count)| format!("{member:x}: {count}")).collect::<Vec<_>>().join(", ")
        };
        println!("{what}: answers of each member {}", shown(&self.answers));
        let stale: usize = self.stale.values().sum();
        assert_eq!(stale, 0, "{what}: stale answers of {answers}: {}", shown(&self.stale));
        assert_eq!(self.answers.values().sum::<usize>(), answers, "{what}");
    }
}

/// Divisible by four times the workers.
const ROUNDS: usize = 1_024;
const WORKERS: usize = 8;
