//! Keep-alives: one reply for each request, at once, as etcd gave it.

use std::time::{Duration, Instant};

use etcdlet::proto::etcdserverpb as pb;
use tokio::time::sleep;

use super::client::{Client, ENDED, NOTHING, Seen, claim};
use super::subject::{Subject, guarded, unlike_grpc_proxy, unlike_grpc_proxy_with};
use crate::support::etcd::Options;
use crate::support::grpc::{Event, Stream};

/// L2: a keep-alive waits for the next renewal that somebody else's clock brings.
#[tokio::test]
async fn every_keep_alive_is_answered_at_once() {
    unlike_grpc_proxy(NOTHING, async |subject| {
        let client = subject.client().await;
        let lease = grant(&client, 600).await?;
        let (mut first, mut second) = (beats(&client).await, beats(&client).await);
        for _ in 0..3 {
            for stream in [&mut first, &mut second] {
                let ttl = beat(stream, lease, &client).await?;
                claim(ttl == 600, || format!("a TTL of 600 s became {ttl}"))?;
            }
        }
        Ok(())
    })
    .await;
}

/// L3.
#[tokio::test]
async fn a_keep_alive_and_a_half_close_are_answered_and_end_well() {
    unlike_grpc_proxy(ENDED, async |subject| {
        let client = subject.client().await;
        let lease = grant(&client, 600).await?;
        let mut stream = beats(&client).await;
        stream.send_message(&pb::LeaseKeepAliveRequest { id: lease });
        stream.half_close();
        answered(&mut stream, &client).await?;
        let code = stream.answer(client.patience).await.status().code;
        claim(code == Some(0), || format!("{ENDED} with {code:?}"))
    })
    .await;
}

/// L5.
#[tokio::test]
async fn a_lease_that_is_gone_is_answered_with_a_ttl_of_zero() {
    unlike_grpc_proxy("-1", async |subject| {
        let client = subject.client().await;
        let lease = grant(&client, 600).await?;
        let revoke = pb::LeaseRevokeRequest { id: lease };
        let _: pb::LeaseRevokeResponse = client.call("/etcdserverpb.Lease/LeaseRevoke", &revoke).await?;
        let mut stream = beats(&client).await;
        for id in [lease, 4711] {
            let ttl = beat(&mut stream, id, &client).await?;
            claim(ttl == 0, || format!("a TTL of {ttl} for a lease that is gone"))?;
        }
        Ok(())
    })
    .await;
}

/// A4: the token of the client is not the token of the keep-alive.
#[tokio::test]
async fn keep_alives_carry_the_token_of_their_client() {
    let etcd = guarded(Options::default());
    unlike_grpc_proxy_with(&etcd, NOTHING, async |subject| {
        let client = subject.client().await.signed_in("narrow").await;
        let lease = grant(&client, 600).await?;
        let put = pb::PutRequest { key: narrow(subject).into(), lease, ..Default::default() };
        let _: pb::PutResponse = client.call("/etcdserverpb.KV/Put", &put).await?;
        let mut stream = beats(&client).await;
        let ttl = beat(&mut stream, lease, &client).await?;
        claim(ttl == 600, || format!("a TTL of 600 s became {ttl}"))
    })
    .await;
}

/// The same lease under two tokens: the one may renew it, the other may not, however close they come.
#[tokio::test]
async fn who_may_not_renew_a_lease_does_not_ride_on_who_may() {
    let etcd = guarded(Options::default());
    super::subject::as_etcd_with(&etcd, async |subject| {
        let wide = subject.client().await.signed_in("wide").await;
        let narrow = subject.client().await.signed_in("narrow").await;
        let lease = grant(&wide, 600).await?;
        let put = pb::PutRequest { key: subject.key("wide").into(), lease, ..Default::default() };
        let _: pb::PutResponse = wide.call("/etcdserverpb.KV/Put", &put).await?;
        for _ in 0..20 {
            let (mut may, mut may_not) = (beats(&wide).await, beats(&narrow).await);
            let request = pb::LeaseKeepAliveRequest { id: lease };
            may.send_message(&request);
            may_not.send_message(&request);
            may.send_message(&request);
            for _ in 0..2 {
                answered(&mut may, &wide).await?;
            }
            let refused = may_not.answer(narrow.patience).await;
            let (status, replies) = (refused.status(), refused.messages.len());
            claim(status.code == Some(7) && replies == 0, || format!("{status:?} after {replies} replies"))?;
        }
        Ok(())
    })
    .await;
}

