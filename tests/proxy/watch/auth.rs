//! Who may see what: every watcher by its own token, whoever came before it.

use etcdlet::proto::etcdserverpb as pb;
use prost::Message;

use super::client::{Client, Seen, claim, key, prefix};
use super::subject::{as_etcd_with, guarded, unlike_grpc_proxy_with};
use crate::support::etcd::Options;
use crate::support::grpc::metadata;

/// A2: the first one's token is everybody's. W2: and that the watch is refused for that is not even told.
#[tokio::test]
async fn who_comes_behind_one_with_fewer_rights_keeps_its_own() {
    let etcd = guarded(Options::default());
    unlike_grpc_proxy_with(&etcd, "wide: nothing came", async |subject| {
        let narrow = subject.client().await.signed_in("narrow").await;
        let wide = subject.client().await.signed_in("wide").await;
        let (below, beside) = (format!("narrow/{}", subject.key("a")), subject.key("wide"));
        let mut first = narrow.watch().await;
        first.created(key(below.clone())).await?;
        let mut second = wide.watch().await;
        second.created(key(beside.clone())).await.map_err(|why| format!("wide: {why}"))?;
        let put = wide.put(&beside, "1").await?;
        second.sees(put).await.map_err(|why| format!("wide: {why}"))?;
        let put = wide.put(&below, "1").await?;
        first.sees(put).await
    })
    .await;
}

/// With etcd's own words, in which its proxy drops the code; and with a header.
#[tokio::test]
async fn who_may_not_watch_is_told_why_and_the_stream_goes_on() {
    let etcd = guarded(Options::default());
    unlike_grpc_proxy_with(&etcd, "refused otherwise", async |subject| {
        let narrow = subject.client().await.signed_in("narrow").await;
        let wide = subject.client().await.signed_in("wide").await;
        // What others may watch is being watched.
        let mut theirs = wide.watch().await;
        theirs.created(prefix(&subject.key(""))).await?;
        let liar = Client { metadata: metadata(&[("token", "lie.1")]), ..subject.client().await };
        let nobody = subject.client().await;
        for (client, reason) in [
            (&narrow, "rpc error: code = PermissionDenied desc = etcdserver: permission denied"),
            (&liar, "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token"),
            (&nobody, "rpc error: code = InvalidArgument desc = etcdserver: user name is empty"),
        ] {
            let mut watch = client.watch().await;
            for request in [key(subject.key("a")), prefix(&subject.key("")), prefix("narrow0")] {
                watch.create(request);
                let refused = watch.next().await?;
                let shape = refused.created && refused.canceled && refused.watch_id == -1;
                let named = refused.header.as_ref().is_some_and(|header| header.member_id != 0);
                claim(shape && named && refused.cancel_reason == reason, || {
                    format!("refused otherwise than by {reason:?}: {refused:?}")
                })?;
            }
        }
        let mut watch = narrow.watch().await;
        watch.create(prefix(&subject.key("")));
        claim(watch.next().await?.canceled, || "it was allowed".into())?;
        let below = format!("narrow/{}", subject.key("a"));
        watch.created(key(below.clone())).await?;
        let put = narrow.put(&below, "1").await?;
        watch.sees(put).await
    })
    .await;
}

/// etcd asks for the right when a watcher is created, and never again.
#[tokio::test]
async fn a_right_that_is_revoked_ends_no_watcher_and_lets_no_new_one_in() {
    let etcd = guarded(Options::default());
    as_etcd_with(&etcd, async |subject| {
        let below = format!("narrow/{}", subject.key("a"));
        // Two users with three tokens each.
        let mut clients = Vec::new();
        for user in ["wide", "narrow", "wide", "narrow", "wide", "narrow"] {
            clients.push((user, subject.client().await.signed_in(user).await));
        }
        let mut watches = Vec::new();
        for (_, client) in &clients {
            let mut watch = client.watch().await;
            watch.created(key(below.clone())).await?;
            watches.push(watch);
        }
        etcd.run_etcdctl(&["--user=root:root", "user", "revoke-role", "narrow", "narrow"]);
        let outcome = async {
            let put = clients[0].1.put(&below, "1").await?;
            for watch in &mut watches {
                watch.sees(put).await?;
            }
            for ((user, client), old) in clients.iter().zip(&mut watches) {
                for watch in [old, &mut client.watch().await] {
                    watch.create(key(below.clone()));
                    let created = watch.next().await?;
                    claim(created.canceled == (*user == "narrow"), || format!("{user}: {created:?}"))?;
                }
            }
            let put = clients[0].1.put(&below, "2").await?;
            for ((user, _), watch) in clients.iter().zip(&mut watches) {
                for _ in 0..if *user == "wide" { 2 } else { 1 } {
                    watch.sees(put).await?;
                }
            }
            Ok(())
        };
        let outcome: Seen<()> = outcome.await;
        etcd.run_etcdctl(&["--user=root:root", "user", "grant-role", "narrow", "narrow"]);
        outcome
    })
    .await;
}

