//! A watch from now does not show what its client wrote before it.

use etcdlet::proto::etcdserverpb as pb;

use super::client::{Client, Seen, claim, key, modified, revision};
use super::{long, subject};
use crate::support::etcd::Cluster;
use crate::support::grpc::PATIENCE;
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn a_watch_from_now_of_one_member_never_shows_a_put_that_was_acked_before() {
    subject::as_etcd(async |subject| {
        let clients = [subject.client().await, subject.client().await];
        never_shows_what_was_acked(&clients, 300).await
    })
    .await;
}

#[tokio::test]
async fn a_watch_from_now_of_three_members_never_shows_a_put_that_was_acked_before() {
    if !long() {
        println!("only in the long run: a stream that is passed to a follower does show such puts");
        return;
    }
    let cluster = Cluster::start(3);
    let sidecar = Sidecar::start(&cluster.endpoints());
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(Client::connect(&sidecar.url(), PATIENCE).await);
    }
    never_shows_what_was_acked(&clients, 10_000).await.expect("no promise is broken");
}

/// It writes by one connection and watches by the next; what is shown first must be the write after the create.
async fn never_shows_what_was_acked(clients: &[Client], tries: usize) -> Seen<()> {
    let (mut shown, mut members) = (0, std::collections::BTreeMap::<u64, usize>::new());
    for number in 0..tries {
        let (writer, reader) = (&clients[number % clients.len()], &clients[(number + 1) % clients.len()]);
        let name = format!("own/{}", number % 10);
        let before = writer.put(&name, "before").await?;
        let mut watch = reader.watch().await;
        let created = watch.created(key(name.clone())).await?;
        *members.entry(created.header.as_ref().map_or(0, |header| header.member_id)).or_default() += 1;
        let after = writer.put(&name, "after").await?;
        let response: pb::WatchResponse = watch.next().await?;
        let first = response.events.first().map_or(0, modified);
        let present = revision(created.header.as_ref());
        if first == before {
            shown += 1;
            println!("try {number}: created at {present}, shown {before} before {after}");
        } else {
            claim(first == after, || format!("neither {before} nor {after}: {response:?}"))?;
        }
    }
    println!("{tries} tries, watches by member: {members:?}");
    claim(shown == 0, || format!("{shown} of {tries} watches began with a put that was acked before them"))
}
