//! The stream itself: what its half-close ends and what it does not, and what its end leaves behind.

use etcdlet::proto::etcdserverpb as pb;
use h2::Reason;

use super::client::Seen;
use super::client::{key, prefix};
use super::subject::{Subject, as_etcd, unlike_grpc_proxy};

/// W4.
#[tokio::test]
async fn a_half_closed_stream_goes_on_showing_events() {
    unlike_grpc_proxy("ended", async |subject| {
        let client = subject.client().await;
        let mut watch = client.watch().await;
        watch.created(key(subject.key("a"))).await?;
        watch.stream.half_close();
        for value in ["1", "2", "3"] {
            let put = client.put(&subject.key("a"), value).await?;
            watch.sees(put).await?;
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn creates_that_are_followed_by_a_half_close_at_once_are_served() {
    as_etcd(async |subject| {
        let client = subject.client().await;
        let past = client.put(&subject.key("a"), "0").await?;
        let mut watch = client.watch().await;
        watch.create(pb::WatchCreateRequest { start_revision: past, ..key(subject.key("a")) });
        watch.create(key(subject.key("b")));
        watch.stream.half_close();
        let (mut created, mut events) = (0, 0);
        while (created, events) != (2, 1) {
            let response = watch.next().await?;
            created += i32::from(response.created);
            events += response.events.len();
        }
        let put = client.put(&subject.key("b"), "1").await?;
        watch.sees(put).await
    })
    .await;
}

#[tokio::test]
async fn watchers_of_one_stream_and_of_many_see_the_same() {
    as_etcd(async |subject| {
        let client = subject.client().await;
        let mut alone = Vec::new();
        for _ in 0..5 {
            let mut watch = client.watch().await;
            watch.created(prefix(&subject.key(""))).await?;
            alone.push(watch);
        }
        let mut together = client.watch().await;
        for _ in 0..5 {
            together.created(prefix(&subject.key(""))).await?;
        }
        for round in 0..20 {
            let put = client.put(&subject.key(&round.to_string()), "1").await?;
            for watch in &mut alone {
                watch.sees(put).await?;
            }
            let mut ids = Vec::new();
            for _ in 0..5 {
                let response = together.next().await?;
                ids.push(response.watch_id);
            }
            ids.sort_unstable();
            super::client::claim(ids == [0, 1, 2, 3, 4], || format!("revision {put} was shown to {ids:?}"))?;
        }
        Ok(())
    })
    .await;
}

/// W11: what clients leave behind when they go away in the middle of it holds up nobody.
#[tokio::test]
async fn clients_that_go_away_without_reading_hold_up_nobody() {
    as_etcd(async |subject| {
        for round in 0..30 {
            leave_in_the_middle(subject, round).await?;
        }
        let client = subject.client().await;
        let mut watch = client.watch().await;
        watch.created(key(subject.key("a"))).await?;
        let put = client.put(&subject.key("a"), "last").await?;
        watch.sees(put).await
    })
    .await;
}

/// Creates that are refused, creates and cancels, of which it reads no reply; then a reset, or the whole connection.
async fn leave_in_the_middle(subject: &Subject, round: usize) -> Seen<()> {
    let client = subject.client().await;
    let mut watch = client.watch().await;
    for number in 0..40 {
        let a = key(subject.key("a"));
        watch.create(match number % 4 {
            0 => pb::WatchCreateRequest { range_end: subject.key("").into(), ..a },
            1 => pb::WatchCreateRequest { start_revision: 1, ..a },
            2 => pb::WatchCreateRequest { watch_id: 3, ..a },
            _ => a,
        });
        watch.cancel(number / 2);
    }
    client.put(&subject.key("a"), "1").await?;
    if round.is_multiple_of(2) {
        watch.stream.reset(Reason::CANCEL);
    }
    Ok(())
}