/// A1: an answer that was given to one is not one for all.
#[tokio::test]
async fn a_serializable_read_is_answered_only_to_who_may_read() {
    let etcd = guarded(Options::default());
    unlike_grpc_proxy_with(&etcd, "was answered", async |subject| {
        let wide = subject.client().await.signed_in("wide").await;
        wide.put(&subject.key("a"), "secret").await?;
        for serializable in [false, true, true] {
            let read = range(&subject.key("a"), serializable);
            let found: pb::RangeResponse = wide.call(RANGE, &read).await?;
            claim(found.kvs.len() == 1, || format!("{found:?}"))?;
        }
        let liar = Client { metadata: metadata(&[("token", "lie.1")]), ..subject.client().await };
        for (who, client, code) in [
            ("narrow", subject.client().await.signed_in("narrow").await, 7),
            ("nobody", subject.client().await, 3),
            ("a liar", liar, 16),
        ] {
            let read = range(&subject.key("a"), true).encode_to_vec();
            let answer = client.channel.unary(RANGE, client.metadata.clone(), &read).await;
            claim(answer.messages.is_empty(), || format!("{who} was answered"))?;
            claim(answer.status().code == Some(code), || format!("{who}: {:?}", answer.status()))?;
        }
        Ok(())
    })
    .await;
}

/// A5: whoever observes an election does so by its own rights.
#[tokio::test]
async fn an_election_is_observed_with_the_token_of_its_observer() {
    let etcd = guarded(Options::default());
    unlike_grpc_proxy_with(&etcd, "wide is shown", async |subject| {
        let wide = subject.client().await.signed_in("wide").await;
        let grant = pb::LeaseGrantRequest { ttl: 600, id: 0 };
        let lease: pb::LeaseGrantResponse = wide.call("/etcdserverpb.Lease/LeaseGrant", &grant).await?;
        let name = subject.key("election");
        let campaign = Campaign { name: name.clone().into(), lease: lease.id, value: "me".into() };
        wide.call::<_, ()>("/v3electionpb.Election/Campaign", &campaign).await?;
        let leader = Campaign { name: name.into(), ..Default::default() };
        for (user, may) in [("wide", true), ("narrow", false)] {
            let client = subject.client().await.signed_in(user).await;
            let observe = "/v3electionpb.Election/Observe";
            let mut stream = client.channel.stream(observe, client.metadata.clone()).await.expect("it opens");
            stream.send_message(&leader);
            stream.half_close();
            let shown = stream.next(client.patience).await;
            let shows = matches!(shown, crate::support::grpc::Event::Message(_));
            claim(shows == may, || format!("{user} is shown {shown:?}"))?;
        }
        Ok(())
    })
    .await;
}

/// v3electionpb's CampaignRequest, of which LeaderRequest has the first field.
#[derive(Clone, PartialEq, Message)]
struct Campaign {
    #[prost(bytes = "bytes", tag = "1")]
    name: bytes::Bytes,
    #[prost(int64, tag = "2")]
    lease: i64,
    #[prost(bytes = "bytes", tag = "3")]
    value: bytes::Bytes,
}

fn range(key: &str, serializable: bool) -> pb::RangeRequest {
    pb::RangeRequest { key: key.to_owned().into(), serializable, ..Default::default() }
}

const RANGE: &str = "/etcdserverpb.KV/Range";
