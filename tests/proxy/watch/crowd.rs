//! Many watchers, who come and go.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use etcdlet::proto::etcdserverpb as pb;
use futures_util::future::try_join_all;

use super::client::{Client, Seen, Watch, claim, key, modified, prefix, revision};
use super::long;
use super::subject::as_etcd;

/// W10: watches from now were never shared, and thousands of them hung the proxy.
#[tokio::test]
async fn thousands_of_watchers_of_one_key_see_every_put_once() {
    as_etcd(async |subject| {
        let (mut streams, a) = (Vec::new(), subject.key("a"));
        for _ in 0..STREAMS {
            let mut watch = subject.client().await.watch().await;
            for _ in 0..WATCHERS {
                watch.create(key(a.clone()));
            }
            streams.push(watch);
        }
        for watch in &mut streams {
            for watcher in 0..WATCHERS as i64 {
                let created = watch.next().await?;
                claim(created.created && created.watch_id == watcher, || format!("{created:?}"))?;
            }
        }
        let client = subject.client().await;
        for _ in 0..3 {
            let put = client.put(&a, "1").await?;
            for watch in &mut streams {
                let mut seen = vec![0; WATCHERS];
                for _ in 0..WATCHERS {
                    let response = watch.next().await?;
                    let sound = response.events.len() == 1 && modified(&response.events[0]) == put;
                    claim(sound, || format!("not only {put}: {response:?}"))?;
                    seen[usize::try_from(response.watch_id).expect("ids count from 0")] += 1;
                }
                claim(seen.iter().all(|seen| *seen == 1), || format!("seen so often: {seen:?}"))?;
            }
        }
        Ok(())
    })
    .await;
}

/// One client writes one key all the time, so that revisions have no gaps but those that a watcher gets.
#[tokio::test]
async fn watchers_that_come_and_go_while_others_write_miss_nothing() {
    as_etcd(async |subject| {
        let (a, acked, done) = (subject.key("a"), AtomicI64::new(0), AtomicBool::new(false));
        let writer = subject.client().await;
        acked.store(writer.put(&a, "0").await?, Ordering::SeqCst);
        let first = acked.load(Ordering::SeqCst);
        let writes = async {
            while !done.load(Ordering::SeqCst) {
                acked.store(writer.put(&a, "1").await?, Ordering::SeqCst);
            }
            Ok::<_, String>(())
        };
        let lanes = async {
            let clients = try_join_all((0..LANES).map(async |_| Ok::<_, String>(subject.client().await)));
            let lanes = clients.await?;
            let outcome =
                try_join_all(lanes.iter().map(|client| come_and_go(client, &a, first, &acked))).await;
            done.store(true, Ordering::SeqCst);
            outcome
        };
        let (written, lanes) = tokio::join!(writes, lanes);
        written?;
        println!(
            "{} watchers, {} revisions",
            lanes?.iter().sum::<usize>(),
            acked.load(Ordering::SeqCst) - first
        );
        Ok(())
    })
    .await;
}

async fn come_and_go(client: &Client, a: &str, first: i64, acked: &AtomicI64) -> Seen<usize> {
    let rounds = if long() { 10 * ROUNDS } else { ROUNDS };
    let mut watch = client.watch().await;
    for round in 0..rounds {
        if fastrand::u8(..8) == 0 {
            watch = client.watch().await;
        }
        let now = acked.load(Ordering::SeqCst);
        let start_revision = match round % 4 {
            0 => 0,
            1 => now + 1,
            2 => (now - fastrand::i64(0..50)).max(first),
            _ => now + fastrand::i64(1..20),
        };
        let range = if fastrand::bool() { key(a.to_owned()) } else { prefix(a) };
        let prev_kv = fastrand::u8(..4) == 0;
        watch.create(pb::WatchCreateRequest { start_revision, prev_kv, ..range });
        let created = watch.next().await?;
        claim(created.created && !created.canceled, || format!("not created: {created:?}"))?;
        let present = revision(created.header.as_ref());
        let what = format!("from {start_revision}, created at {present}, after {now} was written");
        // The header is read when the watcher is there already: its own revision may still be shown.
        let begin = if start_revision == 0 { present..=present + 1 } else { start_revision..=start_revision };
        claim(present >= now, || format!("the present is behind: {what}"))?;
        stay(&mut watch, created.watch_id, begin).await.map_err(|why| format!("{why}, {what}"))?;
    }
    Ok(rounds)
}

/// Sees some events, each the successor of the one before, and goes.
async fn stay(watch: &mut Watch, id: i64, begin: std::ops::RangeInclusive<i64>) -> Seen<()> {
    let mut last = None;
    for _ in 0..fastrand::usize(1..8) {
        let response = watch.next().await?;
        claim(response.watch_id == id && !response.events.is_empty(), || format!("{response:?}"))?;
        for revision in response.events.iter().map(modified) {
            let follows = last.map_or(begin.contains(&revision), |last| revision == last + 1);
            claim(follows, || format!("{revision} behind {last:?}, to begin with {begin:?}"))?;
            last = Some(revision);
        }
    }
    watch.cancel(id);
    loop {
        let response = watch.next().await?;
        claim(response.watch_id == id, || format!("{response:?}"))?;
        if response.canceled {
            return Ok(());
        }
    }
}

const STREAMS: usize = 20;
const WATCHERS: usize = 100;
const LANES: usize = 8;
const ROUNDS: usize = 40;