/// Replies come in the order of the requests, also where leases that are gone stand between.
#[tokio::test]
async fn many_keep_alives_on_one_stream_are_answered_in_their_order() {
    super::subject::as_etcd(async |subject| {
        let client = subject.client().await;
        let mut leases = Vec::new();
        for ttl in [600, 700, 800] {
            leases.push((grant(&client, ttl).await?, ttl));
        }
        leases.push((4711, 0));
        let mut stream = beats(&client).await;
        let order: Vec<(i64, i64)> = (0..200).map(|number| leases[number * 7 % 4]).collect();
        for (id, _) in &order {
            stream.send_message(&pb::LeaseKeepAliveRequest { id: *id });
        }
        for (number, (id, ttl)) in order.into_iter().enumerate() {
            let reply = answered(&mut stream, &client).await?;
            claim((reply.id, reply.ttl) == (id, ttl), || format!("reply {number}, to {id}: {reply:?}"))?;
        }
        Ok(())
    })
    .await;
}

/// L1: failures of clients are noticed by their leases, and twice as late if somebody renews in their stead.
#[tokio::test]
async fn a_lease_lives_no_longer_than_its_last_keep_alive_says() {
    if !super::long() {
        println!("only in the long run, because it waits for leases to expire");
        return;
    }
    unlike_grpc_proxy("lived", async |subject| {
        let client = subject.client().await;
        let lease = grant(&client, TTL).await?;
        let mut stream = beats(&client).await;
        beat(&mut stream, lease, &client).await?;
        let last = Instant::now();
        loop {
            let request = pb::LeaseTimeToLiveRequest { id: lease, keys: false };
            let left: pb::LeaseTimeToLiveResponse =
                client.call("/etcdserverpb.Lease/LeaseTimeToLive", &request).await?;
            if left.ttl < 0 {
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
        let lived = last.elapsed().as_secs_f64();
        println!("a TTL of {TTL} s: gone after {lived:.1} s");
        claim(lived < TTL as f64 * 1.5, || format!("lived for {lived:.1} s, of a TTL of {TTL} s"))
    })
    .await;
}

async fn grant(client: &Client, ttl: i64) -> Seen<i64> {
    let request = pb::LeaseGrantRequest { ttl, id: 0 };
    let granted: pb::LeaseGrantResponse = client.call("/etcdserverpb.Lease/LeaseGrant", &request).await?;
    Ok(granted.id)
}

/// A stream of keep-alives.
async fn beats(client: &Client) -> Stream {
    let stream = client.channel.stream("/etcdserverpb.Lease/LeaseKeepAlive", client.metadata.clone()).await;
    stream.expect("a stream opens")
}

/// The TTL in the reply to one more keep-alive.
async fn beat(stream: &mut Stream, id: i64, client: &Client) -> Seen<i64> {
    stream.send_message(&pb::LeaseKeepAliveRequest { id });
    let reply = answered(stream, client).await?;
    claim(reply.id == id, || format!("a reply for {}, not for {id}", reply.id))?;
    Ok(reply.ttl)
}

async fn answered(stream: &mut Stream, client: &Client) -> Seen<pb::LeaseKeepAliveResponse> {
    match stream.next(client.patience).await {
        Event::Message(message) => Ok(message.decode()),
        Event::Silence => Err(NOTHING.into()),
        Event::End(end) => Err(format!("{ENDED}: {end:?}")),
    }
}

fn narrow(subject: &Subject) -> String {
    format!("narrow/{}", subject.key("a"))
}

const TTL: i64 = 6;
