//! A reader that stops reading is its own problem, and only until it reads again.

use std::time::Duration;

use tokio::time::Instant;

use super::client::{Client, Seen, Watch, Written, claim, modified, prefix};
use super::subject::{Subject, as_etcd, unlike_grpc_proxy};

/// W8: a stream that does not take an event for 50 ms is cancelled, and with it all its watchers.
#[tokio::test]
async fn a_stream_that_is_not_read_for_a_while_is_not_ended() {
    unlike_grpc_proxy("the stream ended", async |subject| {
        let client = subject.client().await;
        let mut slow = stalled(subject, "s/").await?;
        // More than flow control and every buffer on the way hold.
        let written = client.fill(&subject.key("s/"), 4_000, 1, 1024).await?;
        resumes(&mut slow, &written).await?;
        let put = client.put(&subject.key("s/z"), "1").await?;
        slow.sees(put).await
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_is_not_read_holds_up_no_other_and_loses_nothing() {
    as_etcd(async |subject| {
        let client = subject.client().await;
        // On the connection of the slow one, on another one; of the same range, of another range.
        let mut slow = stalled(subject, "s/").await?;
        let mut others = Vec::new();
        for client in [&slow.client, &client] {
            for range in ["s/", "t/"] {
                let mut watch = client.watch().await;
                watch.created(prefix(&subject.key(range))).await?;
                others.push((range, watch));
            }
        }
        let mut written = Vec::new();
        let mut worst = Duration::ZERO;
        for round in 0..ROUNDS {
            let part =
                client.fill(&subject.key(&format!("s/{round:02}/")), 20_000 / ROUNDS / 4, 4, 256).await?;
            let put = client.put(&subject.key("t/a"), "1").await?;
            let began = Instant::now();
            for (range, watch) in &mut others {
                match *range {
                    "s/" => watch.sees_all(&part).await?,
                    _ => watch.sees(put).await?,
                }
            }
            worst = worst.max(began.elapsed());
            written.extend(part);
        }
        println!("{} events not read; the others had each part after {worst:.3?} at most", written.len());
        resumes(&mut slow, &written).await?;
        let put = client.put(&subject.key("s/z"), "1").await?;
        slow.sees(put).await
    })
    .await;
}

/// Compaction overtakes a reader that is behind: it is told so behind the last event that could still be shown, or it
/// is shown all; there is no gap.
#[tokio::test]
async fn a_stream_that_is_not_read_for_too_long_ends_its_watcher_without_a_gap() {
    as_etcd(async |subject| {
        let client = subject.client().await;
        let mut slow = stalled(subject, "c/").await?;
        let written = client.fill(&subject.key("c/"), 8_000, 1, 1024).await?;
        let last = written.last().expect("there are some").0;
        client.compact(last).await?;
        slow.watch.stream.hold_window = false;
        let mut seen = 0;
        let canceled = loop {
            let response = slow.watch.next().await?;
            for event in &response.events {
                let expected = written[seen].0;
                claim(modified(event) == expected, || format!("not {expected} but {event:?}"))?;
                seen += 1;
            }
            if response.canceled || seen == written.len() {
                break response.canceled.then_some(response);
            }
        };
        println!("{seen} of {} events, then {canceled:?}", written.len());
        if let Some(canceled) = canceled {
            claim(canceled.compact_revision == last, || format!("{canceled:?}"))?;
        }
        // The stream is as good as new.
        let created = slow.watch.created(prefix(&subject.key("c/"))).await?;
        let put = client.put(&subject.key("c/z"), "1").await?;
        loop {
            let response = slow.watch.next().await?;
            if response.watch_id == created.watch_id {
                return claim(modified(&response.events[0]) == put, || format!("{response:?}"));
            }
        }
    })
    .await;
}

const ROUNDS: usize = 10;

/// A watch of which nothing is read.
struct Slow {
    client: Client,
    watch: Watch,
}

impl Slow {
    async fn sees(&mut self, put: i64) -> Seen<()> {
        self.watch.sees(put).await
    }
}

async fn stalled(subject: &Subject, range: &str) -> Seen<Slow> {
    let client = subject.client().await;
    let mut watch = client.watch().await;
    watch.created(prefix(&subject.key(range))).await?;
    watch.stream.hold_window = true;
    Ok(Slow { client, watch })
}

/// It reads again, and sees all of it.
async fn resumes(slow: &mut Slow, written: &[Written]) -> Seen<()> {
    slow.watch.stream.hold_window = false;
    slow.watch.sees_all(written).await.map_err(|why| format!("the slow one: {why}"))
}
